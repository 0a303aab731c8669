// The recorder: linked into a program, it stands between the program with all
// its libraries and the C library, and records what they do to the files below a
// directory (trace_format.h). The functions it takes the place of are defined in
// interpose.cc; being the executable's own they come first in every library's
// search, with any sanitizer.
//
//   NIMBUS_RECORD_ROOT   the directory; nothing is recorded when not set
//   NIMBUS_RECORD_TRACE  the trace to append to, outside of it; several processes may
//   NIMBUS_RECORD_CALLS  the process is killed (SIGKILL) instead of its next call or mark
//   NIMBUS_RECORD_SLOW   milliseconds that a sync of LMDB's file takes longer, so
//                        that a log has to wait for it
//
// What it does not see, stores through a map and the C library's own streams
// among them, the test finds out: it rebuilds all files from the trace and
// compares them with those the program left. Thread-safe.
#pragma once

#include <sys/uio.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "simulation/trace_format.h"

namespace nimbus::simulation {

// Puts what the program says between the calls: after it was told that something
// is on stable storage, and before it does anything else.
void Mark(std::string_view text);

// Records what a file that is written through a map holds now, if it exists.
void Snapshot(const std::string& path);

// For interpose.cc.
bool IsRecording();

struct Watched {
  std::string path;  // relative to the root
  uint64_t inode = 0;
};
// The file of a descriptor, or that a path would name; nullopt outside of the root.
std::optional<Watched> WatchedFile(int descriptor);
std::optional<Watched> WatchedPath(int directory, const char* path);

// What is to be recorded of a call, beside the time.
struct Recording {
  Call call = Call::kReturned;
  uint16_t flags = 0;
  uint64_t inode = 0;
  int64_t offset = 0;
  std::string_view path, second_path;
  const iovec* data = nullptr;
  int data_count = 0;
};

// Records `recording`, makes the call, records that it returned; errno is that
// of the call. `opens`: the result is a descriptor.
int64_t Record(const Recording& recording, const std::function<int64_t()>& call,
               bool opens = false);
void RecordUnsupported(std::string_view name);

}  // namespace nimbus::simulation
