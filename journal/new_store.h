// A store in the making. Its directory is no store until Complete, and nothing
// takes it for one: what fills it may be killed at any time.
//
//   NIMBUS_ASSIGN_OR_RETURN(NewStore made, NewStore::Begin(path));
//   … make and fill an environment in made.directory(), close it …
//   NIMBUS_RETURN_IF_ERROR(made.Complete());
#pragma once

#include <cstdint>
#include <string>
#include <utility>

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

// A generation in the making, in a store. Nobody takes it for one until the one in
// use says that it follows.
class NewGeneration {
 public:
  // Unavailable: another process is at it, or another thread.
  static absl::StatusOr<NewGeneration> Begin(const std::string& store);
  ~NewGeneration();
  NewGeneration(NewGeneration&& other) noexcept;
  NewGeneration& operator=(NewGeneration&&) = delete;

  // Makes the empty directory of generation `number`, in place of what was left
  // there by one who never finished. The one in use must be known, as of after
  // Begin, to be the one before it: a later one would be lost.
  absl::Status Make(uint64_t number);

  uint64_t number() const { return number_; }
  std::string directory() const;

 private:
  NewGeneration(std::string store, int descriptor)
      : store_(std::move(store)), descriptor_(descriptor) {}
  std::string store_;
  uint64_t number_ = 0;
  int descriptor_;  // of the store, locked
};

}  // namespace nimbus::journal
