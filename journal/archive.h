// An archive: bodies that were moved out of the journal, in one sealed file. Each
// has its nonce with it, so that it still proves itself against its record. See
// FORMAT.md.
//
//   NIMBUS_ASSIGN_OR_RETURN(ArchiveWriter writer, ArchiveWriter::Create(path, journal_id));
//   for (…) NIMBUS_RETURN_IF_ERROR(writer.Add(stream, sequence, body));
//   NIMBUS_RETURN_IF_ERROR(writer.Seal());
//
//   NIMBUS_ASSIGN_OR_RETURN(std::unique_ptr<Archive> archive, Archive::Open(path, journal_id));
//   archive->ReadBlock(sequence, &bytes);      // as Environment::ReadBlock
#pragma once

#include <sodium.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "block_packer.h"
#include "body.h"
#include "nimbus/schema/id.h"

namespace nimbus::journal {

inline constexpr uint32_t kArchiveMagic = 0x52414d4e;  // "NMAR"
inline constexpr uint32_t kArchiveVersion = 1;

class ArchiveWriter {
 public:
  // Makes the file anew, beside its place: it is there once it is sealed.
  static absl::StatusOr<std::unique_ptr<ArchiveWriter>> Create(const std::string& path,
                                                               const schema::Uuid& journal,
                                                               PackerOptions options);
  // Removes what was not sealed.
  ~ArchiveWriter();

  // In ascending order.
  absl::Status Add(const schema::Uuid& stream, uint64_t sequence, const EntryBody& body);
  // On stable storage, under its name.
  absl::Status Seal();

  uint64_t bodies() const { return bodies_; }
  uint64_t bytes() const { return bytes_; }

 private:
  ArchiveWriter(std::string path, int descriptor, PackerOptions options)
      : path_(std::move(path)), descriptor_(descriptor), packer_(std::move(options)) {}
  absl::Status Write(std::span<const uint8_t> bytes);
  absl::Status CloseBlock();

  const std::string path_;
  int descriptor_;
  BlockPacker packer_;
  crypto_generichash_state digest_;
  Bytes index_;
  uint32_t blocks_ = 0;
  uint64_t bodies_ = 0;
  uint64_t bytes_ = 0;
};

// Thread-safe.
class Archive {
 public:
  // NotFound: no such file. DataLoss: it is damaged, or of another journal.
  // Reads the index only.
  static absl::StatusOr<std::unique_ptr<Archive>> Open(const std::string& path,
                                                       const schema::Uuid& journal);
  ~Archive();

  // The block that holds the body of `sequence`, its bytes copied into `bytes`;
  // nullopt if there is none. Its base is in this archive too.
  absl::StatusOr<std::optional<BlockEntry>> ReadBlock(uint64_t sequence, Bytes* bytes) const;

  // The first body of the block that spans `sequence`, which need not hold it;
  // nullopt if none does.
  std::optional<uint64_t> BlockAt(uint64_t sequence) const;

  // Reads the whole file. DataLoss unless it is as it was sealed.
  absl::Status CheckDigest() const;

 private:
  struct Place {  // of a block
    uint64_t first = 0;
    uint64_t last = 0;
    uint64_t offset = 0;
    uint32_t frame_bytes = 0;
    uint32_t chunk_bytes = 0;
  };
  static_assert(sizeof(Place) == 32);

  Archive(std::string path, int descriptor) : path_(std::move(path)), descriptor_(descriptor) {}
  const Place* Find(uint64_t sequence) const;
  absl::Status ReadIndex(const schema::Uuid& journal);
  absl::Status ReadAt(uint64_t offset, size_t bytes, Bytes* out) const;

  const std::string path_;
  const int descriptor_;
  uint64_t file_bytes_ = 0;
  std::vector<Place> index_;  // by sequence
};

}  // namespace nimbus::journal
