// A store in the making. Its directory is no store until Complete, and nothing
// takes it for one: what fills it may be killed at any time.
//
//   NIMBUS_ASSIGN_OR_RETURN(NewStore made, NewStore::Begin(path));
//   … make and fill an environment in made.directory(), close it …
//   NIMBUS_RETURN_IF_ERROR(made.Complete());
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace nimbus::journal {

class NewStore {
 public:
  // Makes `path`, which must be missing or empty, or hold what a Begin that was
  // never completed has left: that is removed. AlreadyExists: there is a store.
  // InvalidArgument: something else is there. Unavailable: another process is
  // making a store there.
  static absl::StatusOr<NewStore> Begin(const std::string& path);
  ~NewStore();
  NewStore(NewStore&& other) noexcept;
  NewStore& operator=(NewStore&&) = delete;

  // For the LMDB environment; empty.
  std::string directory() const;

  // Makes it a store, on stable storage. The environment must be closed.
  absl::Status Complete();

 private:
  NewStore(std::string path, int descriptor) : path_(std::move(path)), descriptor_(descriptor) {}
  std::string path_;
  int descriptor_;  // of `path`, locked
};

}  // namespace nimbus::journal
