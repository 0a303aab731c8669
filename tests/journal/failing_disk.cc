#include "failing_disk.h"

#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <mutex>
#include <optional>
#include <string_view>

#include "nimbus/schema/check.h"

namespace nimbus::journal {
namespace {

std::mutex mu;
std::optional<FailingDisk::Options> failing;
int failed = 0;

// Whether this call is to fail; errno says how.
bool Fails(FailingDisk::Call call, int file) {
  const std::lock_guard<std::mutex> lock(mu);
  if (!failing.has_value() || failing->call != call || failing->times == 0) return false;
  std::array<char, 4096> path;
  const std::string link = "/proc/self/fd/" + std::to_string(file);
  const ssize_t size = readlink(link.c_str(), path.data(), path.size());
  if (size < 0) return false;
  if (!std::string_view(path.data(), static_cast<size_t>(size)).ends_with(failing->file)) {
    return false;
  }
  if (failing->after-- > 0) return false;
  --failing->times;
  ++failed;
  errno = failing->error;
  return true;
}

}  // namespace

FailingDisk::FailingDisk(const Options& options) {
  const std::lock_guard<std::mutex> lock(mu);
  NIMBUS_CHECK(!failing.has_value());
  failing = options;
  failed = 0;
}

FailingDisk::~FailingDisk() {
  const std::lock_guard<std::mutex> lock(mu);
  failing.reset();
}

int FailingDisk::failures() const {
  const std::lock_guard<std::mutex> lock(mu);
  return failed;
}

}  // namespace nimbus::journal

// These take the place of the C library's.
extern "C" {

int fdatasync(int file) {
  if (nimbus::journal::Fails(nimbus::journal::FailingDisk::Call::kFlush, file)) return -1;
  return static_cast<int>(syscall(SYS_fdatasync, file));
}

ssize_t pread(int file, void* bytes, size_t size, off_t offset) {
  if (nimbus::journal::Fails(nimbus::journal::FailingDisk::Call::kRead, file)) return -1;
  return syscall(SYS_pread64, file, bytes, size, offset);
}

ssize_t pwrite(int file, const void* bytes, size_t size, off_t offset) {
  if (nimbus::journal::Fails(nimbus::journal::FailingDisk::Call::kWrite, file)) return -1;
  return syscall(SYS_pwrite64, file, bytes, size, offset);
}

}  // extern "C"
