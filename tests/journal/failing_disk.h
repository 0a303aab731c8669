// A disk that fails when a test says so.
//
//   FailingDisk disk({.call = FailingDisk::Call::kFlush, .file = "/wal"});
//   EXPECT_THAT(wal->Flush(), StatusIs(Code::kDataLoss));
//   EXPECT_EQ(disk.failures(), 1);
//
// For calls of this process, its libraries' too. One at a time.
#pragma once

#include <string>

namespace nimbus::journal {

class FailingDisk {
 public:
  enum class Call { kFlush, kRead, kWrite };
  struct Options {
    Call call = Call::kFlush;
    std::string file;     // the end of its path
    int after = 0;        // that many calls succeed first
    int times = 1 << 30;  // then so many fail, with
    int error = 5;        // EIO
  };
  explicit FailingDisk(const Options& options);
  ~FailingDisk();
  FailingDisk(const FailingDisk&) = delete;
  FailingDisk& operator=(const FailingDisk&) = delete;

  int failures() const;
};

}  // namespace nimbus::journal
