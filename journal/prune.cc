#include "nimbus/journal/prune.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <memory>
#include <set>
#include <utility>

#include "archives.h"
#include "compaction.h"
#include "internals.h"
#include "nimbus/schema/event.h"
#include "nimbus/schema/status.h"
#include "store.h"

namespace nimbus::journal {
namespace {

using schema::Uuid;
using schema::fb::EntityKind;

constexpr uint64_t kReportEvery = 256;  // records
constexpr size_t kVerdictsMax = 4096;
constexpr size_t kBodyCacheBytes = size_t{16} << 20;

// Which operations go. As of when it was planned; memory grows with the operations
// that others name as their parents only.
class PrunePlan {
 public:
  PrunePlan(const Journal& journal, const PruneOptions& options, PruneReport* report)
      : environment_(Internals::EnvironmentOf(journal)),
        options_(options),
        report_(*report),
        reader_(journal) {}

  absl::Status Make();
  // Whether the body of this record is to be moved.
  absl::StatusOr<bool> Moves(const schema::fb::Record& record);

 private:
  using Visit = std::function<absl::Status(const EntityState&)>;
  absl::Status ForEachOperation(const Visit& visit);
  absl::StatusOr<bool> IsOld(const EntityState& operation);
  absl::StatusOr<std::optional<Uuid>> ParentOf(const EntityState& operation);
  absl::StatusOr<std::optional<EntityState>> Find(const Uuid& operation);
  absl::Status Refer(const EntityState& stays);
  absl::StatusOr<bool> MovesOperation(const Uuid& operation);

