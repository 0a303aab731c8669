#include "simulation/image.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <system_error>

#include "nimbus/schema/status.h"

namespace nimbus::simulation {
namespace {
namespace fs = std::filesystem;

bool WriteContents(int file, const Contents& contents) {
  for (size_t i = 0; i < contents.pages().size(); ++i) {
    const auto& page = contents.pages()[i];
    if (page == nullptr) continue;
    const off_t offset = static_cast<off_t>(i * Contents::kPageBytes);
    if (pwrite(file, page->data(), page->size(), offset) != static_cast<ssize_t>(page->size())) {
      return false;
    }
  }
  return ftruncate(file, static_cast<off_t>(contents.size())) == 0;
}

absl::Status WriteOne(const std::string& path, const Contents& contents) {
  const int file = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  const bool written = file >= 0 && WriteContents(file, contents);
  const int error = errno;
  if (file >= 0) close(file);
  return written ? absl::OkStatus() : absl::ErrnoToStatus(error, path);
}

}  // namespace

absl::Status WriteImage(const Image& image, const std::string& directory) {
  std::error_code error;
  fs::remove_all(directory, error);
  if (!error) fs::create_directories(directory, error);
  for (const std::string& path : image.directories) {  // those above come first
    if (!error) fs::create_directories(directory + "/" + path, error);
  }
  for (const auto& [path, text] : image.links) {
    if (!error) fs::create_symlink(text, directory + "/" + path, error);
  }
  if (error) return absl::ErrnoToStatus(error.value(), directory);
  for (const auto& [path, contents] : image.files) {
    NIMBUS_RETURN_IF_ERROR(WriteOne(directory + "/" + path, contents));
  }
  return absl::OkStatus();
}

}  // namespace nimbus::simulation
