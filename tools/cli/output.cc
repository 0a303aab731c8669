#include "tools/cli/output.h"

#include <filesystem>
#include <fstream>
#include <iostream>
#include <system_error>

#include "nimbus/schema/status.h"

namespace nimbus::tools::cli {
namespace {

namespace fs = std::filesystem;
using schema::Error;
using Code = absl::StatusCode;

absl::Status WriteTo(std::ostream* out, const std::string& name, const WriteFunction& write) {
  NIMBUS_RETURN_IF_ERROR(write(out, name));
  out->flush();
  return *out ? absl::OkStatus() : Error(Code::kUnavailable, "{}: write failed", name);
}

absl::Status WriteFile(const std::string& path, const WriteFunction& write) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  if (!file) return Error(Code::kUnavailable, "{}: can't be written", path);
  return WriteTo(&file, path, write);
}

}  // namespace

absl::Status WriteOutput(const std::string& path, const WriteFunction& write) {
  if (path == "-") return WriteTo(&std::cout, "standard output", write);
  std::error_code error;
  const fs::file_status target = fs::status(path, error);
  if (fs::exists(target) && !fs::is_regular_file(target)) return WriteFile(path, write);
  const std::string written = path + ".new";
  const absl::Status status = WriteFile(written, write);
  if (!status.ok()) {
    fs::remove(written, error);
    return status;
  }
  fs::rename(written, path, error);
  return error ? Error(Code::kUnavailable, "{}: {}", path, error.message()) : absl::OkStatus();
}

}  // namespace nimbus::tools::cli
