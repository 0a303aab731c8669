// One group: the appends that become durable together, in one transaction.
//
//   Group group(environment, &tiles, clock);
//   NIMBUS_RETURN_IF_ERROR(group.Begin());          // holds the writer lock from here
//   for (Request* r : requests) r->result = group.Add(r->…);
//   NIMBUS_RETURN_IF_ERROR(group.Commit());
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "environment.h"
#include "merkle.h"
#include "nimbus/schema/clock.h"
#include "prepare.h"

namespace nimbus::journal {

// Writes the tiles of the tree from level 1 on, from their first hash on. Level
// 0 is not stored: its hashes are those of the records, which are. The ones
// since the last full tile are kept here, and read again from the records when
// another process has appended.
class TileWriter {
 public:
  // Makes the tiles agree with a journal of `head`'s size.
  absl::Status Load(const Environment& environment, const lmdb::Transaction& txn, uint64_t size);
  absl::Status Append(const Environment& environment, lmdb::Transaction* txn, const Hash& leaf);
  // After a transaction that was not committed.
  void Forget() { loaded_ = false; }

 private:
  bool loaded_ = false;
  uint64_t size_ = 0;
  std::vector<Hash> partial_;  // leaf hashes since the last full tile
};

class Group {
 public:
  Group(const Environment& environment, TileWriter* tiles, schema::Clock* clock)
      : environment_(environment), tiles_(*tiles), clock_(*clock) {}
  ~Group();

  absl::Status Begin();

  // Places all events or none. The error is this append's own, unless
  // failed() says that the transaction can't go on.
  absl::StatusOr<Appended> Add(std::span<Run> runs, const AppendOptions& options);
  const absl::Status& failed() const { return failed_; }

  // Makes durable what was added. Nothing is written when nothing was.
  absl::Status Commit();

 private:
  absl::StatusOr<std::optional<Appended>> CheckOptions(const schema::fb::Envelope& first,
                                                       const AppendOptions& options);
  absl::StatusOr<Appended> Place(std::span<Run> runs, const AppendOptions& options);
  absl::Status Write(std::span<const Run> runs);
  absl::Status WriteRun(const Run& run);
  absl::Status WriteBlock(const Run& run, uint64_t first, std::optional<uint64_t> base);
  absl::Status CloseFrame();

  const Environment& environment_;
  TileWriter& tiles_;
  schema::Clock& clock_;
  std::optional<lmdb::Transaction> txn_;
  std::optional<Changes> changes_;
  Head head_;
  std::optional<FrameBuilder> frame_;
  std::optional<BodyFrameBuilder> bodies_;
  bool committed_ = false;
  bool dirty_ = false;
  absl::Status failed_;
};

}  // namespace nimbus::journal
