#include <lmdb.h>

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "bench/peer.h"
#include "nimbus/schema/event.h"
#include "nimbus/schema/status.h"

namespace nimbus::bench {
namespace {

constexpr size_t kMapBytes = size_t{1} << 36;
constexpr size_t kGroupEventsMax = 512;  // as journal::Options
constexpr size_t kGroupBytesMax = 1u << 20;

absl::Status LmdbError(std::string_view what, int code) {
  return schema::Error(absl::StatusCode::kInternal, "{}: {}", what, mdb_strerror(code));
}

// An event waiting for its group to be committed.
struct Waiter {
  std::vector<uint8_t> value;
  std::optional<absl::Status> result;
  std::condition_variable done;
};

// Callers queue encoded events; one thread puts all that wait into one
// transaction, commits it with LMDB's default durability, and wakes them.
class LmdbPeer final : public Peer {
 public:
  LmdbPeer(MDB_env* environment, MDB_dbi database, std::vector<schema::Uuid> sessions)
      : environment_(environment), database_(database), sessions_(std::move(sessions)) {
    thread_ = std::thread([this] { Run(); });
  }

  ~LmdbPeer() override {
    {
      const std::lock_guard lock(mutex_);
      closing_ = true;
    }
    queued_.notify_one();
    thread_.join();
    mdb_env_close(environment_);
  }

  absl::Status Append(size_t writer, const test::WorkloadOperation& operation,
                      size_t index) override {
    return Put(operation.Event(index, sessions_[writer]));
  }

  absl::Status Put(const schema::Event& event) {
    Waiter waiter;
    waiter.value = schema::EncodeRecord(event);
    const std::vector<uint8_t> body = schema::EncodeBody(event);
    waiter.value.insert(waiter.value.end(), body.begin(), body.end());
    std::unique_lock lock(mutex_);
    queue_.push_back(&waiter);
    if (queue_.size() == 1) queued_.notify_one();
    waiter.done.wait(lock, [&] { return waiter.result.has_value(); });
    return *std::move(waiter.result);
  }

 private:
  void Run() {
    std::unique_lock lock(mutex_);
    while (true) {
      queued_.wait(lock, [this] { return closing_ || !queue_.empty(); });
      if (queue_.empty()) return;
      const std::vector<Waiter*> group = TakeGroup();
      lock.unlock();
      const absl::Status status = Commit(group);
      lock.lock();
      for (Waiter* waiter : group) {
        waiter->result = status;
        waiter->done.notify_one();
      }
    }
  }

  std::vector<Waiter*> TakeGroup() {
    std::vector<Waiter*> group;
    size_t bytes = 0;
    while (!queue_.empty() && group.size() < kGroupEventsMax && bytes < kGroupBytesMax) {
      bytes += queue_.front()->value.size();
      group.push_back(queue_.front());
      queue_.pop_front();
    }
    return group;
  }

  absl::Status Commit(const std::vector<Waiter*>& group) {
    MDB_txn* transaction = nullptr;
    if (const int code = mdb_txn_begin(environment_, nullptr, 0, &transaction); code != 0) {
      return LmdbError("mdb_txn_begin", code);
    }
    for (Waiter* waiter : group) {
      MDB_val key{sizeof next_key_, &next_key_};
      MDB_val value{waiter->value.size(), waiter->value.data()};
      if (const int code = mdb_put(transaction, database_, &key, &value, MDB_APPEND); code != 0) {
        mdb_txn_abort(transaction);
        return LmdbError("mdb_put", code);
      }
      ++next_key_;
    }
    const int code = mdb_txn_commit(transaction);
    return code == 0 ? absl::OkStatus() : LmdbError("mdb_txn_commit", code);
  }

  MDB_env* const environment_;
  const MDB_dbi database_;
  const std::vector<schema::Uuid> sessions_;
  uint64_t next_key_ = 0;  // of the writer thread

  std::mutex mutex_;
  std::condition_variable queued_;
  std::deque<Waiter*> queue_;
  bool closing_ = false;
  std::thread thread_;
};

absl::StatusOr<MDB_dbi> OpenDatabase(MDB_env* environment) {
  MDB_txn* transaction = nullptr;
  if (const int code = mdb_txn_begin(environment, nullptr, 0, &transaction); code != 0) {
    return LmdbError("mdb_txn_begin", code);
  }
  MDB_dbi database = 0;
  if (const int code = mdb_dbi_open(transaction, nullptr, MDB_INTEGERKEY, &database); code != 0) {
    mdb_txn_abort(transaction);
    return LmdbError("mdb_dbi_open", code);
  }
  if (const int code = mdb_txn_commit(transaction); code != 0) {
    return LmdbError("mdb_txn_commit", code);
  }
  return database;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Peer>> OpenLmdb(const PeerSetup& setup) {
  MDB_env* environment = nullptr;
  if (const int code = mdb_env_create(&environment); code != 0) {
    return LmdbError("mdb_env_create", code);
  }
  std::unique_ptr<MDB_env, decltype(&mdb_env_close)> guard(environment, mdb_env_close);
  if (const int code = mdb_env_set_mapsize(environment, kMapBytes); code != 0) {
    return LmdbError("mdb_env_set_mapsize", code);
  }
  if (const int code = mdb_env_open(environment, setup.directory.c_str(), 0, 0644); code != 0) {
    return LmdbError("mdb_env_open", code);
  }
  NIMBUS_ASSIGN_OR_RETURN(const MDB_dbi database, OpenDatabase(environment));
  auto peer = std::make_unique<LmdbPeer>(guard.release(), database, setup.sessions);
  for (const schema::Uuid& session : setup.sessions) {
    NIMBUS_RETURN_IF_ERROR(peer->Put(test::SessionStarted(session)));
  }
  return peer;
}

}  // namespace nimbus::bench
