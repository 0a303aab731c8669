// What is measured side by side: stores that make the events of agents durable.
//
//   absl::StatusOr<std::unique_ptr<Peer>> peer = kind.open({.directory = directory, …});
//   absl::Status status = (*peer)->Append(/*writer=*/0, operation, /*index=*/0);
//
// Each stores the same workload the way its design does it, and each returns
// from Append only when the event would survive a power cut.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "nimbus/schema/id.h"
#include "testing/workload.h"

namespace nimbus::bench {

struct PeerSetup {
  std::string directory;               // exists and is empty
  std::vector<schema::Uuid> sessions;  // of each writer; the peer makes them exist
};

class Peer {
 public:
  virtual ~Peer() = default;

  // Makes event `index` of the operation durable. `writer` is the caller's
  // number, below sessions.size(); each writer is one thread, and appends the
  // events of an operation in order.
  virtual absl::Status Append(size_t writer, const test::WorkloadOperation& operation,
                              size_t index) = 0;
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

// All of them, Nimbus first.
std::span<const PeerKind> PeerKinds();

}  // namespace nimbus::bench
