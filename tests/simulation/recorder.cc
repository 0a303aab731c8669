#include "simulation/recorder.h"

#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <map>
#include <mutex>
#include <thread>
#include <vector>

namespace nimbus::simulation {
namespace {

struct Target {
  std::string root;
  int trace = -1;
  uint64_t calls_max = ~uint64_t{0};  // after these the process ends
  uint64_t slow_ms = 0;               // of a sync of data.mdb
};

Target OpenTarget() {
  const char* root = std::getenv("NIMBUS_RECORD_ROOT");
  const char* trace = std::getenv("NIMBUS_RECORD_TRACE");
  if (root == nullptr || trace == nullptr) return {};
  char resolved[PATH_MAX];
  if (realpath(root, resolved) == nullptr) abort();
  const long fd =
      syscall(SYS_openat, AT_FDCWD, trace, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
  if (fd < 0) abort();
  Target target{.root = resolved, .trace = static_cast<int>(fd)};
  if (const char* max = std::getenv("NIMBUS_RECORD_CALLS")) {
    target.calls_max = std::strtoull(max, nullptr, 10);
  }
  if (const char* slow = std::getenv("NIMBUS_RECORD_SLOW")) {
    target.slow_ms = std::strtoull(slow, nullptr, 10);
  }
  return target;
}

// Never destroyed: files are closed, and recorded, after the statics are gone.
const Target& TheTarget() {
  static const Target* const target = new Target(OpenTarget());
  return *target;
}

int64_t NowMicros() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return int64_t{now.tv_sec} * 1'000'000 + now.tv_nsec / 1000;
}

uint64_t NewId() {
  static std::atomic<uint64_t> next{1};
  return (static_cast<uint64_t>(getpid()) << 32) + next++;
}

// Kills the process when it has made the calls it may, marks among them, with
// none on its way: of one that is, nobody would know whether it was still made.
class CallInFlight {
 public:
  CallInFlight() {
    ++in_flight_;
    if (calls_++ < TheTarget().calls_max) return;
    --in_flight_;
    while (in_flight_ > 0) sched_yield();
    kill(getpid(), SIGKILL);
  }
  ~CallInFlight() { --in_flight_; }
  CallInFlight(const CallInFlight&) = delete;
  CallInFlight& operator=(const CallInFlight&) = delete;

