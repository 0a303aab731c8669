// Writes another journal's entries, in their order, behind those an environment
// holds: the same records at the same sequences, so the same tree. Frames are
// packed anew; frontier, tiles, entities and names follow from the records by
// the rules, never from what the other journal says of itself.
//
//   Replica replica(*environment, {});
//   NIMBUS_RETURN_IF_ERROR(replica.Begin());
//   for (const Entry& entry : entries) NIMBUS_RETURN_IF_ERROR(replica.Append(entry));
//   NIMBUS_RETURN_IF_ERROR(replica.Commit());
//
// Writes to LMDB, never to the log, which must hold nothing; so where others may
// write, it takes the tenure. Commits by itself whenever enough has gathered, so
// memory stays bounded; each commit leaves a whole journal. One thread.
#pragma once

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "apply.h"
#include "entities.h"
#include "entry.h"
#include "environment.h"
#include "frame_packer.h"

namespace nimbus::journal {

class Replica {
 public:
  // `environment` outlives it.
  Replica(const Environment& environment, PackerOptions options)
      : environment_(environment), options_(std::move(options)) {}

  // Reads where the environment ends. To be called once, before the others.
  absl::Status Begin();

  // DataLoss: the entry is not what it says, or the rules refuse it; nothing of
  // it is written, and no more can be. Aborted: somebody else appended.
  absl::Status Append(const Entry& entry);

  // Makes durable what was appended.
  absl::Status Commit();

  // Takes over the append ids of entities, which follow from no record, from the
  // journal whose entries these are, as of this very size. DataLoss: its entities
  // are not those that the records make.
  absl::Status TakeAppendIds(const TableReader& theirs);

  uint64_t size() const { return head_.size(); }
  uint64_t bodies() const { return bodies_; }
  Hash root() const { return head_.frontier.Root(); }

 private:
  static constexpr int kBatchRecordsMax = 4096;
  static constexpr size_t kBatchBytesMax = size_t{32} << 20;

  absl::Status BeginBatch();
  absl::Status Place(const schema::fb::Record& record, uint64_t sequence);
  absl::Status Write(const std::vector<PackedFrame>& frames);
  absl::Status NoteArchived(uint64_t sequence, uint64_t archive);
  absl::Status TakeAppendId(const TableReader& theirs, const lmdb::KeyValue& ours,
                            lmdb::Transaction* txn);

  const Environment& environment_;
  const PackerOptions options_;
  Head head_;
  TileWriter tiles_;
  std::optional<FramePacker> packer_;
  std::optional<lmdb::Transaction> txn_;
  std::optional<Changes> changes_;
  std::optional<ArchivedRange> archived_;  // the last one, still growing
  uint64_t bodies_ = 0;
  int batch_records_ = 0;
  size_t batch_bytes_ = 0;
};

}  // namespace nimbus::journal
