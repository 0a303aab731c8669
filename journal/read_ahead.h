// Tells the kernel what a scan of the frames wants next, so that the disk reads
// it in large pieces: LMDB by itself has it read page by page.
//
// A frame's value holds its records, then their bodies. Who reads records only
// has only them read, some eighth of the file.
#pragma once

#include <cstddef>
#include <cstdint>

#include "absl/status/status.h"
#include "lmdb_env.h"

namespace nimbus::journal {

// Of one scan. One thread.
class ReadAhead {
 public:
  // From here on, the bodies too.
  void WantBodies();
  // The table has been replaced.
  void Forget() { window_begin_ = piece_begin_ = piece_end_ = 0; }

  // The scan is about to read the frame under `key`.
  absl::Status Come(const lmdb::Transaction& txn, lmdb::Table frames, uint64_t key);
  // Its records took so many bytes.
  void NoteRecordBytes(size_t bytes);

 private:
  absl::Status TellPiece(const lmdb::Transaction& txn, lmdb::Table frames, uint64_t from);

  bool bodies_ = false;
  size_t record_bytes_ = size_t{32} << 10;  // what the records of a frame are expected to take
  // Frames between these keys have been told of, those from piece_begin_ on last.
  uint64_t window_begin_ = 0;
  uint64_t piece_begin_ = 0;
  uint64_t piece_end_ = 0;
};

}  // namespace nimbus::journal
