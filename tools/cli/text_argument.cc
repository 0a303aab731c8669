#include "tools/cli/text_argument.h"

#include <cerrno>
#include <fstream>
#include <iostream>

#include "nimbus/schema/status.h"

namespace nimbus::tools::cli {
namespace {

using schema::Error;
using Code = absl::StatusCode;

absl::StatusOr<std::string> ReadAll(std::istream& in, const std::string& name) {
  std::string text;
  std::string part(64 * 1024, '\0');
  while (in.read(part.data(), static_cast<std::streamsize>(part.size())), in.gcount() > 0) {
    text.append(part, 0, static_cast<size_t>(in.gcount()));
    if (text.size() > kTextArgumentBytesMax) {
      return Error(Code::kInvalidArgument, "{}: more than {} bytes", name, kTextArgumentBytesMax);
    }
  }
  if (in.bad()) return Error(Code::kUnavailable, "{}: can't be read", name);
  return text;
}

}  // namespace

absl::StatusOr<std::string> TextOf(const std::string& argument) {
  if (argument.empty() || argument.front() != '@') return argument;
  const std::string name = argument.substr(1);
  if (name == "-") return ReadAll(std::cin, "standard input");
  std::ifstream file(name, std::ios::binary);
  if (!file) {
    const Code code = errno == EACCES ? Code::kPermissionDenied : Code::kNotFound;
    return Error(code, "{}: can't be opened", name);
  }
  return ReadAll(file, name);
}

}  // namespace nimbus::tools::cli
