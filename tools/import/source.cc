#include "tools/import/source.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>
#include <optional>
#include <utility>

#include "nimbus/schema/status.h"

namespace nimbus::tools::import {
namespace {

using absl::StatusCode;
using schema::Error;
using schema::Json;

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
constexpr std::string_view kZstdMagic = "\x28\xB5\x2F\xFD";
constexpr size_t kReadBytes = 1 << 20;

class FileDescriptor {
 public:
  explicit FileDescriptor(int fd) : fd_(fd) {}
  ~FileDescriptor() {
    if (fd_ >= 0) close(fd_);
  }
  FileDescriptor(const FileDescriptor&) = delete;
  FileDescriptor& operator=(const FileDescriptor&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

absl::Status FileError(int error, const std::string& path) {
  return absl::ErrnoToStatus(error, path);
}

absl::Status TooLarge(size_t bytes_max) {
  return Error(StatusCode::kResourceExhausted, "larger than the limit of {} bytes", bytes_max);
}

// To the end, whatever the size was at first: the file may be growing, or a pipe.
absl::StatusOr<std::string> ReadWhole(const std::string& path, size_t bytes_max) {
  const FileDescriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat info {};
  if (file.get() < 0 || fstat(file.get(), &info) != 0) return FileError(errno, path);
  if (S_ISDIR(info.st_mode))
    return Error(StatusCode::kInvalidArgument, "{}: is a directory, not a recording", path);
  std::string bytes;
  if (S_ISREG(info.st_mode)) {
    if (static_cast<uint64_t>(info.st_size) > bytes_max)
      return schema::Annotate(TooLarge(bytes_max), path);
    bytes.reserve(static_cast<size_t>(info.st_size));
  }
  for (std::vector<char> buffer(kReadBytes);;) {
    const ssize_t count = read(file.get(), buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return FileError(errno, path);
    if (count == 0) return bytes;
    bytes.append(buffer.data(), static_cast<size_t>(count));
    if (bytes.size() > bytes_max) return schema::Annotate(TooLarge(bytes_max), path);
  }
}

absl::StatusOr<std::string> Decompress(std::string_view compressed, size_t bytes_max) {
  const std::unique_ptr<ZSTD_DStream, size_t (*)(ZSTD_DStream*)> stream(ZSTD_createDStream(),
                                                                        ZSTD_freeDStream);
  if (stream == nullptr) return Error(StatusCode::kResourceExhausted, "no memory for zstd");
  std::vector<char> buffer(ZSTD_DStreamOutSize());
  ZSTD_inBuffer in{compressed.data(), compressed.size(), 0};
  std::string out;
  for (size_t left = 1;;) {
    ZSTD_outBuffer chunk{buffer.data(), buffer.size(), 0};
    const size_t consumed = in.pos;
    left = ZSTD_decompressStream(stream.get(), &chunk, &in);
    if (ZSTD_isError(left))
      return Error(StatusCode::kInvalidArgument, "zstd: {} near byte {}", ZSTD_getErrorName(left),
                   in.pos);
    out.append(buffer.data(), chunk.pos);
    if (out.size() > bytes_max) return TooLarge(bytes_max);
    if (left == 0 && in.pos == in.size) return out;
    if (in.pos == consumed && chunk.pos == 0)
      return Error(StatusCode::kInvalidArgument, "zstd: the file ends inside a frame");
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

}  // namespace

absl::StatusOr<Source> ParseSource(std::string name, std::string bytes,
                                   const SourceOptions& options) {
  Source source;
  source.name = std::move(name);
  source.file_bytes = bytes.size();
  source.file_digest = schema::Blake2b256(bytes);
  if (bytes.starts_with(kZstdMagic)) {
    absl::StatusOr<std::string> plain = Decompress(bytes, options.bytes_max);
    if (!plain.ok()) return plain.status();
    bytes = *std::move(plain);
  }
  source.bytes = std::make_unique<const std::string>(std::move(bytes));

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
