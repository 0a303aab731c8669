#include "bench/peer.h"

#include <span>

namespace nimbus::bench {
namespace {

constexpr PeerKind kKinds[] = {
    {"nimbus", "the journal: one Append a call", OpenNimbus},
    {"sqlite-shared", "the spec's tables, one connection under a mutex", OpenSqliteShared},
    {"sqlite-own", "the spec's tables, a connection per writer, busy_timeout", OpenSqliteOwn},
    {"lmdb", "plain LMDB, one put per event, grouped by one writer thread", OpenLmdb},
    {"lmdb-by-hand", "the same; callers hash (SHA-256) and compress (zstd) each event",
     OpenLmdbByHand},
#ifdef NIMBUS_BENCH_ROCKSDB
    {"rocksdb", "one WriteBatch a call, synced; RocksDB groups them", OpenRocksdb},
#endif
    {"log", "a log file filled beforehand, one fdatasync per group", OpenLog},
    {"log-growing", "the same, and the file grows", OpenGrowingLog},
    {"device", "a log file filled beforehand, pwrite and fdatasync in each call", OpenDevice},
};

}  // namespace

std::span<const PeerKind> PeerKinds() { return kKinds; }

const PeerKind* FindPeerKind(std::string_view name) {
  for (const PeerKind& kind : kKinds) {
    if (kind.name == name) return &kind;
  }
  return nullptr;
}

Bytes EncodeValue(const schema::Event& event) {
  Bytes value = schema::EncodeRecord(event);
  const Bytes body = schema::EncodeBody(event);
  value.insert(value.end(), body.begin(), body.end());
  return value;
}

std::vector<Bytes> EncodeValues(const test::WorkloadOperation& operation, size_t begin, size_t end,
                                const schema::Uuid& session) {
  std::vector<Bytes> values;
  values.reserve(end - begin);
  for (size_t index = begin; index < end; ++index) {
    values.push_back(EncodeValue(operation.Event(index, session)));
  }
  return values;
}

}  // namespace nimbus::bench
