#include "read_ahead.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <optional>

#include "nimbus/schema/status.h"

namespace nimbus::journal {
namespace {

constexpr size_t kPieceBytes = size_t{2} << 20;  // two are in flight
constexpr size_t kPageBytes = 4096;

// Pages that lie together are asked for together.
class Request {
 public:
  ~Request() { Send(); }
  void Add(lmdb::View view) {
    const auto address = reinterpret_cast<uintptr_t>(view.data());
    const uintptr_t begin = address / kPageBytes * kPageBytes;
    if (begin != end_) {
      Send();
      begin_ = begin;
    }
    end_ = (address + view.size() + kPageBytes - 1) / kPageBytes * kPageBytes;
  }

 private:
  void Send() const {
    // When it fails, the pages are read when they are needed.
    if (end_ > begin_) madvise(reinterpret_cast<void*>(begin_), end_ - begin_, MADV_WILLNEED);
  }

  uintptr_t begin_ = 0;
  uintptr_t end_ = 0;
};

std::optional<uint64_t> FrameKey(const lmdb::KeyValue& entry) {
  uint64_t key = 0;
  if (entry.key.size() != sizeof(key)) return std::nullopt;  // who reads it finds out
  std::memcpy(&key, entry.key.data(), sizeof(key));
  return key;
}

}  // namespace

void ReadAhead::WantBodies() {
  if (!bodies_) Forget();
  bodies_ = true;
}

void ReadAhead::NoteRecordBytes(size_t bytes) {
  record_bytes_ = std::max(bytes, record_bytes_ - record_bytes_ / 8);
}

absl::Status ReadAhead::Come(const lmdb::Transaction& txn, lmdb::Table frames, uint64_t key) {
  if (key >= window_begin_ && key < piece_begin_) return absl::OkStatus();
  if (key >= piece_begin_ && key < piece_end_) {
    window_begin_ = piece_begin_;
    return TellPiece(txn, frames, piece_end_);
  }
  window_begin_ = key;
  return TellPiece(txn, frames, key);
}

absl::Status ReadAhead::TellPiece(const lmdb::Transaction& txn, lmdb::Table frames, uint64_t from) {
  piece_begin_ = piece_end_ = from;
  NIMBUS_ASSIGN_OR_RETURN(lmdb::Cursor cursor, txn.OpenCursor(frames));
  NIMBUS_ASSIGN_OR_RETURN(
      auto entry, cursor.AtOrAfter({reinterpret_cast<const uint8_t*>(&from), sizeof(from)}));
  Request request;
  const size_t bytes_max = bodies_ ? SIZE_MAX : record_bytes_ + record_bytes_ / 4;
  for (size_t told = 0; entry.has_value() && told < kPieceBytes;) {
    const std::optional<uint64_t> key = FrameKey(*entry);
    if (!key.has_value()) break;
    const lmdb::View wanted = entry->value.first(std::min(entry->value.size(), bytes_max));
    request.Add(wanted);
    told += wanted.size();
    piece_end_ = *key + 1;
    NIMBUS_ASSIGN_OR_RETURN(entry, cursor.Next());
  }
  return absl::OkStatus();
}

}  // namespace nimbus::journal
