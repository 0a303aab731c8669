// A trace: what a program did to the files below one directory, call by call,
// as the recorder (recorder.h) appends it while the program runs.
//
// A trace is a sequence of records, each a RecordHeader, then its path, its
// second path and its data. A call makes two: one before it is made, since from
// then on it may reach the disk, and kReturned after. Their order is true across
// threads and processes: when a call returned before another began, its
// kReturned stands before the other's record. So a sync covers exactly the calls
// whose kReturned stands before the record of the sync. Integers are those of
// the machine; a trace is read where it was made.
#pragma once

#include <cstdint>

namespace nimbus::simulation {

enum class Call : uint16_t {
  kReturned = 0,   // `offset`: the result, `inode`: of the file a kCreate opened
  kCreate,         // open with O_CREAT or O_TRUNC; path
  kWrite,          // inode, offset, data
  kTruncate,       // inode or path; offset: the new size
  kExtend,         // fallocate; inode; offset: the size it has at least afterwards
  kSync,           // fsync, fdatasync; inode
  kSyncAll,        // sync, syncfs
  kRename,         // path, second path
  kLink,           // path, second path
  kSymlink,        // path, second path: the text of the link
  kUnlink,         // path; rmdir too
  kMakeDirectory,  // path
  // Made by the program about itself; these do not return.
  kMark,         // data: what it says
  kSnapshot,     // path, data: what a file that is written through a map held
  kUnsupported,  // data: a call that this format has no word for
};

enum RecordFlags : uint16_t {
  kThrough = 1,   // of kWrite: the descriptor is O_SYNC or O_DSYNC
  kTruncates = 2  // of kCreate: O_TRUNC
};

struct RecordHeader {
  Call call = Call::kReturned;
  uint16_t flags = 0;
  uint32_t path_bytes = 0;
  uint32_t second_path_bytes = 0;
  uint32_t data_bytes = 0;
  uint64_t id = 0;     // of the call; its kReturned has the same
  int64_t micros = 0;  // of the steady clock, the same in all processes
  uint64_t inode = 0;
  int64_t offset = 0;
};
static_assert(sizeof(RecordHeader) == 48);

}  // namespace nimbus::simulation