 private:
  inline static std::atomic<uint64_t> calls_{0};
  inline static std::atomic<int64_t> in_flight_{0};
};

// One write to a file that is appended to: the kernel keeps the order of those
// of all threads and processes, and each is there whole.
void AppendRecord(RecordHeader header, const Recording& recording) {
  std::vector<iovec> pieces(3);
  header.path_bytes = static_cast<uint32_t>(recording.path.size());
  header.second_path_bytes = static_cast<uint32_t>(recording.second_path.size());
  pieces[1] = {const_cast<char*>(recording.path.data()), recording.path.size()};
  pieces[2] = {const_cast<char*>(recording.second_path.data()), recording.second_path.size()};
  size_t data_bytes = 0;
  for (int i = 0; i < recording.data_count; ++i) {
    pieces.push_back(recording.data[i]);
    data_bytes += recording.data[i].iov_len;
  }
  header.data_bytes = static_cast<uint32_t>(data_bytes);
  header.micros = NowMicros();
  pieces[0] = {&header, sizeof(header)};
  const size_t bytes = sizeof(header) + header.path_bytes + header.second_path_bytes + data_bytes;
  // At most 1,024 pieces go into one call; LMDB asks for 64 at most.
  const long written = syscall(SYS_writev, TheTarget().trace, pieces.data(), pieces.size());
  if (written != static_cast<long>(bytes)) abort();  // a trace with a gap would accuse the innocent
}

std::string ReadLink(int descriptor) {
  char path[PATH_MAX];
  const std::string link = "/proc/self/fd/" + std::to_string(descriptor);
  const ssize_t length = readlink(link.c_str(), path, sizeof(path));
  return length < 0 ? std::string() : std::string(path, static_cast<size_t>(length));
}

// `path` without the root; nullopt outside of it.
std::optional<std::string> BelowRoot(const std::string& path) {
  const std::string& root = TheTarget().root;
  if (path == root) return std::string();
  if (path.size() <= root.size() || path.compare(0, root.size(), root) != 0) return std::nullopt;
  if (path[root.size()] != '/') return std::nullopt;
  return path.substr(root.size() + 1);
}

}  // namespace

bool IsRecording() { return TheTarget().trace >= 0; }

std::optional<Watched> WatchedFile(int descriptor) {
  if (!IsRecording()) return std::nullopt;
  const int error = errno;
  const std::optional<std::string> path = BelowRoot(ReadLink(descriptor));
  struct stat info {};
  const bool known = path.has_value() && fstat(descriptor, &info) == 0;
  errno = error;
  if (!known) return std::nullopt;
  return Watched{.path = *path, .inode = info.st_ino};
}

std::optional<Watched> WatchedPath(int directory, const char* path) {
  if (!IsRecording()) return std::nullopt;
  std::string full = path;
  if (full.empty()) return std::nullopt;
  while (full.size() > 1 && full.back() == '/') full.pop_back();
  const int error = errno;
  if (full.front() != '/') {
    char here[PATH_MAX];
    const bool relative_to_here = directory == AT_FDCWD;
    if (relative_to_here && getcwd(here, sizeof(here)) == nullptr) return std::nullopt;
    full = (relative_to_here ? std::string(here) : ReadLink(directory)) + "/" + full;
  }
  const size_t slash = full.rfind('/');
  char parent[PATH_MAX];
  const bool resolved = realpath(full.substr(0, slash + 1).c_str(), parent) != nullptr;
  errno = error;
  if (!resolved) return std::nullopt;  // the call will fail too
  std::optional<std::string> below = BelowRoot(std::string(parent) + full.substr(slash));
  if (!below.has_value()) return std::nullopt;
  return Watched{.path = *std::move(below)};
}

int64_t Record(const Recording& recording, const std::function<int64_t()>& call, bool opens) {
  const CallInFlight in_flight;
  RecordHeader header{.call = recording.call, .flags = recording.flags, .id = NewId()};
  header.inode = recording.inode;
  header.offset = recording.offset;
  AppendRecord(header, recording);
  const bool is_slow = recording.call == Call::kSync && recording.path.ends_with("/data.mdb");
  if (is_slow) std::this_thread::sleep_for(std::chrono::milliseconds(TheTarget().slow_ms));
  const int64_t result = call();
  const int error = errno;
  header = {.call = Call::kReturned, .id = header.id, .offset = result};
  struct stat info;
  if (opens && result >= 0 && fstat(static_cast<int>(result), &info) == 0) {
    header.inode = info.st_ino;
  }
  AppendRecord(header, {});
  errno = error;
  return result;
}

void RecordUnsupported(std::string_view name) {
  const CallInFlight in_flight;
  const iovec data{const_cast<char*>(name.data()), name.size()};
  AppendRecord({.call = Call::kUnsupported}, {.data = &data, .data_count = 1});
}

void Mark(std::string_view text) {
  if (!IsRecording()) return;
  const CallInFlight in_flight;
  const iovec data{const_cast<char*>(text.data()), text.size()};
  AppendRecord({.call = Call::kMark}, {.data = &data, .data_count = 1});
}

void Snapshot(const std::string& path) {
  const std::optional<Watched> watched = WatchedPath(AT_FDCWD, path.c_str());
  if (!watched.has_value()) return;
  // Kept open: to close one of a file's descriptors drops the process's locks on it.
  static std::mutex mu;
  static auto* const descriptors = new std::map<std::string, int>();
  const std::lock_guard<std::mutex> lock(mu);
  auto [entry, added] = descriptors->emplace(path, -1);
  if (entry->second < 0) entry->second = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  std::array<char, 16384> bytes;
  const ssize_t length = pread(entry->second, bytes.data(), bytes.size(), 0);
  if (length <= 0) return;
  const CallInFlight in_flight;
  const iovec data{bytes.data(), static_cast<size_t>(length)};
  AppendRecord({.call = Call::kSnapshot}, {.path = watched->path, .data = &data, .data_count = 1});
}

}  // namespace nimbus::simulation
