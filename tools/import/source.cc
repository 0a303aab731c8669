#include "tools/import/source.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>
#include <optional>
#include <utility>

#include "nimbus/schema/status.h"
#include "tools/file_descriptor.h"
#include "tools/import/archive.h"
#include "tools/import/compression.h"
#include "tools/import/text.h"

namespace nimbus::tools::import {
namespace {

using absl::StatusCode;
using schema::Error;
using schema::Json;

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
constexpr size_t kReadBytes = 1 << 20;

absl::Status FileError(int error, const std::string& path) {
  return absl::ErrnoToStatus(error, path);
}

// To the end, whatever the size was at first: the file may be growing, or a pipe.
absl::StatusOr<std::string> ReadWhole(const std::string& path, size_t bytes_max) {
  const FileDescriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat info {};
  if (file.number() < 0 || fstat(file.number(), &info) != 0) return FileError(errno, path);
  if (S_ISDIR(info.st_mode))
    return Error(StatusCode::kInvalidArgument, "{}: is a directory, not a recording", path);
  std::string bytes;
  if (S_ISREG(info.st_mode)) {
    if (static_cast<uint64_t>(info.st_size) > bytes_max)
      return schema::Annotate(TooLarge(bytes_max), path);
    bytes.reserve(static_cast<size_t>(info.st_size));
  }
  for (std::vector<char> buffer(kReadBytes);;) {
    const ssize_t count = read(file.number(), buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return FileError(errno, path);
    if (count == 0) return bytes;
    bytes.append(buffer.data(), static_cast<size_t>(count));
    if (bytes.size() > bytes_max) return schema::Annotate(TooLarge(bytes_max), path);
  }
}

struct Line {
  std::string_view text;
  uint64_t number = 1;
};

std::string_view TrimBlanks(std::string_view text) {
  const size_t first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1);
}

// The lines that hold anything.
std::vector<Line> SplitLines(std::string_view text) {
  std::vector<Line> lines;
  uint64_t number = 1;
  for (size_t begin = 0; begin < text.size(); ++number) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    const std::string_view line = TrimBlanks(text.substr(begin, end - begin));
    if (!line.empty()) lines.push_back({line, number});
    begin = end + 1;
  }
  return lines;
}

// Whether a text that is no document is meant to be one value per line. A line
// of an indented document is hardly ever an object by itself, of several
// members; the lines of a recording are.
bool LooksLikeLines(const std::vector<Line>& lines) {
  constexpr size_t kLinesTried = 4;
  for (size_t i = 0; i < std::min(lines.size(), kLinesTried); ++i) {
    const absl::StatusOr<Json> value = Json::Parse(lines[i].text);
    if (value.ok() && (value->IsArray() || value->IsObject()) && lines.size() > 1 &&
        (i == 0 || (value->IsObject() && value->object().size() > 1)))
      return true;
  }
  return false;
}

absl::Status ReadLines(const std::vector<Line>& lines, const SourceOptions& options,
                       Source* source) {
  source->shape = Source::Shape::kLines;
  source->records.reserve(lines.size());
  for (const Line& line : lines) {
    absl::StatusOr<Json> value = Json::Parse(line.text, options.json);
    if (value.ok()) {
      source->records.push_back({line.text, line.number, *std::move(value)});
      continue;
    }
    if (!options.keep_going)
      return schema::Annotate(value.status(), fmt::format("line {}", line.number));
    source->skipped.push_back(
        {line.number, source->records.size(), std::string(value.status().message()), line.text});
  }
  if (source->records.empty())
    return Error(StatusCode::kInvalidArgument, "none of its {} lines is JSON", lines.size());
  return absl::OkStatus();
}

// An archive is one record, whose value has the JSON members by their names.
absl::Status ReadMembers(const SourceOptions& options, Source* source) {
  const ArchiveLimits limits{.members_max = options.archive_members_max,
                             .member_bytes_max = options.json.bytes_max,
                             .total_bytes_max = options.bytes_max};
  NIMBUS_ASSIGN_OR_RETURN(Archive archive, Archive::Open(*source->bytes, limits));
  Json::Object members;
  while (std::optional<std::string> name = archive.NextName()) {
    if (!name->ends_with(".json")) continue;
    NIMBUS_ASSIGN_OR_RETURN(const std::string text, archive.Read());
    absl::StatusOr<Json> value = Json::Parse(text, options.json);
    if (!value.ok()) return schema::Annotate(value.status(), ToolName(*name));
    members.emplace_back(*std::move(name), *std::move(value));
  }
  source->shape = Source::Shape::kDocument;
  source->archive = true;
  source->records.push_back({*source->bytes, 1, Json::MakeObject(std::move(members))});
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Source> ParseSource(std::string name, std::string bytes,
                                   const SourceOptions& options) {
  Source source;
  source.name = std::move(name);
  source.file_bytes = bytes.size();
  source.file_digest = schema::Blake2b256(bytes);
  if (IsZstd(bytes)) {
    absl::StatusOr<std::string> plain = DecompressZstd(bytes, options.bytes_max);
    if (!plain.ok()) return plain.status();
    bytes = *std::move(plain);
  }
  source.bytes = std::make_unique<const std::string>(std::move(bytes));
  if (IsArchive(*source.bytes)) {
    NIMBUS_RETURN_IF_ERROR(ReadMembers(options, &source));
    return source;
  }

  std::string_view text = *source.bytes;
  if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
  if (TrimBlanks(text).empty()) return Error(StatusCode::kInvalidArgument, "the file is empty");

  const std::vector<Line> lines = SplitLines(text);
  if (LooksLikeLines(lines)) {
    NIMBUS_RETURN_IF_ERROR(ReadLines(lines, options, &source));
    return source;
  }
  const std::string_view document = TrimBlanks(text);
  absl::StatusOr<Json> value = Json::Parse(document, options.json);
  if (!value.ok())
    return schema::Annotate(value.status(),
                            fmt::format("not JSON, from line {} on", lines.front().number));
  source.shape = lines.size() == 1 ? Source::Shape::kLines : Source::Shape::kDocument;
  source.records.push_back({document, lines.front().number, *std::move(value)});
  return source;
}

absl::StatusOr<Source> ReadSource(const std::string& path, const SourceOptions& options) {
  NIMBUS_ASSIGN_OR_RETURN(std::string bytes, ReadWhole(path, options.bytes_max));
  absl::StatusOr<Source> source =
      ParseSource(std::filesystem::path(path).filename().string(), std::move(bytes), options);
  if (!source.ok()) return schema::Annotate(source.status(), path);
  return source;
}

}  // namespace nimbus::tools::import
