#include "nimbus/journal/usage.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "entry.h"
#include "frame_packer.h"
#include "heavy_streams.h"
#include "internals.h"
#include "nimbus/schema/event.h"
#include "nimbus/schema/status.h"
#include "store.h"

namespace nimbus::journal {
namespace {

using schema::Uuid;
using schema::fb::EntityKind;
namespace fs = std::filesystem;

constexpr size_t kCountersMax = 4096;
constexpr int kFramesPerView = 256;
constexpr uint64_t kPageBytes = 4096;
// What is packed anew to see how small it gets: all of a small journal, stretches
// of a large one.
constexpr uint64_t kSampleRecords = 1024;
constexpr uint64_t kSamplesMax = 16;

class Measurement {
 public:
  Measurement(const Journal& journal, const UsageOptions& options)
      : journal_(journal),
        environment_(Internals::EnvironmentOf(journal)),
        options_(options),
        operations_(kCountersMax),
        sessions_(kCountersMax) {}

  absl::StatusOr<Usage> Run();

 private:
  absl::Status MeasureFrames();
  absl::Status MeasureFrame(const lmdb::Transaction& txn, const lmdb::KeyValue& stored);
  absl::Status MeasureBody(const lmdb::Transaction& txn, const schema::fb::Record& record,
                           uint64_t plain_bytes, uint64_t stored_bytes);
  absl::StatusOr<Uuid> SessionOf(const lmdb::Transaction& txn, EntityKind kind, const Uuid& id);
  absl::Status MeasureTables();
  absl::Status MeasureFiles();
  absl::StatusOr<uint64_t> EstimatePacked();