  const Environment& environment_;
  const PruneOptions& options_;
  PruneReport& report_;
  Reader reader_;
  std::set<Uuid> referred_;        // by operations that stay
  std::map<Uuid, bool> verdicts_;  // some of them
};

absl::Status PrunePlan::ForEachOperation(const Visit& visit) {
  EntityKey key{static_cast<uint8_t>(EntityKind::operation)};
  NIMBUS_ASSIGN_OR_RETURN(const lmdb::Transaction txn, environment_.BeginRead());
  NIMBUS_ASSIGN_OR_RETURN(lmdb::Cursor cursor,
                          txn.OpenCursor(environment_.tables().entity.entities));
  NIMBUS_ASSIGN_OR_RETURN(auto entry, cursor.AtOrAfter(key));
  while (entry.has_value() && !entry->key.empty() && entry->key.front() == key.front()) {
    NIMBUS_ASSIGN_OR_RETURN(const Entity entity, DecodeEntity(entry->key, entry->value));
    NIMBUS_RETURN_IF_ERROR(visit(entity.state));
    NIMBUS_ASSIGN_OR_RETURN(entry, cursor.Next());
  }
  return absl::OkStatus();
}

// Whether its last record is before the moment.
absl::StatusOr<bool> PrunePlan::IsOld(const EntityState& operation) {
  if (options_.before_sequence.has_value()) {
    return operation.head_sequence < *options_.before_sequence;
  }
  NIMBUS_ASSIGN_OR_RETURN(const RecordView* last, reader_.Read(operation.head_sequence));
  return schema::OccurredAt(*last->record).value_or(last->envelope().time_us()) <
         *options_.before_us;
}

absl::StatusOr<std::optional<Uuid>> PrunePlan::ParentOf(const EntityState& operation) {
  NIMBUS_ASSIGN_OR_RETURN(const RecordView* first, reader_.Read(operation.first_sequence));
  const auto* created = first->record->event_as_OperationCreated();
  if (created == nullptr || created->parent() == nullptr) return std::optional<Uuid>();
  return std::optional<Uuid>(Uuid::FromFb(*created->parent()));
}

absl::StatusOr<std::optional<EntityState>> PrunePlan::Find(const Uuid& operation) {
  NIMBUS_ASSIGN_OR_RETURN(const Snapshot snapshot, environment_.TakeSnapshot());
  NIMBUS_ASSIGN_OR_RETURN(
      const std::optional<Entity> entity,
      FindEntity(environment_.TablesOf(snapshot), EntityKind::operation, operation));
  if (!entity.has_value()) return std::optional<EntityState>();
  return std::optional<EntityState>(entity->state);
}

// What stays may be resumed from what it names: that stays too, all the way up.
absl::Status PrunePlan::Refer(const EntityState& stays) {
  NIMBUS_ASSIGN_OR_RETURN(std::optional<Uuid> parent, ParentOf(stays));
  while (parent.has_value() && referred_.insert(*parent).second) {
    NIMBUS_ASSIGN_OR_RETURN(const std::optional<EntityState> state, Find(*parent));
    if (!state.has_value()) break;
    NIMBUS_ASSIGN_OR_RETURN(parent, ParentOf(*state));
  }
  return absl::OkStatus();
}

absl::Status PrunePlan::Make() {
  NIMBUS_RETURN_IF_ERROR(ForEachOperation([&](const EntityState& operation) -> absl::Status {
    NIMBUS_ASSIGN_OR_RETURN(const bool old, IsOld(operation));
    const bool ended = IsFinal(static_cast<Lifecycle>(operation.state));
    report_.running += old && !ended;
    return old && ended ? absl::OkStatus() : Refer(operation);
  }));
  return ForEachOperation([&](const EntityState& operation) -> absl::Status {
    if (!referred_.contains(operation.id)) return absl::OkStatus();
    NIMBUS_ASSIGN_OR_RETURN(const bool old, IsOld(operation));
    report_.referred += old && IsFinal(static_cast<Lifecycle>(operation.state));
    return absl::OkStatus();
  });
}

absl::StatusOr<bool> PrunePlan::MovesOperation(const Uuid& operation) {
  if (const auto known = verdicts_.find(operation); known != verdicts_.end()) {
    return known->second;
  }
  bool moves = false;
  NIMBUS_ASSIGN_OR_RETURN(const std::optional<EntityState> state, Find(operation));
  if (state.has_value() && IsFinal(static_cast<Lifecycle>(state->state)) &&
      !referred_.contains(operation)) {
    NIMBUS_ASSIGN_OR_RETURN(moves, IsOld(*state));
  }
  if (verdicts_.size() >= kVerdictsMax) verdicts_.clear();
  verdicts_[operation] = moves;
  return moves;
}

absl::StatusOr<bool> PrunePlan::Moves(const schema::fb::Record& record) {
  const schema::fb::Envelope& envelope = *record.envelope();
  if (envelope.body_size() == 0) return false;
  if (envelope.stream_kind() == EntityKind::operation) {
    return MovesOperation(Uuid::FromFb(envelope.stream()));
  }
  const schema::fb::SourceStored* source = record.event_as_SourceStored();
  if (source == nullptr || source->about() == nullptr) return false;
  return MovesOperation(Uuid::FromFb(*source->about()));
}

// Tells of every entry before `size` whose body is to be moved.
absl::Status ForEachMoved(
    const Journal& journal, uint64_t size, PrunePlan* plan, const ProgressFunction& progress,
    const std::function<absl::Status(const schema::fb::Record&, const Entry&)>& visit) {
  EntryReader entries(journal, EntryReader::Archived::kKeep);
  for (uint64_t sequence = 0; sequence < size; ++sequence) {
    NIMBUS_ASSIGN_OR_RETURN(const std::optional<Entry> entry, entries.Next());
    if (!entry.has_value()) return absl::DataLossError("the journal became shorter");
    if (progress && sequence % kReportEvery == 0 && !progress(sequence, size)) {
      return absl::CancelledError("interrupted");
    }
    if (!entry->body.has_value()) continue;
    NIMBUS_ASSIGN_OR_RETURN(const schema::fb::Record* record, CheckEntry(*entry));
    NIMBUS_ASSIGN_OR_RETURN(const bool moves, plan->Moves(*record));
    if (moves) NIMBUS_RETURN_IF_ERROR(visit(*record, *entry));
  }
  return absl::OkStatus();
}

void Count(const schema::fb::Record& record, const Entry& entry, PruneReport* report) {
  ++report->bodies;
  report->plain_bytes += entry.body->bytes.size();
  report->operations += record.event_type() == schema::fb::Event::OperationCreated;
}

// Takes the bodies that `archive` gives back, the same as they are here.
JournalCopy::Filter TakeArchived(const Archive& archive, uint64_t number) {
  const auto bodies = std::make_shared<BodyReader>(
      [&archive](uint64_t sequence, Bytes* bytes) { return archive.ReadBlock(sequence, bytes); },
      kBodyCacheBytes);
  return [&archive, number, bodies](Entry* entry) -> absl::Status {
    if (!entry->body.has_value()) return absl::OkStatus();
    const std::optional<uint64_t> block = archive.BlockAt(entry->sequence);
    if (!block.has_value()) return absl::OkStatus();
    NIMBUS_ASSIGN_OR_RETURN(const std::optional<PlainBlock> plain, bodies->ReadBlock(*block));
    const bool held = plain.has_value() && std::any_of(plain->bodies.begin(), plain->bodies.end(),
                                                       [&](const BodyExtent& b) {
                                                         return b.sequence == entry->sequence;
                                                       });
    if (!held) return absl::OkStatus();
    NIMBUS_ASSIGN_OR_RETURN(const std::optional<PlainBody> body, bodies->Read(entry->sequence));
    if (!body.has_value() || body->nonce != entry->body->nonce ||
        !std::equal(body->bytes.begin(), body->bytes.end(), entry->body->bytes.begin(),
                    entry->body->bytes.end())) {
      return schema::Error(absl::StatusCode::kDataLoss,
                           "the archive does not give back the body of record {}", entry->sequence);
    }
    entry->body.reset();
    entry->archived = number;
    return absl::OkStatus();
  };
}

absl::Status WriteArchive(const Journal& journal, const PruneOptions& options, uint64_t size,
                          PrunePlan* plan, PruneReport* report) {
  std::error_code error;
  std::filesystem::create_directory(ArchiveDirectory(journal.store()), error);
  if (error) return StatusOfErrno(error.value(), ArchiveDirectory(journal.store()));
  NIMBUS_RETURN_IF_ERROR(SyncDirectory(journal.store()));
  NIMBUS_ASSIGN_OR_RETURN(const std::unique_ptr<ArchiveWriter> writer,
                          ArchiveWriter::Create(report->archive, journal.id(),
                                                {.compression_level = options.compression_level}));
  NIMBUS_RETURN_IF_ERROR(ForEachMoved(
      journal, size, plan, options.progress,
      [&](const schema::fb::Record& record, const Entry& entry) {
        Count(record, entry, report);
        return writer->Add(Uuid::FromFb(record.envelope()->stream()), entry.sequence, *entry.body);
      }));
  if (report->bodies == 0) return absl::OkStatus();
  NIMBUS_RETURN_IF_ERROR(writer->Seal());
  report->archive_bytes = writer->bytes();
  return absl::OkStatus();
}

absl::Status Apply(Journal* journal, const PruneOptions& options, PruneReport* report) {
  NIMBUS_ASSIGN_OR_RETURN(const std::unique_ptr<Compaction> next, Compaction::Begin(journal));
  NIMBUS_RETURN_IF_ERROR(journal->ApplyLog());  // the plan is made from LMDB's tables
  PrunePlan plan(*journal, options, report);
  NIMBUS_RETURN_IF_ERROR(plan.Make());
  NIMBUS_ASSIGN_OR_RETURN(const uint64_t size, journal->Size());
  report->archive = ArchivePath(journal->store(), next->number());
  NIMBUS_RETURN_IF_ERROR(WriteArchive(*journal, options, size, &plan, report));
  if (report->bodies == 0) {
    report->archive.clear();
    return absl::OkStatus();
  }
  NIMBUS_ASSIGN_OR_RETURN(const std::unique_ptr<Archive> archive,
                          Archive::Open(report->archive, journal->id()));
  NIMBUS_RETURN_IF_ERROR(archive->CheckDigest());
  NIMBUS_ASSIGN_OR_RETURN(
      const CompactReport compacted,
      next->Run({.compression_level = options.compression_level, .progress = options.progress},
                TakeArchived(*archive, next->number())));
  report->bytes_before = compacted.bytes_before;
  report->bytes_after = compacted.bytes_after;
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<PruneReport> PruneJournal(Journal* journal, const PruneOptions& options) {
  if (options.before_sequence.has_value() == options.before_us.has_value()) {
    return absl::InvalidArgumentError("pruning wants either a sequence or a time");
  }
  PruneReport report;
  if (options.apply) {
    NIMBUS_RETURN_IF_ERROR(Apply(journal, options, &report));
    return report;
  }
  PrunePlan plan(*journal, options, &report);
  NIMBUS_RETURN_IF_ERROR(plan.Make());
  NIMBUS_ASSIGN_OR_RETURN(const uint64_t size, journal->Size());
  NIMBUS_RETURN_IF_ERROR(ForEachMoved(*journal, size, &plan, options.progress,
                                      [&](const schema::fb::Record& record, const Entry& entry) {
                                        Count(record, entry, &report);
                                        return absl::OkStatus();
                                      }));
  return report;
}

}  // namespace nimbus::journal
