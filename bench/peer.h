// What is measured side by side: stores that keep the events of agents.
//
//   absl::StatusOr<std::unique_ptr<Peer>> peer = kind.open({.directory = directory, …});
//   absl::Status status = (*peer)->Append(/*writer=*/0, operation, /*begin=*/0, /*end=*/1);
//
// Each stores the same workload the way its design does it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "nimbus/schema/event.h"
#include "nimbus/schema/id.h"
#include "testing/workload.h"

namespace nimbus::bench {

using Bytes = std::vector<uint8_t>;

struct PeerSetup {
  std::string directory;               // exists and is empty
  std::vector<schema::Uuid> sessions;  // of each writer; the peer makes them exist
  // What Append returns for: an event that would survive a power cut, or one
  // that survives the end of the process and is lost in a power cut if it was
  // among the last.
  bool relaxed = false;
};

class Peer {
 public:
  virtual ~Peer() = default;

  // Stores the events [begin, end) of the operation, all or none of them.
  // `writer` is the caller's number, below sessions.size(); each writer is one
  // thread, and appends the events of an operation in order.
  virtual absl::Status Append(size_t writer, const test::WorkloadOperation& operation, size_t begin,
                              size_t end) = 0;
};

struct PeerKind {
  std::string_view name;
  std::string_view about;
  absl::StatusOr<std::unique_ptr<Peer>> (*open)(const PeerSetup& setup);
};

absl::StatusOr<std::unique_ptr<Peer>> OpenNimbus(const PeerSetup& setup);
absl::StatusOr<std::unique_ptr<Peer>> OpenSqliteShared(const PeerSetup& setup);
absl::StatusOr<std::unique_ptr<Peer>> OpenSqliteOwn(const PeerSetup& setup);
absl::StatusOr<std::unique_ptr<Peer>> OpenLmdb(const PeerSetup& setup);
absl::StatusOr<std::unique_ptr<Peer>> OpenLmdbByHand(const PeerSetup& setup);
absl::StatusOr<std::unique_ptr<Peer>> OpenRocksdb(const PeerSetup& setup);
absl::StatusOr<std::unique_ptr<Peer>> OpenLog(const PeerSetup& setup);
absl::StatusOr<std::unique_ptr<Peer>> OpenGrowingLog(const PeerSetup& setup);
absl::StatusOr<std::unique_ptr<Peer>> OpenDevice(const PeerSetup& setup);

// All that this build has, Nimbus first.
std::span<const PeerKind> PeerKinds();
// Null when this build has no such peer.
const PeerKind* FindPeerKind(std::string_view name);

// What peers store that have no columns: the FlatBuffers of record and body,
// one after the other.
Bytes EncodeValue(const schema::Event& event);
std::vector<Bytes> EncodeValues(const test::WorkloadOperation& operation, size_t begin, size_t end,
                                const schema::Uuid& session);

}  // namespace nimbus::bench