  const Journal& journal_;
  const Environment& environment_;
  const UsageOptions& options_;
  Usage usage_;
  std::map<schema::fb::Event, BodyUsage> events_;
  HeavyStreams operations_, sessions_;
  std::pair<Uuid, Uuid> last_{};  // an operation, its session
};

absl::StatusOr<Usage> Measurement::Run() {
  NIMBUS_RETURN_IF_ERROR(MeasureFrames());
  NIMBUS_RETURN_IF_ERROR(MeasureTables());
  NIMBUS_RETURN_IF_ERROR(MeasureFiles());
  for (const auto& [event, usage] : events_) usage_.events.push_back(usage);
  std::sort(usage_.events.begin(), usage_.events.end(),
            [](const BodyUsage& a, const BodyUsage& b) { return a.stored_bytes > b.stored_bytes; });
  usage_.operations = operations_.Largest(options_.top);
  usage_.sessions = sessions_.Largest(options_.top);
  NIMBUS_ASSIGN_OR_RETURN(const uint64_t packed, EstimatePacked());
  const uint64_t after = packed + usage_.tile_page_bytes + usage_.entity_page_bytes;
  usage_.reclaimable_bytes = usage_.file_bytes - std::min(usage_.file_bytes, after);
  return std::move(usage_);
}

// In short views, so that none keeps LMDB from using pages again for long.
absl::Status Measurement::MeasureFrames() {
  uint64_t size = 0;  // of what is in LMDB; the rest is in the log
  {
    NIMBUS_ASSIGN_OR_RETURN(const lmdb::Transaction txn, environment_.BeginRead());
    NIMBUS_ASSIGN_OR_RETURN(const Head head, environment_.ReadHead(txn));
    size = head.size();
  }
  while (usage_.records < size) {
    NIMBUS_ASSIGN_OR_RETURN(const lmdb::Transaction txn, environment_.BeginRead());
    NIMBUS_ASSIGN_OR_RETURN(lmdb::Cursor cursor, txn.OpenCursor(environment_.tables().frames));
    const uint64_t next = usage_.records;
    NIMBUS_ASSIGN_OR_RETURN(auto stored, cursor.AtOrAfter(lmdb::MakeView(&next, sizeof(next))));
    for (int frame = 0; frame < kFramesPerView && stored.has_value(); ++frame) {
      NIMBUS_RETURN_IF_ERROR(MeasureFrame(txn, *stored));
      NIMBUS_ASSIGN_OR_RETURN(stored, cursor.Next());
    }
    if (usage_.records == next) break;
    if (options_.progress && !options_.progress(std::min(usage_.records, size), size)) {
      return absl::CancelledError("interrupted");
    }
  }
  return absl::OkStatus();
}

absl::Status Measurement::MeasureFrame(const lmdb::Transaction& txn, const lmdb::KeyValue& stored) {
  const std::string where = fmt::format("record {}", usage_.records);
  const absl::StatusOr<Frame> frame = Frame::Decode(stored.value);
  if (!frame.ok()) return schema::Annotate(frame.status(), where);
  if (frame->first_sequence() != usage_.records) {
    return schema::Annotate(absl::DataLossError("the frame belongs elsewhere"), where);
  }
  const std::span<const uint8_t> bodies = stored.value.subspan(*FrameBytes(stored.value));
  usage_.stored_record_bytes += stored.value.size() - bodies.size();
  usage_.stored_body_bytes += bodies.size();
  for (; usage_.records < frame->end_sequence(); ++usage_.records) {
    usage_.record_bytes += frame->record(usage_.records - frame->first_sequence()).size();
  }
  if (bodies.empty()) return absl::OkStatus();
  const absl::StatusOr<std::vector<BlockEntry>> blocks =
      ParseBodyFrame(bodies, frame->first_sequence());
  if (!blocks.ok()) return schema::Annotate(blocks.status(), where);
  for (const BlockEntry& block : *blocks) {
    if (block.chunked) usage_.stored_body_bytes += block.stored_bytes;
    const uint64_t plain_bytes = BlockBytes(block.bodies);
    for (const BodyExtent& body : block.bodies) {
      if (!frame->Holds(body.sequence))
        return absl::DataLossError(where + ": its bodies exceed it");
      NIMBUS_ASSIGN_OR_RETURN(
          const schema::fb::Record* record,
          schema::VerifyRecord(frame->record(body.sequence - frame->first_sequence())));
      NIMBUS_RETURN_IF_ERROR(
          MeasureBody(txn, *record, body.bytes, block.stored_bytes * body.bytes / plain_bytes));
    }
  }
  return absl::OkStatus();
}

absl::Status Measurement::MeasureBody(const lmdb::Transaction& txn,
                                      const schema::fb::Record& record, uint64_t plain_bytes,
                                      uint64_t stored_bytes) {
  ++usage_.bodies;
  usage_.body_bytes += plain_bytes;
  BodyUsage& event = events_[record.event_type()];
  event.event = record.event_type();
  ++event.bodies;
  event.plain_bytes += plain_bytes;
  event.stored_bytes += stored_bytes;
  const EntityKind kind = record.envelope()->stream_kind();
  const Uuid stream = Uuid::FromFb(record.envelope()->stream());
  if (kind != EntityKind::operation && kind != EntityKind::session) return absl::OkStatus();
  if (kind == EntityKind::operation) operations_.Add(stream, plain_bytes, stored_bytes);
  NIMBUS_ASSIGN_OR_RETURN(const Uuid session, SessionOf(txn, kind, stream));
  sessions_.Add(session, plain_bytes, stored_bytes);
  return absl::OkStatus();
}

absl::StatusOr<Uuid> Measurement::SessionOf(const lmdb::Transaction& txn, EntityKind kind,
                                            const Uuid& id) {
  if (kind == EntityKind::session) return id;
  if (last_.first == id) return last_.second;
  NIMBUS_ASSIGN_OR_RETURN(const std::optional<Entity> entity,
                          FindEntity(TableReader(txn, environment_.tables().entity), kind, id));
  if (!entity.has_value()) {
    return schema::Error(absl::StatusCode::kDataLoss, "operation {} is in no table", id.ToString());
  }
  last_ = {id, entity->state.parent};
  return entity->state.parent;
}

absl::Status Measurement::MeasureTables() {
  const Tables& tables = environment_.tables();
  NIMBUS_ASSIGN_OR_RETURN(const lmdb::Transaction txn, environment_.BeginRead());
  NIMBUS_ASSIGN_OR_RETURN(const lmdb::TableStat frames, txn.Stat(tables.frames));
  NIMBUS_ASSIGN_OR_RETURN(const lmdb::TableStat chunks, txn.Stat(tables.chunks));
  NIMBUS_ASSIGN_OR_RETURN(const lmdb::TableStat tiles, txn.Stat(tables.tiles));
  NIMBUS_ASSIGN_OR_RETURN(const lmdb::TableStat entities, txn.Stat(tables.entity.entities));
  NIMBUS_ASSIGN_OR_RETURN(const lmdb::TableStat names, txn.Stat(tables.entity.names));
  NIMBUS_ASSIGN_OR_RETURN(usage_.free_bytes, txn.FreePageBytes());
  usage_.frame_page_bytes = frames.bytes;
  usage_.chunk_page_bytes = chunks.bytes;
  usage_.tile_page_bytes = tiles.bytes;
  usage_.entity_page_bytes = entities.bytes + names.bytes;
  return absl::OkStatus();
}

absl::Status Measurement::MeasureFiles() {
  NIMBUS_ASSIGN_OR_RETURN(const StoreLayout layout, FindStore(journal_.store()));
  std::error_code error;
  const fs::path live = fs::path(layout.journal_directory).filename();
  fs::recursive_directory_iterator entry(journal_.store(), error);
  for (; !error && entry != fs::recursive_directory_iterator(); entry.increment(error)) {
    std::error_code gone;  // a file that went away meanwhile takes no bytes
    if (entry->is_symlink(gone) || !entry->is_regular_file(gone)) continue;
    const uint64_t bytes = entry->file_size(gone);
    if (gone) continue;
    const fs::path path = entry->path().lexically_relative(journal_.store());
    const std::string name = path.filename().string();
    if (*path.begin() == live && name == "data.mdb") {
      usage_.file_bytes = bytes;
    } else if (*path.begin() == live && name.starts_with("wal")) {
      usage_.log_bytes += bytes;
    } else if (*path.begin() == "archives") {
      usage_.archive_bytes += bytes;
    } else if (name.starts_with("views")) {
      usage_.view_bytes += bytes;
    } else {
      usage_.other_bytes += bytes;
    }
  }
  return error ? StatusOfErrno(error.value(), journal_.store()) : absl::OkStatus();
}

// The pages that frames and chunks would take.
absl::StatusOr<uint64_t> Measurement::EstimatePacked() {
  const auto pages = [](uint64_t bytes) {
    return (bytes + kPageBytes - 1) / kPageBytes * kPageBytes;
  };
  const uint64_t samples = std::clamp<uint64_t>(usage_.records / kSampleRecords, 1, kSamplesMax);
  EntryReader entries(journal_, EntryReader::Archived::kKeep);
  uint64_t plain = 0, packed = 0;
  const auto count = [&](const std::vector<PackedFrame>& frames) {
    for (const PackedFrame& frame : frames)
      packed += pages(frame.value.size() + frame.chunks.size());
  };
  for (uint64_t sample = 0; sample < samples; ++sample) {
    const bool all = usage_.records <= kSampleRecords * kSamplesMax;
    const uint64_t from = usage_.records * sample / samples;
    const uint64_t to = all ? usage_.records * (sample + 1) / samples
                            : std::min(usage_.records, from + kSampleRecords);
    FramePacker packer(journal_.id(), from, 0, {});
    entries.Seek(from);
    for (uint64_t sequence = from; sequence < to; ++sequence) {
      NIMBUS_ASSIGN_OR_RETURN(const std::optional<Entry> entry, entries.Next());
      if (!entry.has_value()) return absl::DataLossError("the journal became shorter");
      NIMBUS_ASSIGN_OR_RETURN(const schema::fb::Record* record, CheckEntry(*entry));
      plain += entry->record.size() + (entry->body.has_value() ? entry->body->bytes.size() : 0);
      count(packer.Add(*record->envelope(), *entry));
    }
    count(packer.Finish());
  }
  const double ratio = plain == 0 ? 0 : static_cast<double>(packed) / static_cast<double>(plain);
  return static_cast<uint64_t>(ratio *
                               static_cast<double>(usage_.record_bytes + usage_.body_bytes));
}

}  // namespace

absl::StatusOr<Usage> MeasureUsage(const Journal& journal, const UsageOptions& options) {
  return Measurement(journal, options).Run();
}

}  // namespace nimbus::journal
