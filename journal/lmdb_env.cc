#include "lmdb_env.h"

#include <fcntl.h>
#include <lmdb.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "nimbus/schema/check.h"
#include "nimbus/schema/status.h"

namespace nimbus::journal::lmdb {
namespace {

using schema::Error;

absl::StatusCode CodeOf(int error) {
  switch (error) {
    case MDB_NOTFOUND:
    case ENOENT:
      return absl::StatusCode::kNotFound;
    case MDB_MAP_FULL:
    case MDB_TXN_FULL:
    case MDB_READERS_FULL:
    case MDB_MAP_RESIZED:
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
    case ENOMEM:
      return absl::StatusCode::kResourceExhausted;
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_CURSOR_FULL:
    case MDB_PANIC:
    case MDB_INVALID:
      return absl::StatusCode::kDataLoss;
    case MDB_VERSION_MISMATCH:
      return absl::StatusCode::kUnimplemented;
    case EACCES:
    case EPERM:
    case EROFS:
      return absl::StatusCode::kPermissionDenied;
    case EAGAIN:
    case EBUSY:
      return absl::StatusCode::kUnavailable;
    default:
      return absl::StatusCode::kUnknown;
  }
}

absl::Status StatusOf(int error, const char* doing) {
  if (error == MDB_SUCCESS) return absl::OkStatus();
  return Error(CodeOf(error), "{}: {}", doing, mdb_strerror(error));
}

MDB_val ValueOf(View view) {
  return {view.size(), const_cast<void*>(static_cast<const void*>(view.data()))};
}

View ViewOf(const MDB_val& value) { return MakeView(value.mv_data, value.mv_size); }

// What the last transaction says the file is long, and what it is.
absl::Status ReadLengths(MDB_env* env, off_t* said, off_t* found) {
  MDB_envinfo info;
  MDB_stat table;
  mdb_filehandle_t file;
  NIMBUS_RETURN_IF_ERROR(StatusOf(mdb_env_info(env, &info), "read environment"));
  NIMBUS_RETURN_IF_ERROR(StatusOf(mdb_env_stat(env, &table), "read environment"));
  NIMBUS_RETURN_IF_ERROR(StatusOf(mdb_env_get_fd(env, &file), "read environment"));
  struct stat status;
  if (fstat(file, &status) != 0) return StatusOf(errno, "data.mdb");
  *said = static_cast<off_t>((info.me_last_pgno + 1) * table.ms_psize);
  *found = status.st_size;
  return absl::OkStatus();
}

// LMDB reads its file through a map, where a page beyond the end is a SIGBUS,
// not an error. A file that was cut off gets zeros for what it lost, which LMDB
// and we find to be no pages; so does one whose last transaction freed pages at
// the end before they were ever written, which is no damage. A reader can't do
// that, nor tell the two apart.
absl::Status CoverAllPages(MDB_env* env, bool read_only) {
  off_t said = 0, found = 0;
  NIMBUS_RETURN_IF_ERROR(ReadLengths(env, &said, &found));
  if (found >= said) return absl::OkStatus();
  if (read_only) {
    return Error(
        absl::StatusCode::kDataLoss,
        "data.mdb ends after {} of {} bytes; a writer that opens it finds out what is lost", found,
        said);
  }
  MDB_txn* txn = nullptr;  // so that nobody else makes it longer meanwhile
  NIMBUS_RETURN_IF_ERROR(StatusOf(mdb_txn_begin(env, nullptr, 0, &txn), "begin transaction"));
  mdb_filehandle_t file;
  absl::Status status = ReadLengths(env, &said, &found);
  if (status.ok()) status = StatusOf(mdb_env_get_fd(env, &file), "read environment");
  if (status.ok() && found < said && ftruncate(file, said) != 0) {
    status = StatusOf(errno, "extend data.mdb");
  }
  mdb_txn_abort(txn);
  return status;
}

unsigned FlagsOf(const EnvOptions& options) {
  unsigned flags = MDB_NOTLS | MDB_NORDAHEAD;
  if (options.read_only) flags |= MDB_RDONLY;
  if (options.unlocked) flags |= MDB_NOLOCK;
  if (!options.durable) flags |= MDB_NOSYNC | MDB_NOMETASYNC;
  return flags;
}

// LMDB leaves its data file open in programs that this one starts.
absl::Status CloseOnExec(MDB_env* env) {
  mdb_filehandle_t file;
  NIMBUS_RETURN_IF_ERROR(StatusOf(mdb_env_get_fd(env, &file), "file of LMDB environment"));
  if (fcntl(file, F_SETFD, FD_CLOEXEC) == 0) return absl::OkStatus();
  return absl::ErrnoToStatus(errno, "close-on-exec of LMDB environment");
}

}  // namespace

absl::StatusOr<std::unique_ptr<Env>> Env::Open(const std::string& path, const EnvOptions& options) {
  size_t map_bytes = options.map_bytes;
  for (;;) {
    MDB_env* raw = nullptr;
    NIMBUS_RETURN_IF_ERROR(StatusOf(mdb_env_create(&raw), "create LMDB environment"));
    std::unique_ptr<Env> env(new Env(raw));
    NIMBUS_RETURN_IF_ERROR(StatusOf(mdb_env_set_maxdbs(raw, options.tables_max), "set tables"));
    NIMBUS_RETURN_IF_ERROR(StatusOf(mdb_env_set_mapsize(raw, map_bytes), "set map size"));
    const int error = mdb_env_open(raw, path.c_str(), FlagsOf(options), 0644);
    if (error == MDB_SUCCESS) {
      NIMBUS_RETURN_IF_ERROR(CloseOnExec(raw));
      NIMBUS_RETURN_IF_ERROR(CoverAllPages(raw, options.read_only));
      return env;
    }
    // Address space may be limited (ulimit -v, sanitizers): ask for less.
    constexpr size_t kMapBytesMin = size_t{64} << 20;
    if (error != ENOMEM || map_bytes <= kMapBytesMin) {
      return schema::Annotate(StatusOf(error, "open LMDB environment"), path);
    }
    map_bytes /= 2;
  }
}

Env::~Env() { mdb_env_close(env_); }

uint64_t Env::LastTransaction() const {
  MDB_envinfo info;
  NIMBUS_CHECK(mdb_env_info(env_, &info) == MDB_SUCCESS);
  return info.me_last_txnid;
}

uint64_t Env::BytesAllocated() const {
  MDB_envinfo info;
  MDB_stat stat;
  NIMBUS_CHECK(mdb_env_info(env_, &info) == MDB_SUCCESS);
  NIMBUS_CHECK(mdb_env_stat(env_, &stat) == MDB_SUCCESS);
  return (info.me_last_pgno + 1) * stat.ms_psize;
}

absl::Status Env::ClearDeadReaders() {
  int dead = 0;
  return StatusOf(mdb_reader_check(env_, &dead), "check readers");
}

absl::StatusOr<Transaction> Transaction::Begin(const Env& env, Mode mode) {
  MDB_txn* txn = nullptr;
  const unsigned flags = mode == Mode::kRead ? MDB_RDONLY : 0;
  int error = mdb_txn_begin(env.env_, nullptr, flags, &txn);
  if (error == MDB_READERS_FULL) {  // perhaps of processes that died
    int dead = 0;
    NIMBUS_RETURN_IF_ERROR(StatusOf(mdb_reader_check(env.env_, &dead), "check readers"));
    if (dead > 0) error = mdb_txn_begin(env.env_, nullptr, flags, &txn);
  }
  NIMBUS_RETURN_IF_ERROR(StatusOf(error, "begin transaction"));
  return Transaction(txn);
}

Transaction::~Transaction() {
  if (txn_ != nullptr) mdb_txn_abort(txn_);
}

Transaction::Transaction(Transaction&& other) noexcept
    : owner_(std::move(other.owner_)), txn_(std::exchange(other.txn_, nullptr)) {}

uint64_t Transaction::Id() const { return mdb_txn_id(txn_); }

absl::Status Transaction::Commit() {
  MDB_env* env = mdb_txn_env(txn_);
  errno = 0;
  int error = mdb_txn_commit(std::exchange(txn_, nullptr));
  if (error == MDB_SUCCESS) return absl::OkStatus();
  // LMDB makes EIO of a write that a full disk cut short, which sets no errno;
  // a failing device does.
  if (error == EIO && errno == 0) error = ENOSPC;
  // When it was the meta page that failed, the environment says so from now on:
  // what is on the disk is unknown, whatever the first error was.
  MDB_txn* probe = nullptr;
  const int state = mdb_txn_begin(env, nullptr, MDB_RDONLY, &probe);
  if (state == MDB_SUCCESS) mdb_txn_abort(probe);
  if (state == MDB_SUCCESS && CodeOf(error) == absl::StatusCode::kResourceExhausted) {
    return StatusOf(error, "commit");
  }
  return Error(absl::StatusCode::kDataLoss, "commit: {}", mdb_strerror(error));
}

absl::StatusOr<Table> Transaction::OpenTable(const char* name, bool integer_key, bool create) {
  Table table;
  const unsigned flags = (integer_key ? MDB_INTEGERKEY : 0) | (create ? MDB_CREATE : 0);
  NIMBUS_RETURN_IF_ERROR(StatusOf(mdb_dbi_open(txn_, name, flags, &table.handle), name));
  return table;
}

absl::StatusOr<std::optional<View>> Transaction::Get(Table table, View key) const {
  MDB_val k = ValueOf(key), v;
  const int error = mdb_get(txn_, table.handle, &k, &v);
  if (error == MDB_NOTFOUND) return std::optional<View>();
  NIMBUS_RETURN_IF_ERROR(StatusOf(error, "read"));
  return std::optional<View>(ViewOf(v));
}

absl::Status Transaction::Put(Table table, View key, View value) {
  MDB_val k = ValueOf(key), v = ValueOf(value);
  return StatusOf(mdb_put(txn_, table.handle, &k, &v, 0), "write");
}

absl::StatusOr<TableStat> Transaction::Stat(Table table) const {
  MDB_stat stat;
  NIMBUS_RETURN_IF_ERROR(StatusOf(mdb_stat(txn_, table.handle, &stat), "stat"));
  const uint64_t pages = stat.ms_branch_pages + stat.ms_leaf_pages + stat.ms_overflow_pages;
  return TableStat{.entries = stat.ms_entries, .bytes = pages * stat.ms_psize};
}

absl::StatusOr<uint64_t> Transaction::FreePageBytes() const {
  // Table 0 is LMDB's own list of free pages: values begin with their count.
  constexpr Table kFreeList{0};
  MDB_stat stat;
  NIMBUS_RETURN_IF_ERROR(StatusOf(mdb_stat(txn_, kFreeList.handle, &stat), "stat"));
  NIMBUS_ASSIGN_OR_RETURN(Cursor cursor, OpenCursor(kFreeList));
  uint64_t pages = 0;
  NIMBUS_ASSIGN_OR_RETURN(std::optional<KeyValue> entry, cursor.First());
  while (entry.has_value()) {
    size_t count = 0;
    if (entry->value.size() < sizeof(count)) return absl::DataLossError("free list is malformed");
    std::memcpy(&count, entry->value.data(), sizeof(count));
    pages += count;
    NIMBUS_ASSIGN_OR_RETURN(entry, cursor.Next());
  }
  return pages * stat.ms_psize;
}

absl::StatusOr<Cursor> Transaction::OpenCursor(Table table) const {
  MDB_cursor* cursor = nullptr;
  NIMBUS_RETURN_IF_ERROR(StatusOf(mdb_cursor_open(txn_, table.handle, &cursor), "open cursor"));
  return Cursor(cursor);
}

Cursor::~Cursor() {
  if (cursor_ != nullptr) mdb_cursor_close(cursor_);
}

Cursor::Cursor(Cursor&& other) noexcept : cursor_(std::exchange(other.cursor_, nullptr)) {}

absl::StatusOr<std::optional<KeyValue>> Cursor::Move(int operation, View key) {
  MDB_val k = ValueOf(key), v;
  const int error = mdb_cursor_get(cursor_, &k, &v, static_cast<MDB_cursor_op>(operation));
  if (error == MDB_NOTFOUND) return std::optional<KeyValue>();
  NIMBUS_RETURN_IF_ERROR(StatusOf(error, "read"));
  return std::optional<KeyValue>(KeyValue{ViewOf(k), ViewOf(v)});
}

absl::StatusOr<std::optional<KeyValue>> Cursor::First() { return Move(MDB_FIRST, {}); }
absl::StatusOr<std::optional<KeyValue>> Cursor::Last() { return Move(MDB_LAST, {}); }
absl::StatusOr<std::optional<KeyValue>> Cursor::Next() { return Move(MDB_NEXT, {}); }
absl::StatusOr<std::optional<KeyValue>> Cursor::Previous() { return Move(MDB_PREV, {}); }
absl::StatusOr<std::optional<KeyValue>> Cursor::AtOrAfter(View key) {
  return Move(MDB_SET_RANGE, key);
}

}  // namespace nimbus::journal::lmdb
