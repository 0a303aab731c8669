// The device itself: the bytes of the events in a log file and nothing else.
// Nothing can be found in it again; it is what the disk allows.
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "bench/group_queue.h"
#include "bench/peer.h"
#include "nimbus/schema/status.h"

namespace nimbus::bench {
namespace {

// Of the file that is filled beforehand, and then written from its beginning
// again and again. A group fits many times.
constexpr size_t kFilledBytes = 16u << 20;

class LogFile {
 public:
  ~LogFile() {
    if (file_ >= 0) close(file_);
  }

  absl::Status Open(const std::string& path, bool filled, bool relaxed) {
    file_ = open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (file_ < 0) return Failure("open");
    relaxed_ = relaxed;
    filled_ = filled;
    if (!filled) return absl::OkStatus();
    const Bytes zeros(kFilledBytes);
    NIMBUS_RETURN_IF_ERROR(Write(zeros));
    if (fsync(file_) != 0) return Failure("fsync");
    offset_ = 0;
    return absl::OkStatus();
  }

  // One thread at a time.
  absl::Status Append(const std::vector<const Bytes*>& values) {
    buffer_.clear();
    for (const Bytes* value : values) buffer_.insert(buffer_.end(), value->begin(), value->end());
    if (filled_ && offset_ + buffer_.size() > kFilledBytes) offset_ = 0;
    NIMBUS_RETURN_IF_ERROR(Write(buffer_));
    if (!relaxed_ && fdatasync(file_) != 0) return Failure("fdatasync");
    return absl::OkStatus();
  }

 private:
  absl::Status Write(const Bytes& bytes) {
    const ssize_t written = pwrite(file_, bytes.data(), bytes.size(), static_cast<off_t>(offset_));
    if (written != static_cast<ssize_t>(bytes.size())) return Failure("pwrite");
    offset_ += bytes.size();
    return absl::OkStatus();
  }
  absl::Status Failure(const char* what) const {
    return schema::Error(absl::StatusCode::kInternal, "{}: {}", what, std::strerror(errno));
  }

  int file_ = -1;
  bool relaxed_ = false;
  bool filled_ = false;
  size_t offset_ = 0;
  Bytes buffer_;
};

absl::StatusOr<std::unique_ptr<LogFile>> OpenLogFile(const PeerSetup& setup, bool filled) {
  auto file = std::make_unique<LogFile>();
  NIMBUS_RETURN_IF_ERROR(file->Open(setup.directory + "/log", filled, setup.relaxed));
  return file;
}

// One write and one flush per group.
class GroupedLogPeer final : public Peer {
 public:
  GroupedLogPeer(std::unique_ptr<LogFile> file, std::vector<schema::Uuid> sessions)
      : file_(std::move(file)),
        sessions_(std::move(sessions)),
        queue_([this](const std::vector<const Bytes*>& values) { return file_->Append(values); }) {}

  absl::Status Append(size_t writer, const test::WorkloadOperation& operation, size_t begin,
                      size_t end) override {
    return queue_.Put(EncodeValues(operation, begin, end, sessions_[writer]));
  }

 private:
  const std::unique_ptr<LogFile> file_;
  const std::vector<schema::Uuid> sessions_;
  GroupQueue queue_;
};

// One write and one flush per call, on the caller's thread.
class DevicePeer final : public Peer {
 public:
  DevicePeer(std::unique_ptr<LogFile> file, std::vector<schema::Uuid> sessions)
      : sessions_(std::move(sessions)), file_(std::move(file)) {}

  absl::Status Append(size_t writer, const test::WorkloadOperation& operation, size_t begin,
                      size_t end) override {
    const std::vector<Bytes> values = EncodeValues(operation, begin, end, sessions_[writer]);
    std::vector<const Bytes*> pointers;
    for (const Bytes& value : values) pointers.push_back(&value);
    const std::lock_guard lock(mutex_);
    return file_->Append(pointers);
  }

 private:
  const std::vector<schema::Uuid> sessions_;
  std::mutex mutex_;
  const std::unique_ptr<LogFile> file_;  // what it points to is guarded by mutex_
};

template <typename LogPeer>
absl::StatusOr<std::unique_ptr<Peer>> Open(const PeerSetup& setup, bool filled) {
  NIMBUS_ASSIGN_OR_RETURN(std::unique_ptr<LogFile> file, OpenLogFile(setup, filled));
  return std::make_unique<LogPeer>(std::move(file), setup.sessions);
}

}  // namespace

absl::StatusOr<std::unique_ptr<Peer>> OpenLog(const PeerSetup& setup) {
  return Open<GroupedLogPeer>(setup, /*filled=*/true);
}

absl::StatusOr<std::unique_ptr<Peer>> OpenGrowingLog(const PeerSetup& setup) {
  return Open<GroupedLogPeer>(setup, /*filled=*/false);
}

absl::StatusOr<std::unique_ptr<Peer>> OpenDevice(const PeerSetup& setup) {
  return Open<DevicePeer>(setup, /*filled=*/true);
}

}  // namespace nimbus::bench
