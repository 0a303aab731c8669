#include "store.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <string_view>
#include <system_error>

#include "format.h"
#include "nimbus/schema/status.h"

namespace nimbus::journal {
namespace {

using schema::Error;
using Code = absl::StatusCode;
namespace fs = std::filesystem;

constexpr std::string_view kMagicWord = "nimbus";
constexpr char kCurrent[] = "CURRENT";
constexpr std::string_view kGenerationPrefix = "journal-";
constexpr char kFirstGeneration[] = "journal-1";
constexpr off_t kLockFileBytes = 8192;     // LMDB's, with its default number of readers
constexpr off_t kDataFileBytesMin = 8192;  // LMDB's two meta pages
constexpr off_t kStumpBytesMax = 65536;    // more than a creation writes before its first sync

// A descriptor that closes itself.
class Descriptor {
 public:
  Descriptor(const std::string& path, int flags)
      : descriptor_(open(path.c_str(), flags | O_CLOEXEC, 0644)) {}
  ~Descriptor() {
    if (descriptor_ >= 0) close(descriptor_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return descriptor_; }
  bool ok() const { return descriptor_ >= 0; }

 private:
  int descriptor_;
};

// Writes and syncs a new file in one piece.
absl::Status WriteFile(const std::string& path, std::string_view text) {
  const Descriptor file(path, O_WRONLY | O_CREAT | O_TRUNC);
  if (!file.ok()) return StatusOfErrno(errno, path);
  const ssize_t written = write(file.get(), text.data(), text.size());
  if (written != static_cast<ssize_t>(text.size())) {
    return StatusOfErrno(written < 0 ? errno : ENOSPC, path);
  }
  if (fsync(file.get()) != 0) return StatusOfErrno(errno, path);
  return absl::OkStatus();
}

absl::StatusOr<StoreLayout> ParseCurrent(const std::string& path, const std::string& text) {
  std::istringstream in(text);
  std::string word, generation;
  uint32_t format = 0;
  if (!(in >> word >> format) || word != kMagicWord || format == 0) {
    return Error(Code::kInvalidArgument, "{}: not a Nimbus store", path);
  }
  if (format > kFormatVersion) {
    return Error(Code::kUnimplemented, "{}: store format {} is newer than this program's {}", path,
                 format, kFormatVersion);
  }
  if (!(in >> generation) || !generation.starts_with(kGenerationPrefix) ||
      generation.find('/') != std::string::npos) {
    return Error(Code::kDataLoss, "{}/{}: malformed", path, kCurrent);
  }
  return StoreLayout{.journal_directory = path + "/" + generation, .complete = true};
}

// Names that a store creation which was cut off may have left.
absl::StatusOr<bool> HoldsOnlyUnfinishedStore(const std::string& path) {
  static const std::set<std::string, std::less<>> kOurs = {kFirstGeneration, "CURRENT.new"};
  std::error_code error;
  fs::directory_iterator entry(path, error);
  if (error) return StatusOfErrno(error.value(), path);
  for (; entry != fs::directory_iterator(); entry.increment(error)) {
    if (!kOurs.contains(entry->path().filename().string())) return false;
  }
  if (error) return StatusOfErrno(error.value(), path);
  return true;
}

// Whether the file begins with two pages that LMDB takes for its meta pages.
bool HasMetaPages(const std::string& data) {
  constexpr size_t kPageBytes = 4096, kFlagsAt = 10, kMagicAt = 16;
  constexpr uint16_t kMetaFlag = 0x08;
  constexpr uint32_t kMagic = 0xBEEFC0DE;
  std::ifstream file(data, std::ios::binary);
  std::array<char, kPageBytes> page;
  for (int i = 0; i < 2; ++i) {
    uint16_t flags = 0;
    uint32_t magic = 0;
    if (!file.read(page.data(), page.size())) return false;
    std::memcpy(&flags, page.data() + kFlagsAt, sizeof(flags));
    std::memcpy(&magic, page.data() + kMagicAt, sizeof(magic));
    if ((flags & kMetaFlag) == 0 || magic != kMagic) return false;
  }
  return true;
}

}  // namespace

absl::Status SyncDirectory(const std::string& path) {
  const Descriptor directory(path, O_RDONLY | O_DIRECTORY);
  if (!directory.ok() || fsync(directory.get()) != 0) return StatusOfErrno(errno, path);
  return absl::OkStatus();
}

absl::Status StatusOfErrno(int error, const std::string& what) {
  const auto code = [&] {
    switch (error) {
      case ENOENT:
        return Code::kNotFound;
      case EACCES:
      case EPERM:
      case EROFS:
        return Code::kPermissionDenied;
      case ENOSPC:
      case EDQUOT:
      case EFBIG:
        return Code::kResourceExhausted;
      case ENOTDIR:
      case EISDIR:
        return Code::kInvalidArgument;
      default:
        return Code::kUnavailable;
    }
  }();
  return Error(code, "{}: {}", what, std::strerror(error));
}

absl::Status CreateDirectories(const fs::path& path) {
  std::error_code error;
  if (fs::is_directory(path, error)) return absl::OkStatus();
  const fs::path parent =
      path.has_filename() ? path.parent_path() : path.parent_path().parent_path();
  if (!parent.empty() && parent != path) NIMBUS_RETURN_IF_ERROR(CreateDirectories(parent));
  fs::create_directory(path, error);
  if (error) return StatusOfErrno(error.value(), path.string());
  return SyncDirectory(parent.empty() ? "." : parent.string());
}

uint64_t GenerationNumber(const std::string& journal_directory) {
  const std::string name = fs::path(journal_directory).filename().string();
  uint64_t number = 0;
  if (!name.starts_with(kGenerationPrefix)) return 0;
  const char* end = name.data() + name.size();
  const auto [rest, error] = std::from_chars(name.data() + kGenerationPrefix.size(), end, number);
  return error == std::errc() && rest == end ? number : 0;
}

absl::StatusOr<StoreLayout> FindStore(const std::string& path) {
  const std::string current = path + "/" + kCurrent;
  std::ifstream file(current, std::ios::binary);
  if (!file) {
    if (errno == ENOTDIR) {
      return Error(Code::kInvalidArgument, "{}: a file, not a Nimbus store", path);
    }
    if (errno != ENOENT) return StatusOfErrno(errno, current);
    return Error(Code::kNotFound, "{}: not a Nimbus store (no {} in it)", path, kCurrent);
  }
  std::string text(4096, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<size_t>(file.gcount()));
  return ParseCurrent(path, text);
}

absl::StatusOr<StoreLayout> CreateStore(const std::string& path) {
  absl::StatusOr<StoreLayout> found = FindStore(path);
  if (found.ok() || !absl::IsNotFound(found.status())) return found;
  std::error_code error;
  NIMBUS_RETURN_IF_ERROR(CreateDirectories(path));
  NIMBUS_ASSIGN_OR_RETURN(const bool free, HoldsOnlyUnfinishedStore(path));
  if (!free) {
    // Another process may have completed the store since we looked.
    found = FindStore(path);
    if (found.ok()) return found;
    return Error(Code::kInvalidArgument, "{}: not empty and not a Nimbus store", path);
  }
  StoreLayout layout{.journal_directory = path + "/" + kFirstGeneration, .complete = false};
  fs::create_directory(layout.journal_directory, error);
  if (error) return StatusOfErrno(error.value(), layout.journal_directory);
  // Before CURRENT names it.
  NIMBUS_RETURN_IF_ERROR(SyncDirectory(path));
  return layout;
}

absl::Status CompleteStore(const std::string& path, const StoreLayout& layout) {
  NIMBUS_RETURN_IF_ERROR(SyncDirectory(layout.journal_directory));
  const std::string written = path + "/CURRENT.new";
  NIMBUS_RETURN_IF_ERROR(
      WriteFile(written, fmt::format("{} {}\n{}\n", kMagicWord, kFormatVersion,
                                     fs::path(layout.journal_directory).filename().string())));
  const std::string current = path + "/" + kCurrent;
  if (rename(written.c_str(), current.c_str()) != 0) {
    return StatusOfErrno(errno, current);
  }
  return SyncDirectory(path);
}

absl::Status CheckDataFile(const std::string& directory) {
  const std::string data = directory + "/data.mdb";
  struct stat info;
  if (stat(data.c_str(), &info) != 0) {
    if (errno != ENOENT) return StatusOfErrno(errno, data);
    return Error(Code::kDataLoss, "{}: missing", data);
  }
  if (info.st_size >= kDataFileBytesMin) return absl::OkStatus();
  return Error(Code::kDataLoss, "{}: cut off, {} bytes are left", data, info.st_size);
}

absl::Status PrepareLockFile(const std::string& directory) {
  // LMDB maps lock.mdb before its blocks exist; on a full disk touching it
  // would be a SIGBUS. EOPNOTSUPP: the file system can't, and LMDB must do.
  const std::string lock = directory + "/lock.mdb";
  const Descriptor file(lock, O_RDWR | O_CREAT);
  if (!file.ok()) return StatusOfErrno(errno, lock);
  if (fallocate(file.get(), 0, 0, kLockFileBytes) != 0 && errno != EOPNOTSUPP) {
    return StatusOfErrno(errno, lock);
  }
  return absl::OkStatus();
}

absl::Status RemoveStump(const std::string& directory) {
  // A creation cut off by a full disk leaves a stump that LMDB would refuse for
  // ever; a power cut may leave one that is long enough, with a page missing.
  const std::string data = directory + "/data.mdb";
  struct stat info;
  if (stat(data.c_str(), &info) != 0 || info.st_size == 0) return absl::OkStatus();
  const bool was_complete = FindStore(fs::path(directory).parent_path().string()).ok();
  const bool torn = !was_complete && info.st_size <= kStumpBytesMax && !HasMetaPages(data);
  if (info.st_size >= kDataFileBytesMin && !torn) return absl::OkStatus();
  if (truncate(data.c_str(), 0) != 0) return StatusOfErrno(errno, data);
  return absl::OkStatus();
}

absl::Status CheckNoLockHolder(const std::string& directory) {
  const std::string lock = directory + "/lock.mdb";
  const Descriptor file(lock, O_RDONLY);
  if (!file.ok()) return errno == ENOENT ? absl::OkStatus() : StatusOfErrno(errno, lock);
  struct flock holder {};
  holder.l_type = F_WRLCK;
  holder.l_whence = SEEK_SET;
  if (fcntl(file.get(), F_GETLK, &holder) != 0) return StatusOfErrno(errno, lock);
  if (holder.l_type == F_UNLCK) return absl::OkStatus();
  return Error(Code::kFailedPrecondition,
               "{}: in use by process {} and not writable by you; read a backup instead", directory,
               holder.l_pid);
}

}  // namespace nimbus::journal
