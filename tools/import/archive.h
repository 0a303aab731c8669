// The members of a zip archive, one after the other. Stored and deflated members
// are libzip's to read, zstd ones (method 93, any number of frames) ours: Debian
// 12's libzip only hands out their bytes.
//
//   NIMBUS_ASSIGN_OR_RETURN(Archive archive, Archive::Open(bytes, {}));
//   while (const std::optional<std::string> name = archive.NextName())
//     if (name->ends_with(".json")) NIMBUS_ASSIGN_OR_RETURN(std::string text, archive.Read());
//
// Nothing is believed of an archive that it does not prove: sizes are counted
// while reading, checksums compared. Names are names only; nothing is written.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

struct zip;

namespace nimbus::tools::import {

struct ArchiveLimits {
  size_t members_max = 100'000;
  size_t member_bytes_max = 64u << 20;       // of one member, decompressed
  size_t total_bytes_max = size_t{1} << 30;  // of all that are read
};

// Whether the bytes begin as those of a zip archive.
bool IsArchive(std::string_view bytes);

// One thread. The bytes must outlive it.
class Archive {
 public:
  // InvalidArgument: no archive, cut off (a zip's directory is at its end), or
  // with two members of one name. ResourceExhausted: over members_max.
  static absl::StatusOr<Archive> Open(std::string_view bytes, const ArchiveLimits& limits);

  // Steps to the next member, in the order of the archive's directory.
  std::optional<std::string> NextName();

  // The content of the member stepped to. InvalidArgument: encrypted, of another
  // compression, or not what its checksum says. ResourceExhausted: a limit.
  // Messages begin with the member's name.
  absl::StatusOr<std::string> Read();

 private:
  struct Close {
    void operator()(zip* archive) const;
  };

  using Handle = std::unique_ptr<zip, Close>;

  static absl::StatusOr<Handle> OpenZip(std::string_view bytes, int flags);
  Archive(Handle archive, const ArchiveLimits& limits);
  absl::StatusOr<std::string> ReadBytes(uint32_t flags, size_t bytes_max);
  absl::StatusOr<std::string> ReadZstd(size_t bytes_max, uint32_t crc);

  Handle archive_;
  ArchiveLimits limits_;
  uint64_t next_ = 0;  // member that NextName steps to
  size_t read_bytes_ = 0;
};

}  // namespace nimbus::tools::import
