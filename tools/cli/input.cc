#include "tools/cli/input.h"

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>

#include "nimbus/schema/status.h"

namespace nimbus::tools::cli {

using schema::Error;
using Code = absl::StatusCode;

absl::StatusOr<std::string> ReadInput(const std::string& path, size_t bytes_max) {
  const bool standard = path == "-";
  const std::string name = standard ? "standard input" : path;
  const auto close = [](std::FILE* file) { std::fclose(file); };
  std::unique_ptr<std::FILE, decltype(close)> opened(
      standard ? nullptr : std::fopen(path.c_str(), "re"), close);
  std::FILE* const file = standard ? stdin : opened.get();
  if (file == nullptr) return Error(Code::kNotFound, "{}: {}", name, std::strerror(errno));
  std::string bytes;
  std::array<char, 64 * 1024> buffer;
  while (const size_t count = std::fread(buffer.data(), 1, buffer.size(), file)) {
    bytes.append(buffer.data(), count);
    if (bytes.size() > bytes_max) {
      return Error(Code::kInvalidArgument, "{}: more than {} bytes", name, bytes_max);
    }
  }
  if (std::ferror(file) != 0) {
    return Error(Code::kUnavailable, "{}: {}", name, std::strerror(errno));
  }
  return bytes;
}

}  // namespace nimbus::tools::cli
