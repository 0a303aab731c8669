#include "tools/import/archive.h"

#include <zip.h>
#include <zlib.h>

#include <algorithm>
#include <set>
#include <utility>
#include <vector>

#include "nimbus/schema/check.h"
#include "nimbus/schema/status.h"
#include "tools/import/compression.h"
#include "tools/import/text.h"

namespace nimbus::tools::import {
namespace {

using absl::StatusCode;
using schema::Error;

constexpr uint16_t kZstdMethod = 93;

absl::Status ZipError(std::string_view what) {
  return Error(StatusCode::kInvalidArgument, "zip: {}", what);
}

std::string_view NameOf(zip* archive, uint64_t index) {
  const char* name = zip_get_name(archive, index, ZIP_FL_ENC_GUESS);
  return name == nullptr ? std::string_view("(no name)") : std::string_view(name);
}

uint64_t MembersOf(zip* archive) {
  const zip_int64_t members = zip_get_num_entries(archive, 0);
  NIMBUS_CHECK(members >= 0);
  return static_cast<uint64_t>(members);
}

// Which of two equal names is meant, readers of zip disagree on.
absl::Status CheckNames(zip* archive, uint64_t members) {
  std::set<std::string_view> names;
  for (uint64_t i = 0; i < members; ++i) {
    const std::string_view name = NameOf(archive, i);
    if (!names.insert(name).second)
      return Error(StatusCode::kInvalidArgument, "zip: two members are named '{}'", ToolName(name));
  }
  return absl::OkStatus();
}

struct CloseMember {
  void operator()(zip_file_t* member) const { zip_fclose(member); }
};

}  // namespace

bool IsArchive(std::string_view bytes) {
  // The first member, or the directory of an archive without any.
  return bytes.starts_with("PK\x03\x04") || bytes.starts_with("PK\x05\x06");
}

void Archive::Close::operator()(zip* archive) const { zip_discard(archive); }

absl::StatusOr<Archive::Handle> Archive::OpenZip(std::string_view bytes, int flags) {
  zip_error_t error;
  zip_error_init(&error);
  zip_source_t* source = zip_source_buffer_create(bytes.data(), bytes.size(), 0, &error);
  Handle archive;
  if (source != nullptr) archive.reset(zip_open_from_source(source, ZIP_RDONLY | flags, &error));
  const std::string reason = archive == nullptr ? zip_error_strerror(&error) : "";
  if (archive == nullptr && source != nullptr) zip_source_free(source);
  zip_error_fini(&error);
  if (archive == nullptr) return ZipError(reason + " (cut off?)");
  return archive;
}

Archive::Archive(Handle archive, const ArchiveLimits& limits)
    : archive_(std::move(archive)), limits_(limits) {}

absl::StatusOr<Archive> Archive::Open(std::string_view bytes, const ArchiveLimits& limits) {
  // Twice: what libzip finds inconsistent, it does not name.
  NIMBUS_ASSIGN_OR_RETURN(const Handle directory, OpenZip(bytes, 0));
  const uint64_t members = MembersOf(directory.get());
  if (members > limits.members_max)
    return Error(StatusCode::kResourceExhausted, "zip: {} members, {} are allowed", members,
                 limits.members_max);
  NIMBUS_RETURN_IF_ERROR(CheckNames(directory.get(), members));
  NIMBUS_ASSIGN_OR_RETURN(Handle archive, OpenZip(bytes, ZIP_CHECKCONS));
  return Archive(std::move(archive), limits);
}

std::optional<std::string> Archive::NextName() {
  if (next_ >= MembersOf(archive_.get())) return std::nullopt;
  return std::string(NameOf(archive_.get(), next_++));
}

// As they are stored with ZIP_FL_COMPRESSED, else decompressed and checked.
absl::StatusOr<std::string> Archive::ReadBytes(uint32_t flags, size_t bytes_max) {
  const std::unique_ptr<zip_file_t, CloseMember> member(
      zip_fopen_index(archive_.get(), next_ - 1, flags));
  if (member == nullptr) return ZipError(zip_strerror(archive_.get()));
  std::string out;
  for (std::vector<char> buffer(64u << 10);;) {
    const zip_int64_t count = zip_fread(member.get(), buffer.data(), buffer.size());
    if (count < 0) return ZipError(zip_file_strerror(member.get()));
    if (count == 0) return out;
    out.append(buffer.data(), static_cast<size_t>(count));
    if (out.size() > bytes_max) return TooLarge(bytes_max);
  }
}

absl::StatusOr<std::string> Archive::ReadZstd(size_t bytes_max, uint32_t crc) {
  // The archive's own bytes limit the compressed ones.
  NIMBUS_ASSIGN_OR_RETURN(const std::string compressed,
                          ReadBytes(ZIP_FL_COMPRESSED, limits_.total_bytes_max));
  NIMBUS_ASSIGN_OR_RETURN(std::string out, DecompressZstd(compressed, bytes_max));
  const auto* bytes = reinterpret_cast<const Bytef*>(out.data());
  if (crc32_z(crc32_z(0, nullptr, 0), bytes, out.size()) != crc) return ZipError("CRC error");
  return out;
}

absl::StatusOr<std::string> Archive::Read() {
  NIMBUS_CHECK(next_ > 0);
  const std::string name = ToolName(NameOf(archive_.get(), next_ - 1));
  zip_stat_t info;
  zip_stat_init(&info);
  if (zip_stat_index(archive_.get(), next_ - 1, 0, &info) != 0)
    return schema::Annotate(ZipError(zip_strerror(archive_.get())), name);
  const size_t bytes_max =
      std::min(limits_.member_bytes_max, limits_.total_bytes_max - read_bytes_);
  const bool zstd = (info.valid & ZIP_STAT_COMP_METHOD) != 0 && info.comp_method == kZstdMethod;
  const bool plain =
      (info.valid & ZIP_STAT_ENCRYPTION_METHOD) == 0 || info.encryption_method == ZIP_EM_NONE;
  absl::StatusOr<std::string> content =
      zstd && plain ? ReadZstd(bytes_max, info.crc) : ReadBytes(0, bytes_max);
  if (!content.ok()) return schema::Annotate(content.status(), name);
  read_bytes_ += content->size();
  return content;
}

}  // namespace nimbus::tools::import
