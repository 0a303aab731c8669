#include "new_store.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <utility>

#include "nimbus/schema/status.h"
#include "store.h"

namespace nimbus::journal {
namespace {

using schema::Error;
using Code = absl::StatusCode;
namespace fs = std::filesystem;

// Not the first: a first generation without CURRENT is a store whose creation was
// cut off, and any opener completes it.
constexpr char kGeneration[] = "journal-2";

// Removes what a NewStore left, unless there is anything beside it.
absl::Status Clear(const std::string& path) {
  std::error_code error;
  fs::directory_iterator entry(path, error);
  for (; !error && entry != fs::directory_iterator(); entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    if (name == kGeneration || name == "CURRENT.new") continue;
    return Error(Code::kInvalidArgument, "{}: not empty; a new store wants a directory of its own",
                 path);
  }
  if (!error) fs::remove_all(path + "/" + kGeneration, error);
  return error ? StatusOfErrno(error.value(), path) : absl::OkStatus();
}

// The locked directory `path`.
absl::StatusOr<int> LockDirectory(const std::string& path) {
  const int descriptor = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) return StatusOfErrno(errno, path);
  if (flock(descriptor, LOCK_EX | LOCK_NB) == 0) return descriptor;
  const int error = errno;
  close(descriptor);
  if (error != EWOULDBLOCK) return StatusOfErrno(error, path);
  return Error(Code::kUnavailable, "{}: another copy or compaction is under way there", path);
}

}  // namespace

absl::StatusOr<NewStore> NewStore::Begin(const std::string& path) {
  NIMBUS_RETURN_IF_ERROR(CreateDirectories(path));
  NIMBUS_ASSIGN_OR_RETURN(const int descriptor, LockDirectory(path));
  NewStore made(path, descriptor);
  const absl::StatusOr<StoreLayout> found = FindStore(path);
  if (found.ok()) return Error(Code::kAlreadyExists, "{}: there is a store already", path);
  if (!absl::IsNotFound(found.status())) return found.status();
  NIMBUS_RETURN_IF_ERROR(Clear(path));
  std::error_code error;
  fs::create_directory(made.directory(), error);
  if (error) return StatusOfErrno(error.value(), made.directory());
  return made;
}

NewStore::~NewStore() {
  if (descriptor_ >= 0) close(descriptor_);
}

NewStore::NewStore(NewStore&& other) noexcept
    : path_(std::move(other.path_)), descriptor_(std::exchange(other.descriptor_, -1)) {}

std::string NewStore::directory() const { return path_ + "/" + kGeneration; }

absl::Status NewStore::Complete() {
  return CompleteStore(path_, {.journal_directory = directory(), .complete = false});
}

absl::StatusOr<NewGeneration> NewGeneration::Begin(const std::string& store) {
  NIMBUS_ASSIGN_OR_RETURN(const int descriptor, LockDirectory(store));
  return NewGeneration(store, descriptor);
}

NewGeneration::~NewGeneration() {
  if (descriptor_ >= 0) close(descriptor_);
}

NewGeneration::NewGeneration(NewGeneration&& other) noexcept
    : store_(std::move(other.store_)),
      number_(other.number_),
      descriptor_(std::exchange(other.descriptor_, -1)) {}

std::string NewGeneration::directory() const {
  return fmt::format("{}/journal-{}", store_, number_);
}

absl::Status NewGeneration::Make(uint64_t number) {
  number_ = number;
  std::error_code error;
  fs::remove_all(directory(), error);
  if (!error) fs::create_directory(directory(), error);
  return error ? StatusOfErrno(error.value(), directory()) : absl::OkStatus();
}

}  // namespace nimbus::journal
