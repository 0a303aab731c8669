// One group: the appends that become durable together, as one entry of the log.
//
//   Group group(environment, clock);
//   NIMBUS_RETURN_IF_ERROR(group.Begin());          // with the tenure
//   for (Request* r : requests) r->result = group.Add(r->…);
//   if (!group.empty()) Write(group.Finish());
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "environment.h"
#include "nimbus/schema/clock.h"
#include "prepare.h"

namespace nimbus::journal {

class Group {
 public:
  Group(const Environment& environment, schema::Clock* clock)
      : environment_(environment), clock_(*clock) {}

  absl::Status Begin();

  // Places all events or none; the error is this append's own. `runs` are read
  // until Finish.
  absl::StatusOr<Appended> Add(std::span<Run> runs, const AppendOptions& options);
  bool empty() const { return records_ == 0; }

  std::unique_ptr<const WalEntry> Finish();

 private:
  absl::StatusOr<std::optional<Appended>> CheckOptions(const schema::fb::Envelope& first,
                                                       const AppendOptions& options);
  absl::Status PlaceRecord(std::span<uint8_t> record, uint64_t sequence);
  absl::StatusOr<Appended> Place(std::span<Run> runs, const AppendOptions& options);
  void DropStaleBase(Run* run) const;
  void Write(std::span<const Run> runs);
  void WriteBlock(const Run& run, uint64_t first, std::optional<uint64_t> base);
  void CloseFrame();
  uint64_t next_sequence() const { return link_.sequence + records_; }

  const Environment& environment_;
  schema::Clock& clock_;
  std::optional<Snapshot> snapshot_;
  std::optional<Changes> changes_;
  WalLink link_;  // where the group begins
  uint64_t records_ = 0;
  std::optional<FrameBuilder> frame_;
  std::optional<BodyFrameBuilder> bodies_;
  std::vector<Bytes> frames_;
  struct Chunk {
    Bytes key;
    std::span<const uint8_t> bytes;
  };
  std::vector<Chunk> chunks_;
};

}  // namespace nimbus::journal
