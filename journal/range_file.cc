#include "range_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>

#include "nimbus/schema/check.h"
#include "nimbus/schema/event.h"
#include "nimbus/schema/status.h"
#include "store.h"

namespace nimbus::journal {
namespace {

using schema::Error;
using Code = absl::StatusCode;

constexpr size_t kFixedHeaderBytes = 104;
constexpr size_t kPieceHeaderBytes = 8;
constexpr size_t kDigestBytes = sizeof(schema::Digest);
constexpr size_t kReadBytes = size_t{1} << 20;

Bytes EncodeHeader(const RangeHeader& header) {
  Bytes out;
  PutFixed(kRangeMagic, &out);
  PutFixed(kRangeVersion, &out);
  PutFixed(header.journal.bytes, &out);
  PutFixed(header.from, &out);
  PutFixed(header.to, &out);
  PutFixed(header.root_from, &out);
  PutFixed(header.root_to, &out);
  NIMBUS_CHECK(out.size() == kFixedHeaderBytes);
  for (const Hash& hash : header.subtrees) PutFixed(hash, &out);
  return out;
}

}  // namespace

void BlockWindow::Add(Slot slot) {
  bytes_ += slot.plain->size();
  slots_.push_back(std::move(slot));
  while (bytes_ > kRangeWindowBytes && slots_.size() > 1) {
    bytes_ -= slots_.front().plain->size();
    slots_.pop_front();
  }
}

const BlockWindow::Slot* BlockWindow::Find(uint64_t first) const {
  const auto slot =
      std::lower_bound(slots_.begin(), slots_.end(), first,
                       [](const Slot& a, uint64_t sequence) { return a.first < sequence; });
  return slot != slots_.end() && slot->first == first ? &*slot : nullptr;
}

RangeWriter::RangeWriter(Sink sink, int compression_level)
    : sink_(std::move(sink)), compression_level_(compression_level) {
  NIMBUS_CHECK(crypto_generichash_init(&digest_, nullptr, 0, kDigestBytes) == 0);
}

absl::Status RangeWriter::Write(std::span<const uint8_t> bytes) {
  crypto_generichash_update(&digest_, bytes.data(), bytes.size());
  bytes_ += bytes.size();
  return sink_(bytes);
}

absl::Status RangeWriter::Begin(const RangeHeader& header) {
  packer_.emplace(
      header.journal, header.from, /*previous_checksum=*/0,
      PackerOptions{
          .compression_level = compression_level_,
          .block_bytes_max = kBlockBytesMax,
          .may_be_base = [this](uint64_t first) { return window_.Find(first) != nullptr; },
          .note_block =
              [this](uint64_t first, std::shared_ptr<const Bytes> plain) {
                window_.Add({.first = first, .plain = std::move(plain)});
              }});
  return Write(EncodeHeader(header));
}

absl::Status RangeWriter::WritePieces(const std::vector<PackedFrame>& frames) {
  for (const PackedFrame& frame : frames) {
    NIMBUS_CHECK(frame.value.size() <= kPieceValueBytesMax);
    Bytes lengths;
    PutFixed(static_cast<uint32_t>(frame.value.size()), &lengths);
    PutFixed(static_cast<uint32_t>(frame.chunks.size()), &lengths);
    NIMBUS_RETURN_IF_ERROR(Write(lengths));
    NIMBUS_RETURN_IF_ERROR(Write(frame.value));
    NIMBUS_RETURN_IF_ERROR(Write(frame.chunks));
  }
  return absl::OkStatus();
}

absl::Status RangeWriter::Add(const schema::fb::Envelope& envelope, const Entry& entry) {
  return WritePieces(packer_->Add(envelope, entry));
}

absl::Status RangeWriter::Finish() {
  NIMBUS_RETURN_IF_ERROR(WritePieces(packer_->Finish()));
  NIMBUS_RETURN_IF_ERROR(Write(Bytes(kPieceHeaderBytes)));
  schema::Digest digest;
  crypto_generichash_final(&digest_, digest.data(), digest.size());
  bytes_ += digest.size();
  return sink_(digest);
}

absl::StatusOr<std::unique_ptr<RangeReader>> RangeReader::Open(const std::string& path) {
  const int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return StatusOfErrno(errno, path);
  std::unique_ptr<RangeReader> reader(new RangeReader(path, descriptor));
  struct stat info;
  if (fstat(descriptor, &info) != 0) return StatusOfErrno(errno, path);
  if (!S_ISREG(info.st_mode)) {
    return Error(Code::kInvalidArgument, "{}: a range is read from a regular file only", path);
  }
  reader->file_bytes_ = static_cast<uint64_t>(info.st_size);
  NIMBUS_RETURN_IF_ERROR(reader->ReadHeader());
  reader->Rewind();
  return reader;
}

RangeReader::~RangeReader() { close(descriptor_); }

void RangeReader::Rewind() {
  position_ = begin_;
  next_ = header_.from;
  frame_.reset();
  blocks_.clear();
  window_ = BlockWindow();
}

absl::Status RangeReader::ReadExactly(size_t bytes, Bytes* out) {
  if (bytes > file_bytes_ - position_) {
    return Error(Code::kDataLoss, "{}: cut off at byte {}", path_, file_bytes_);
  }
  out->resize(bytes);
  for (size_t done = 0; done < bytes;) {
    const ssize_t got =
        pread(descriptor_, out->data() + done, bytes - done, static_cast<off_t>(position_ + done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return StatusOfErrno(errno, path_);
    if (got == 0) return Error(Code::kDataLoss, "{}: it became shorter", path_);
    done += static_cast<size_t>(got);
  }
  position_ += bytes;
  return absl::OkStatus();
}

absl::Status RangeReader::ReadHeader() {
  Bytes bytes;
  uint32_t magic = 0, version = 0;
  if (file_bytes_ < kFixedHeaderBytes + kPieceHeaderBytes + kDigestBytes) {
    return Error(Code::kInvalidArgument, "{}: not a range of a journal, or cut off", path_);
  }
  NIMBUS_RETURN_IF_ERROR(ReadExactly(kFixedHeaderBytes, &bytes));
  std::span<const uint8_t> in = bytes;
  if (!TakeFixed(&in, &magic) || magic != kRangeMagic || !TakeFixed(&in, &version)) {
    return Error(Code::kInvalidArgument, "{}: not a range of a journal", path_);
  }
  if (version != kRangeVersion) {
    return Error(Code::kUnimplemented, "{}: format {} of ranges; this program knows {}", path_,
                 version, kRangeVersion);
  }
  const bool whole = TakeFixed(&in, &header_.journal.bytes) && TakeFixed(&in, &header_.from) &&
                     TakeFixed(&in, &header_.to) && TakeFixed(&in, &header_.root_from) &&
                     TakeFixed(&in, &header_.root_to);
  NIMBUS_CHECK(whole && in.empty());
  const size_t subtrees = static_cast<size_t>(std::popcount(header_.from));
  NIMBUS_RETURN_IF_ERROR(ReadExactly(subtrees * sizeof(Hash), &bytes));
  header_.subtrees.resize(subtrees);
  in = bytes;
  for (Hash& hash : header_.subtrees) NIMBUS_CHECK(TakeFixed(&in, &hash));
  begin_ = position_;
  return absl::OkStatus();
}

absl::Status RangeReader::CheckDigest(const std::function<bool(uint64_t)>& progress) {
  crypto_generichash_state state;
  NIMBUS_CHECK(crypto_generichash_init(&state, nullptr, 0, kDigestBytes) == 0);
  Bytes bytes;
  for (position_ = 0; position_ < file_bytes_ - kDigestBytes;) {
    const uint64_t left = file_bytes_ - kDigestBytes - position_;
    NIMBUS_RETURN_IF_ERROR(ReadExactly(std::min<uint64_t>(left, kReadBytes), &bytes));
    crypto_generichash_update(&state, bytes.data(), bytes.size());
    if (!progress(position_)) return absl::CancelledError("interrupted");
  }
  schema::Digest digest;
  crypto_generichash_final(&state, digest.data(), digest.size());
  NIMBUS_RETURN_IF_ERROR(ReadExactly(kDigestBytes, &bytes));
  if (!std::equal(digest.begin(), digest.end(), bytes.begin(), bytes.end())) {
    return Error(Code::kDataLoss, "{}: cut off, or changed since it was written", path_);
  }
  Rewind();
  return absl::OkStatus();
}

absl::StatusOr<std::optional<Entry>> RangeReader::Next() {
  if (!frame_.has_value() || next_ == frame_->end_sequence()) {
    NIMBUS_ASSIGN_OR_RETURN(const bool more, ReadPiece());
    if (!more) return std::optional<Entry>();
  }
  Entry entry{.sequence = next_,
              .record = frame_->record(next_ - frame_->first_sequence()),
              .body = std::nullopt};
  NIMBUS_ASSIGN_OR_RETURN(entry.body, BodyOf(next_));
  ++next_;
  return std::optional<Entry>(entry);
}

// False at the end of the pieces, which must be that of the range and the file.
absl::StatusOr<bool> RangeReader::ReadPiece() {
  const absl::Status malformed =
      Error(Code::kDataLoss, "{}: malformed at byte {}", path_, position_);
  Bytes lengths;
  NIMBUS_RETURN_IF_ERROR(ReadExactly(kPieceHeaderBytes, &lengths));
  std::span<const uint8_t> in = lengths;
  uint32_t value_bytes = 0, chunk_bytes = 0;
  NIMBUS_CHECK(TakeFixed(&in, &value_bytes) && TakeFixed(&in, &chunk_bytes));
  if (value_bytes == 0) {
    const bool ends =
        chunk_bytes == 0 && next_ == header_.to && position_ + kDigestBytes == file_bytes_;
    return ends ? absl::StatusOr<bool>(false) : malformed;
  }
  if (value_bytes > kPieceValueBytesMax || chunk_bytes > kPieceChunkBytesMax) return malformed;
  NIMBUS_RETURN_IF_ERROR(ReadExactly(value_bytes, &value_));
  NIMBUS_RETURN_IF_ERROR(ReadExactly(chunk_bytes, &chunks_));
  NIMBUS_ASSIGN_OR_RETURN(frame_, Frame::Decode(value_));
  if (frame_->first_sequence() != next_ || frame_->end_sequence() > header_.to ||
      frame_->header().journal != header_.journal.bytes) {
    return malformed;
  }
  blocks_.clear();
  block_ = 0;
  decoded_ = false;
  const std::span<const uint8_t> bodies = std::span(value_).subspan(*FrameBytes(value_));
  if (!bodies.empty()) {
    NIMBUS_ASSIGN_OR_RETURN(blocks_, ParseBodyFrame(bodies, next_));
  }
  if (!blocks_.empty() && blocks_.back().bodies.back().sequence >= frame_->end_sequence()) {
    return malformed;
  }
  // Only the last block may be chunked, and its bytes are all that follows.
  for (BlockEntry& block : blocks_) {
    if (!block.chunked) continue;
    if (&block != &blocks_.back() || block.stored_bytes != chunk_bytes) return malformed;
    block.stored = chunks_;
  }
  const bool chunked = !blocks_.empty() && blocks_.back().chunked;
  return chunked == (chunk_bytes != 0) ? absl::StatusOr<bool>(true) : malformed;
}

absl::Status RangeReader::DecodeBlock(const BlockEntry& block) {
  std::span<const uint8_t> base;
  uint8_t depth = 0;
  if (block.base.has_value()) {
    const BlockWindow::Slot* slot = window_.Find(*block.base);
    if (slot == nullptr) {
      return Error(Code::kDataLoss, "body {}: its base {} is not within reach", block.first(),
                   *block.base);
    }
    base = *slot->plain;
    depth = static_cast<uint8_t>(slot->depth + 1);
  }
  if (depth != block.depth) {
    return Error(Code::kDataLoss, "body {}: malformed", block.first());
  }
  absl::StatusOr<Bytes> plain =
      DecodeStored(block.codec, block.stored, base, BlockBytes(block.bodies));
  if (!plain.ok()) {
    return schema::Annotate(plain.status(), fmt::format("body {}", block.first()));
  }
  plain_ = std::make_shared<const Bytes>(*std::move(plain));
  window_.Add({.first = block.first(), .depth = depth, .plain = plain_});
  return absl::OkStatus();
}

absl::StatusOr<std::optional<EntryBody>> RangeReader::BodyOf(uint64_t sequence) {
  if (block_ < blocks_.size() && blocks_[block_].bodies.back().sequence < sequence) {
    ++block_;
    decoded_ = false;
  }
  if (block_ == blocks_.size()) return std::optional<EntryBody>();
  const BlockEntry& block = blocks_[block_];
  const auto body = std::find_if(block.bodies.begin(), block.bodies.end(),
                                 [&](const BodyExtent& b) { return b.sequence == sequence; });
  if (body == block.bodies.end()) return std::optional<EntryBody>();
  if (!decoded_) NIMBUS_RETURN_IF_ERROR(DecodeBlock(block));
  decoded_ = true;
  const size_t offset = BlockBytes({block.bodies.begin(), body});
  return std::optional<EntryBody>(
      EntryBody{.bytes = std::span<const uint8_t>(*plain_).subspan(offset, body->bytes),
                .nonce = body->nonce});
}

}  // namespace nimbus::journal
