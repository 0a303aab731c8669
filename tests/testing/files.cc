#include "testing/files.h"

#include <linux/magic.h>
#include <stdlib.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <iterator>
#include <system_error>

namespace nimbus::test {
namespace fs = std::filesystem;

namespace {

constexpr uint64_t kRoomMin = 256u << 20;

bool IsMemoryWithRoom(const char* path) {
  struct statfs found {};
  return statfs(path, &found) == 0 && found.f_type == TMPFS_MAGIC && access(path, W_OK) == 0 &&
         found.f_bavail * static_cast<uint64_t>(found.f_bsize) >= kRoomMin;
}

}  // namespace

TempDir::TempDir() : TempDir(fs::temp_directory_path()) {}

TempDir::TempDir(const fs::path& below) {
  std::string name = (below / "nimbus-test-XXXXXX").string();
  if (mkdtemp(name.data()) == nullptr) {
    throw fs::filesystem_error("mkdtemp", name, std::error_code(errno, std::generic_category()));
  }
  path_ = name;
}

TempDir::~TempDir() {
  std::error_code error;
  // A test may have locked a directory; what is in it must go all the same.
  for (fs::recursive_directory_iterator it(path_, error), end; !error && it != end;
       it.increment(error)) {
    if (it->is_directory(error) && !it->is_symlink(error)) {
      fs::permissions(it->path(), fs::perms::owner_all, fs::perm_options::add, error);
    }
  }
  fs::remove_all(path_, error);
}

fs::path MemoryBackedDirectory() {
  constexpr const char* kMemory = "/dev/shm";
  const bool chosen = getenv("TMPDIR") != nullptr;
  return !chosen && IsMemoryWithRoom(kMemory) ? kMemory : fs::temp_directory_path();
}

bool WriteFile(const fs::path& path, std::string_view bytes) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  file.close();
  return !file.fail();
}

bool AppendFile(const fs::path& path, std::string_view bytes) {
  std::ofstream file(path, std::ios::binary | std::ios::app);
  file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  file.close();
  return !file.fail();
}

std::optional<std::string> ReadFile(const fs::path& path) {
  std::error_code error;
  if (fs::is_directory(path, error)) return std::nullopt;
  std::ifstream file(path, std::ios::binary);
  if (!file) return std::nullopt;
  std::string bytes{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  if (file.bad()) return std::nullopt;
  return bytes;
}

std::optional<fs::path> FindShared(std::string_view relative) {
  const char* shared = getenv("NIMBUS_SHARED");
  const fs::path root = shared != nullptr ? shared : NIMBUS_SHARED_DIR;
  std::error_code error;
  if (root.empty() || !fs::exists(root / relative, error)) return std::nullopt;
  return root / relative;
}

}  // namespace nimbus::test
