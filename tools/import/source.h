// A source file as its records: the lines of a JSONL file, one JSON document, or a
// zip archive of documents.
//
//   NIMBUS_ASSIGN_OR_RETURN(const Source source, ReadSource(path, {}));
//   for (const SourceRecord& record : source.records) Use(record.value);
//
// Every record is parsed and known to be JSON before anything is made of it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "nimbus/schema/digest.h"
#include "nimbus/schema/json.h"

namespace nimbus::tools::import {

struct SourceRecord {
  std::string_view
      text;           // as it stands in the file, without its line end; points into Source::bytes
  uint64_t line = 1;  // where it begins
  schema::Json value;
};

// A line that is no JSON, passed over because the caller asked to keep going.
struct SkippedLine {
  uint64_t line = 1;
  uint64_t before_record = 0;  // index of the record that follows it
  std::string reason;
  std::string_view bytes;
};

struct Source {
  enum class Shape { kLines, kDocument };

  std::string name;                          // the file's name without directories
  std::unique_ptr<const std::string> bytes;  // all of it, decompressed
  uint64_t file_bytes = 0;                   // as on disk
  schema::Digest file_digest{};              // of the bytes on disk
  Shape shape = Shape::kLines;               // a single line may be either
  // One record: the archive's own bytes, and as value an object of its members
  // that are JSON by name ("*.json"), in the order of its directory.
  bool archive = false;
  std::vector<SourceRecord> records;
  std::vector<SkippedLine> skipped;
};

struct SourceOptions {
  size_t bytes_max = size_t{1} << 30;  // of the file, and of what it decompresses to
  bool keep_going = false;             // pass over lines that are no JSON
  size_t archive_members_max = 100'000;
  // Of each record and archive member. What is made of one is nested a little deeper.
  schema::JsonLimits json{.depth_max = 500};
};

// Reads the file whole; one that begins with zstd's magic number is
// decompressed. Blank lines and a UTF-8 byte order mark are no part of any
// record. NotFound, PermissionDenied, Unavailable: the file system's answer.
// InvalidArgument: a directory, an empty file, a line or document that is no
// JSON (the message names the line), an archive that is cut off, damaged or has
// two members of one name, or a member that is no JSON (the message names it).
// ResourceExhausted: over bytes_max or archive_members_max. Every message begins
// with the path.
absl::StatusOr<Source> ReadSource(const std::string& path, const SourceOptions& options);

// The same from text already in memory; its messages leave the name to the caller.
absl::StatusOr<Source> ParseSource(std::string name, std::string bytes,
                                   const SourceOptions& options);

}  // namespace nimbus::tools::import
