#include "group.h"

#include <algorithm>

#include "nimbus/schema/check.h"
#include "nimbus/schema/event.h"
#include "nimbus/schema/status.h"

namespace nimbus::journal {
namespace {

using schema::Error;
using Code = absl::StatusCode;

const schema::fb::Envelope& FirstEnvelope(std::span<const Run> runs) {
  return *schema::fb::GetRecord(runs.front().records.data())->envelope();
}

}  // namespace

absl::Status Group::Begin() {
  NIMBUS_ASSIGN_OR_RETURN(Snapshot snapshot, environment_.TakeWriterSnapshot());
  snapshot_.emplace(std::move(snapshot));
  changes_.emplace(environment_.TablesOf(*snapshot_));
  link_ = environment_.wal()->end();
  return absl::OkStatus();
}

absl::StatusOr<std::optional<Appended>> Group::CheckOptions(const schema::fb::Envelope& first,
                                                            const AppendOptions& options) {
  if (!options.append_id.has_value() && !options.expected_version.has_value()) {
    return std::optional<Appended>();
  }
  const schema::Uuid stream = schema::Uuid::FromFb(first.stream());
  NIMBUS_ASSIGN_OR_RETURN(const Entity* entity, changes_->Find(first.stream_kind(), stream));
  if (options.append_id.has_value() && entity != nullptr && entity->last_append.has_value() &&
      entity->last_append->id == *options.append_id) {
    return std::optional<Appended>(entity->last_append->result);
  }
  const uint64_t version = entity == nullptr ? 0 : entity->state.version;
  if (options.expected_version.value_or(version) != version) {
    return Error(Code::kAborted, "{} {} is at version {}, not {}",
                 schema::fb::EnumNameEntityKind(first.stream_kind()), stream.ToString(), version,
                 *options.expected_version);
  }
  return std::optional<Appended>();
}

absl::StatusOr<Appended> Group::Add(std::span<Run> runs, const AppendOptions& options) {
  NIMBUS_CHECK(!runs.empty());
  absl::StatusOr<std::optional<Appended>> earlier = CheckOptions(FirstEnvelope(runs), options);
  if (!earlier.ok() || earlier->has_value()) {
    changes_->Reject();
    return earlier.ok() ? absl::StatusOr<Appended>(**earlier) : earlier.status();
  }
  absl::StatusOr<Appended> placed = Place(runs, options);
  if (!placed.ok()) {
    changes_->Reject();
    return placed;
  }
  changes_->Accept();
  for (Run& run : runs) DropStaleBase(&run);
  Write(runs);
  return placed;
}

absl::Status Group::PlaceRecord(std::span<uint8_t> record, uint64_t sequence) {
  NIMBUS_ASSIGN_OR_RETURN(const Placement placement,
                          changes_->Apply(*schema::fb::GetRecord(record.data()), sequence));
  schema::fb::Envelope* envelope = schema::MutableEnvelope(record);
  envelope->mutate_sequence(sequence);
  envelope->mutate_version(placement.version);
  envelope->mutate_previous(placement.previous);
  envelope->mutate_ordinal(placement.ordinal);
  envelope->mutate_time_us(clock_.NowMicros());
  return absl::OkStatus();
}

absl::StatusOr<Appended> Group::Place(std::span<Run> runs, const AppendOptions& options) {
  Appended appended{.first = next_sequence(), .count = 0, .version = 0};
  for (Run& run : runs) {
    NIMBUS_RETURN_IF_ERROR(ForEachRecord(&run, [&](std::span<uint8_t> record) {
      return PlaceRecord(record, appended.first + appended.count++);
    }));
  }
  const schema::fb::Envelope& first = FirstEnvelope(runs);
  NIMBUS_ASSIGN_OR_RETURN(
      Entity * entity, changes_->Find(first.stream_kind(), schema::Uuid::FromFb(first.stream())));
  NIMBUS_CHECK(entity != nullptr);
  appended.version = entity->state.version;
  if (options.append_id.has_value()) {
    entity->last_append = LastAppend{.id = *options.append_id, .result = appended};
  }
  return appended;
}

// Compresses by itself what was compressed against a block of the generation
// before, while another took its place.
void Group::DropStaleBase(Run* run) const {
  if (!run->base.has_value() || *run->base >= environment_.generation()->bases_begin) return;
  Block& block = *run->block;
  const absl::StatusOr<Bytes> plain =
      DecodeStored(block.codec, block.stored, *run->base_bytes, BlockBytes(block.bodies));
  NIMBUS_CHECK(plain.ok());             // this process has compressed it
  constexpr int kCompressionLevel = 1;  // others wait
  Encoded encoded = EncodeStored(*plain, {}, kCompressionLevel);
  block.codec = encoded.codec;
  block.stored = std::move(encoded.bytes);
  block.depth = 0;
  run->base.reset();
}

void Group::Write(std::span<const Run> runs) {
  uint64_t block_before = 0;  // sequence of the first body of the run before
  for (const Run& run : runs) {
    const bool bodies_full = bodies_.has_value() && bodies_->IsFull();
    if (frame_.has_value() &&
        (bodies_full || !frame_->HasRoomFor(run.lengths.size(), run.records.size()))) {
      CloseFrame();
    }
    const uint64_t first = next_sequence();
    if (!frame_.has_value()) frame_.emplace(environment_.journal_id(), first, 0);
    frame_->AddAll(run.lengths, run.records);
    records_ += run.lengths.size();
    if (!run.block.has_value()) continue;
    const std::optional<uint64_t> base = run.base_is_run_before ? block_before : run.base;
    WriteBlock(run, first, base);
    block_before = first + run.block->bodies.front().sequence;
  }
}

void Group::WriteBlock(const Run& run, uint64_t first, std::optional<uint64_t> base) {
  if (!bodies_.has_value()) bodies_.emplace(frame_->first_sequence());
  const BlockEntry block = PlaceBlock(*run.block, first, base);
  bodies_->Add(block);
  if (!block.chunked) return;
  const std::span<const uint8_t> stored = run.block->stored;
  for (size_t offset = 0; offset < stored.size(); offset += kChunkBytes) {
    chunks_.push_back(
        {.key = MakeChunkKey(block.first(), offset / kChunkBytes),
         .bytes = stored.subspan(offset, std::min(kChunkBytes, stored.size() - offset))});
  }
}

void Group::CloseFrame() {
  Bytes value = frame_->FinishRaw().bytes;
  frame_.reset();
  if (bodies_.has_value()) {
    bodies_->AppendTo(&value);
    bodies_.reset();
  }
  frames_.push_back(std::move(value));
}

std::unique_ptr<const WalEntry> Group::Finish() {
  CloseFrame();
  std::vector<WalFrame> frames;
  for (const Bytes& value : frames_) frames.push_back({.value = value});
  const std::vector<TableChange> tables = changes_->Collect();
  std::vector<WalChange> changes;
  for (const TableChange& change : tables) {
    changes.push_back({.table = change.table, .key = change.key, .value = change.value});
  }
  for (const Chunk& chunk : chunks_) {
    changes.push_back({.table = WalTable::kChunks, .key = chunk.key, .value = chunk.bytes});
  }
  return WalEntry::Make({.journal = environment_.journal_id(),
                         .first_sequence = link_.sequence,
                         .records = static_cast<uint32_t>(records_),
                         .durable_before = environment_.wal()->durable(),
                         .salt = environment_.wal()->salt(),
                         .previous = link_.checksum,
                         .frames = frames,
                         .changes = changes});
}

}  // namespace nimbus::journal
