// This program again as another process, for what it takes two to measure.
//
//   NIMBUS_ASSIGN_OR_RETURN(auto child, Child::Start({"--child", "follow", store}));
//   NIMBUS_ASSIGN_OR_RETURN(std::string line, child->ReadLine());
//   NIMBUS_RETURN_IF_ERROR(child->Wait());
//
// Started with posix_spawn, so it may be used while a journal is open. One
// thread at a time.
#pragma once

#include <sys/types.h>

#include <cstdio>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace nimbus::bench {

class Child {
 public:
  static absl::StatusOr<std::unique_ptr<Child>> Start(const std::vector<std::string>& arguments);
  // Kills it if it still runs.
  ~Child();
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  // A line to its standard input.
  absl::Status SendLine(std::string_view line);
  // A line of its standard output, without the newline. OutOfRange at its end.
  absl::StatusOr<std::string> ReadLine();
  // Closes its input and waits until it ends. Internal unless it exits with 0.
  absl::Status Wait();

 private:
  Child() = default;

  pid_t pid_ = -1;
  std::FILE* input_ = nullptr;
  std::FILE* output_ = nullptr;
};

}  // namespace nimbus::bench
