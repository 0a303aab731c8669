// RocksDB with a synced write-ahead log, and otherwise as it comes. It groups
// concurrent writers itself.
#include <rocksdb/db.h>
#include <rocksdb/write_batch.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "bench/peer.h"
#include "nimbus/schema/status.h"

namespace nimbus::bench {
namespace {

absl::Status ToStatus(const rocksdb::Status& status) {
  return status.ok() ? absl::OkStatus() : absl::InternalError(status.ToString());
}

class RocksdbPeer final : public Peer {
 public:
  RocksdbPeer(std::unique_ptr<rocksdb::DB> database, const PeerSetup& setup)
      : database_(std::move(database)), sessions_(setup.sessions) {
    write_.sync = !setup.relaxed;
  }

  absl::Status Append(size_t writer, const test::WorkloadOperation& operation, size_t begin,
                      size_t end) override {
    return Put(EncodeValues(operation, begin, end, sessions_[writer]));
  }

  absl::Status Put(const std::vector<Bytes>& values) {
    rocksdb::WriteBatch batch;
    for (const Bytes& value : values) {
      // Big-endian, so that keys ascend in RocksDB's order.
      uint64_t number = next_key_.fetch_add(1);
      std::array<char, sizeof number> key;
      for (auto byte = key.rbegin(); byte != key.rend(); ++byte, number >>= 8) {
        *byte = static_cast<char>(number);
      }
      NIMBUS_RETURN_IF_ERROR(ToStatus(batch.Put(
          {key.data(), key.size()}, {reinterpret_cast<const char*>(value.data()), value.size()})));
    }
    return ToStatus(database_->Write(write_, &batch));
  }

 private:
  const std::unique_ptr<rocksdb::DB> database_;
  const std::vector<schema::Uuid> sessions_;
  rocksdb::WriteOptions write_;
  std::atomic<uint64_t> next_key_ = 0;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Peer>> OpenRocksdb(const PeerSetup& setup) {
  rocksdb::Options options;
  options.create_if_missing = true;
  rocksdb::DB* database = nullptr;
  NIMBUS_RETURN_IF_ERROR(ToStatus(rocksdb::DB::Open(options, setup.directory + "/db", &database)));
  auto peer = std::make_unique<RocksdbPeer>(std::unique_ptr<rocksdb::DB>(database), setup);
  for (const schema::Uuid& session : setup.sessions) {
    NIMBUS_RETURN_IF_ERROR(peer->Put({EncodeValue(test::SessionStarted(session))}));
  }
  return peer;
}

}  // namespace nimbus::bench
