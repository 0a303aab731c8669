// The file of a range of records: written as a stream, read back piece by piece.
// See FORMAT.md. A reader trusts nothing in it.
#pragma once

#include <sodium.h>

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "entry.h"
#include "format.h"
#include "frame_packer.h"
#include "merkle.h"
#include "nimbus/schema/id.h"

namespace nimbus::journal {

inline constexpr uint32_t kRangeMagic = 0x474e4d4e;  // "NMNG"
inline constexpr uint32_t kRangeVersion = 1;
inline constexpr size_t kRangeWindowBytes = size_t{64} << 20;
// Of a piece: a frame is closed once it holds this much, and one more block fits.
inline constexpr size_t kPieceValueBytesMax = size_t{4} << 20;
inline constexpr size_t kPieceChunkBytesMax = kBodyBytesMax + kBlockBytesMax;

struct RangeHeader {
  schema::Uuid journal;
  uint64_t from = 0;
  uint64_t to = 0;
  Hash root_from{};
  Hash root_to{};
  std::vector<Hash> subtrees;  // of the tree at `from`
};

// The blocks of a file that later ones may name as a base: the last ones, as many
// as have kRangeWindowBytes of plaintext in all, at least one.
class BlockWindow {
 public:
  struct Slot {
    uint64_t first = 0;
    uint8_t depth = 0;
    std::shared_ptr<const Bytes> plain;
  };
  void Add(Slot slot);
  // nullptr when it is not there. Valid until the next Add.
  const Slot* Find(uint64_t first) const;

 private:
  std::deque<Slot> slots_;  // by sequence
  size_t bytes_ = 0;
};

class RangeWriter {
 public:
  using Sink = std::function<absl::Status(std::span<const uint8_t>)>;

  RangeWriter(Sink sink, int compression_level);

  absl::Status Begin(const RangeHeader& header);
  absl::Status Add(const schema::fb::Envelope& envelope, const Entry& entry);
  // Writes what is left, and the digest of all.
  absl::Status Finish();

  uint64_t bytes() const { return bytes_; }

 private:
  absl::Status Write(std::span<const uint8_t> bytes);
  absl::Status WritePieces(const std::vector<PackedFrame>& frames);

  const Sink sink_;
  const int compression_level_;
  BlockWindow window_;
  std::optional<FramePacker> packer_;
  crypto_generichash_state digest_;
  uint64_t bytes_ = 0;
};

class RangeReader {
 public:
  // InvalidArgument: no such file. Unimplemented: of a newer format.
  static absl::StatusOr<std::unique_ptr<RangeReader>> Open(const std::string& path);
  ~RangeReader();

  const RangeHeader& header() const { return header_; }
  uint64_t file_bytes() const { return file_bytes_; }
  uint64_t position() const { return position_; }

  // Reads the whole file. DataLoss unless it ends with its digest.
  absl::Status CheckDigest(const std::function<bool(uint64_t)>& progress);

  // To the first entry.
  void Rewind();
  // The next entry, not yet checked, valid until the next call; nullopt behind the
  // last. DataLoss when the file is malformed.
  absl::StatusOr<std::optional<Entry>> Next();

 private:
  RangeReader(std::string path, int descriptor) : path_(std::move(path)), descriptor_(descriptor) {}
  absl::Status ReadHeader();
  absl::Status ReadExactly(size_t bytes, Bytes* out);
  absl::StatusOr<bool> ReadPiece();
  absl::Status DecodeBlock(const BlockEntry& block);
  absl::StatusOr<std::optional<EntryBody>> BodyOf(uint64_t sequence);

  const std::string path_;
  const int descriptor_;
  uint64_t file_bytes_ = 0;
  uint64_t begin_ = 0;     // of the first piece
  uint64_t position_ = 0;  // of the next byte to read
  RangeHeader header_;

  uint64_t next_ = 0;  // sequence of the next entry
  std::optional<Frame> frame_;
  Bytes value_, chunks_;            // of the piece
  std::vector<BlockEntry> blocks_;  // of the piece; views into the two above
  size_t block_ = 0;                // the one that holds the next body, or a later one
  bool decoded_ = false;            // whether it is plain_
  std::shared_ptr<const Bytes> plain_;
  BlockWindow window_;
};

}  // namespace nimbus::journal
