#include "tools/import/importer.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>

#include "nimbus/replay/patch.h"
#include "nimbus/replay/state.h"
#include "nimbus/schema/digest.h"
#include "nimbus/schema/status.h"
#include "tools/import/appender.h"
#include "tools/import/format.h"
#include "tools/import/parts.h"
#include "tools/import/stored.h"
#include "tools/import/text.h"

namespace nimbus::tools::import {
namespace {

using absl::StatusCode;
using journal::Lifecycle;
using schema::Error;
using schema::Event;
using schema::Json;
using schema::MakeEvent;
using schema::Uuid;
using schema::fb::EntityKind;

std::unique_ptr<schema::fb::Id> Fb(const Uuid& id) {
  return std::make_unique<schema::fb::Id>(id.ToFb());
}

std::unique_ptr<schema::fb::Digest> Fb(const schema::Digest& digest) {
  return std::make_unique<schema::fb::Digest>(schema::ToFb(digest));
}

template <typename Number>
flatbuffers::Optional<Number> Fb(const std::optional<Number>& number) {
  return number ? flatbuffers::Optional<Number>(*number) : flatbuffers::nullopt;
}

std::unique_ptr<schema::fb::OutcomeT> OutcomeOf(const std::optional<uint64_t>& duration_ms,
                                                const Usage& usage) {
  auto outcome = std::make_unique<schema::fb::OutcomeT>();
  outcome->duration_ms = Fb(duration_ms);
  outcome->tokens_used = Fb(usage.total);
  outcome->input_tokens = Fb(usage.input);
  outcome->output_tokens = Fb(usage.output);
  outcome->cache_read_tokens = Fb(usage.cache_read);
  outcome->cache_write_tokens = Fb(usage.cache_write);
  outcome->cost_microdollars = Fb(usage.cost_microdollars);
  return outcome;
}

template <typename Completed, typename Failed, typename Cancelled, typename Fill>
Event EndEvent(const Uuid& operation, Lifecycle status, const Fill& fill) {
  const auto make = [&](auto payload) {
    fill(payload);
    return MakeEvent(EntityKind::operation, operation, std::move(payload));
  };
  if (status == Lifecycle::kFailed) return make(Failed{});
  if (status == Lifecycle::kCancelled) return make(Cancelled{});
  return make(Completed{});
}

// One attempt to bring the journal up to what a source tells.
class Import {
 public:
  Import(journal::Journal& journal, const Source& source, const Run& run,
         const ImportOptions& options)
      : source_(source),
        run_(run),
        options_(options),
        journal_(journal),
        appender_(journal, options.stop),
        script_(MakeScript(run)),
        gaps_(GapsOf(source, run)) {}

  absl::Status Go(const std::string& key, ImportReport* report);

  uint64_t events() const { return appender_.events(); }
  bool refused() const { return appender_.refused(); }

 private:
  struct Progress {
    Uuid id;
    StoredOperation stored;
  };

  absl::Status ReadStored();
  absl::Status Play(const Item& item);
  void Start();
  void Push(Event event, std::optional<int64_t> occurred_at_us);
  absl::Status StoreUpTo(uint64_t record);
  absl::Status StartSession(const Session& session);
  void UpdateSession(const Session& session);
  absl::StatusOr<Progress*> Find(const Item& item);
  absl::Status StartOperation(const Item& item, Progress* progress);
  absl::Status AddStep(const Item& item, Progress* progress);
  absl::Status EndStep(const Item& item, Progress* progress);
  absl::Status EndOperation(const Item& item, Progress* progress);
  absl::Status Finish();

  const Session& SessionOf(const Item& item) const { return run_.sessions[item.session]; }
  const Operation& OperationOf(const Item& item) const {
    return SessionOf(item).operations[item.operation];
  }
  const Step& StepOf(const Item& item) const { return OperationOf(item).steps[item.step]; }

  const Source& source_;
  const Run& run_;
  const ImportOptions& options_;
  journal::Journal& journal_;
  Appender appender_;
  const std::vector<Item> script_;
  const std::string gaps_;

  Uuid id_;
  std::string key_;
  StoredSource stored_;
  bool started_ = false;             // ImportStarted is in the batch or behind it
  std::optional<PartCutter> parts_;  // of what is not stored yet
  std::map<Uuid, StoredSession> sessions_;
  std::map<std::pair<size_t, size_t>, Progress> operations_;
};

absl::Status Import::Go(const std::string& key, ImportReport* report) {
  key_ = key;
  id_ = SourceId(run_.format, key_);
  NIMBUS_RETURN_IF_ERROR(ReadStored());
  report->source = id_;
  report->records_before = std::min<uint64_t>(stored_.records, source_.records.size());
  for (const Item& item : script_) {
    NIMBUS_RETURN_IF_ERROR(Play(item));
    const uint64_t before = appender_.events();
    NIMBUS_RETURN_IF_ERROR(appender_.Flush(false));
    if (options_.progress && appender_.events() != before)
      options_.progress(parts_->next(), source_.records.size());
  }
  return Finish();
}

// The stored records must be those of the file, as far as both go.
absl::Status Import::ReadStored() {
  const auto compare = [&](uint64_t index, std::string_view text) -> absl::Status {
    if (index >= source_.records.size() || source_.records[index].text == text)
      return absl::OkStatus();
    return Error(StatusCode::kFailedPrecondition,
                 "line {} differs from what was imported before as '{}' ({})",
                 source_.records[index].line, key_, id_.ToString());
  };
  NIMBUS_ASSIGN_OR_RETURN(stored_, ReadStoredSource(journal_, id_, compare));
  const uint64_t next = stored_.records;
  if (next < source_.records.size() && !source_.records[next].text.starts_with(stored_.partial))
    return compare(next, stored_.partial);
  parts_.emplace(source_, run_, next, stored_.partial.size());
  appender_.SetVersion(id_, stored_.version);
  return absl::OkStatus();
}

// Before the first event of this attempt: says where it comes from.
void Import::Start() {
  if (started_) return;
  started_ = true;
  schema::fb::ImportStartedT payload;
  payload.format = run_.format;
  payload.key = key_;
  Event event = MakeEvent(EntityKind::source, id_, std::move(payload));
  event.body.context =
      Json::MakeObject({{"file", Json::String(source_.name)},
                        {"bytes", Json::Uint(source_.file_bytes)},
                        {"blake2b", Json::String(schema::ToHex(source_.file_digest))}})
          .Dump();
  appender_.Add(std::move(event));
}

void Import::Push(Event event, std::optional<int64_t> occurred_at_us) {
  event.occurred_at_us = occurred_at_us;
  appender_.Add(std::move(event));
}

absl::Status Import::StoreUpTo(uint64_t record) {
  while (parts_->next() <= record && parts_->next() < source_.records.size()) {
    Start();
    Part part = parts_->Cut();
    Event event = MakeEvent(EntityKind::source, id_, std::move(part.payload));
    event.body.source.assign(part.bytes.begin(), part.bytes.end());
    appender_.Add(std::move(event));
    NIMBUS_RETURN_IF_ERROR(appender_.Flush(false));
  }
  return absl::OkStatus();
}

absl::Status Import::Play(const Item& item) {
  if (item.kind == Item::Kind::kSession) {
    NIMBUS_RETURN_IF_ERROR(StoreUpTo(item.record));
    return StartSession(SessionOf(item));
  }
  NIMBUS_ASSIGN_OR_RETURN(Progress * progress, Find(item));
  if (journal::IsFinal(progress->stored.status)) return absl::OkStatus();
  NIMBUS_RETURN_IF_ERROR(StoreUpTo(item.record));
  switch (item.kind) {
    case Item::Kind::kOperation:
      return StartOperation(item, progress);
    case Item::Kind::kPlan: {
      if (std::exchange(progress->stored.planned, true)) return absl::OkStatus();
      Start();
      Event event = MakeEvent(EntityKind::operation, progress->id, schema::fb::OperationPlannedT{});
      event.body.plan = OperationOf(item).plan;
      Push(std::move(event), std::nullopt);
      return absl::OkStatus();
    }
    case Item::Kind::kStep:
      return AddStep(item, progress);
    case Item::Kind::kStepEnd:
      return EndStep(item, progress);
    default:
      return EndOperation(item, progress);
  }
}

absl::Status Import::StartSession(const Session& session) {
  const Uuid id = SessionId(run_, session);
  StoredSession& stored = sessions_[id];
  NIMBUS_ASSIGN_OR_RETURN(stored, ReadStoredSession(journal_, id));
  appender_.SetVersion(id, stored.version);
  if (stored.version != 0) return absl::OkStatus();
  Start();
  stored.name = session.name;
  stored.description = session.description;
  stored.context = session.context.Dump();
  Event event = MakeEvent(EntityKind::session, id, schema::fb::SessionStartedT{});
  event.occurred_at_us = session.started_at_us;
  event.body.name = stored.name;
  event.body.description = stored.description;
  event.body.context = stored.context;
  appender_.Add(std::move(event));
  return absl::OkStatus();
}

absl::StatusOr<Import::Progress*> Import::Find(const Item& item) {
  const auto [at, added] = operations_.try_emplace({item.session, item.operation});
  Progress& progress = at->second;
  if (!added) return &progress;
  progress.id = OperationId(run_, SessionOf(item), OperationOf(item).source_id);
  NIMBUS_ASSIGN_OR_RETURN(progress.stored, ReadStoredOperation(journal_, progress.id));
  appender_.SetVersion(progress.id, progress.stored.version);
  return &progress;
}

absl::Status Import::StartOperation(const Item& item, Progress* progress) {
  const Operation& operation = OperationOf(item);
  StoredOperation& stored = progress->stored;
  if (stored.version == 0) {
    Start();
    schema::fb::OperationCreatedT payload;
    payload.session = Fb(SessionId(run_, SessionOf(item)));
    payload.type = operation.type;
    if (!operation.parent_source_id.empty())
      payload.parent = Fb(OperationId(run_, SessionOf(item), operation.parent_source_id));
    Event event = MakeEvent(EntityKind::operation, progress->id, std::move(payload));
    event.body.name = operation.name;
    event.body.input = operation.input;
    Push(std::move(event), operation.created_at_us);
  }
  if (stored.state) return absl::OkStatus();
  Start();
  Json initial = operation.state.IsNull() ? Json::MakeObject({{"messages", Json::MakeArray()}})
                                          : operation.state;
  NIMBUS_ASSIGN_OR_RETURN(stored.state, replay::State::Make(std::move(initial)));
  Event event = MakeEvent(EntityKind::operation, progress->id, schema::fb::OperationStartedT{});
  event.occurred_at_us = operation.created_at_us;
  event.body.state = stored.state->Text();
  event.body.digest = Fb(stored.state->Digest());
  appender_.Add(std::move(event));
  return absl::OkStatus();
}

absl::Status Import::AddStep(const Item& item, Progress* progress) {
  const Step& step = StepOf(item);
  const Uuid id = StepId(run_, progress->id, step);
  const bool running = step.status == Lifecycle::kRunning;
  const auto [at, added] = progress->stored.steps.try_emplace(id);
  StoredStep& stored = at->second;
  const schema::Digest input = schema::Blake2b256(step.input);
  if (!added && stored.input != input)
    return Error(StatusCode::kFailedPrecondition,
                 "step '{}' of operation {} differs from what was imported before", step.source_id,
                 progress->id.ToString());
  if (added) {
    Start();
    stored.input = input;
    schema::fb::StepAddedT payload;
    payload.step = Fb(id);
    payload.type = step.type;
    payload.tool_name = step.tool_name;
    Event event = MakeEvent(EntityKind::operation, progress->id, std::move(payload));
    event.body.input = step.input;
    Push(std::move(event), step.started_at_us);
  }
  if (!running || stored.status != Lifecycle::kPending) return absl::OkStatus();
  Start();
  stored.status = Lifecycle::kRunning;
  schema::fb::StepStartedT payload;
  payload.step = Fb(id);
  Event event = MakeEvent(EntityKind::operation, progress->id, std::move(payload));
  event.occurred_at_us = step.started_at_us;
  appender_.Add(std::move(event));
  return absl::OkStatus();
}

absl::Status Import::EndStep(const Item& item, Progress* progress) {
  const Step& step = StepOf(item);
  const Uuid id = StepId(run_, progress->id, step);
  StoredOperation& stored = progress->stored;
  if (journal::IsFinal(stored.steps[id].status)) return absl::OkStatus();
  stored.steps[id].status = step.status;
  Start();
  Event event =
      EndEvent<schema::fb::StepCompletedT, schema::fb::StepFailedT, schema::fb::StepCancelledT>(
          progress->id, step.status, [&](auto& payload) {
            payload.step = Fb(id);
            payload.outcome = OutcomeOf(step.duration_ms, step.usage);
          });
  event.body.output = step.output;
  event.body.error = step.error;
  replay::StateChange change;
  if (!step.patch.IsNull()) {
    NIMBUS_ASSIGN_OR_RETURN(change, stored.state->Record(step.patch));
  } else if (!step.messages.empty()) {
    NIMBUS_ASSIGN_OR_RETURN(change,
                            stored.state->Record(replay::AppendPatch("/messages", step.messages)));
  } else if (stored.state) {
    stored.state->FoldUnchanged();
  }
  event.body.patch = change.patch;
  if (change.digest) event.body.digest = Fb(*change.digest);
  Push(std::move(event), step.ended_at_us);
  if (!change.checkpoint_due) return absl::OkStatus();

  schema::fb::CheckpointCreatedT payload;
  payload.checkpoint = Fb(CheckpointId(progress->id, id));
  payload.step = Fb(id);
  Event checkpoint = MakeEvent(EntityKind::operation, progress->id, std::move(payload));
  checkpoint.body.name = "imported";
  checkpoint.body.state = stored.state->Text();
  checkpoint.body.digest = Fb(stored.state->Digest());
  checkpoint.occurred_at_us = step.ended_at_us;
  stored.state->MarkCheckpoint();
  appender_.Add(std::move(checkpoint));
  return absl::OkStatus();
}

absl::Status Import::EndOperation(const Item& item, Progress* progress) {
  const Operation& operation = OperationOf(item);
  Start();
  Event event = EndEvent<schema::fb::OperationCompletedT, schema::fb::OperationFailedT,
                         schema::fb::OperationCancelledT>(
      progress->id, operation.status,
      [&](auto& payload) { payload.outcome = OutcomeOf(operation.duration_ms, operation.usage); });
  event.body.output = operation.output;
  event.body.error = operation.error;
  Push(std::move(event), operation.ended_at_us);
  progress->stored.status = operation.status;
  progress->stored.state.reset();
  progress->stored.steps.clear();
  return absl::OkStatus();
}

// A longer recording may have found a better name for its session.
void Import::UpdateSession(const Session& session) {
  const Uuid id = SessionId(run_, session);
  const StoredSession& stored = sessions_[id];
  const std::string context = session.context.Dump();
  const bool renamed = !session.name.empty() && stored.name != session.name;
  const bool described = !session.description.empty() && stored.description != session.description;
  const bool changed = stored.context != context;
  if (renamed || described || changed) {
    Event event = MakeEvent(EntityKind::session, id, schema::fb::SessionUpdatedT{});
    if (renamed) event.body.name = session.name;
    if (described) event.body.description = session.description;
    if (changed) event.body.context = context;
    appender_.Add(std::move(event));
  }
  if (session.ended_at_us && !stored.ended) {
    Event event = MakeEvent(EntityKind::session, id, schema::fb::SessionEndedT{});
    event.occurred_at_us = session.ended_at_us;
    appender_.Add(std::move(event));
  }
}

absl::Status Import::Finish() {
  const uint64_t records = source_.records.size();
  NIMBUS_RETURN_IF_ERROR(StoreUpTo(records - 1));
  // A shorter snapshot of what is there tells nothing new, gaps included.
  const bool shorter = parts_->next() > records;
  const bool gaps_known = gaps_ == stored_.gaps || shorter;
  if (!started_ && stored_.finished && gaps_known) return absl::OkStatus();
  Start();
  if (!shorter) {
    for (const Session& session : run_.sessions) UpdateSession(session);
  }
  schema::fb::ImportFinishedT payload;
  payload.records = parts_->next();
  Event event = MakeEvent(EntityKind::source, id_, std::move(payload));
  event.body.context = gaps_;
  appender_.Add(std::move(event));
  NIMBUS_RETURN_IF_ERROR(appender_.Flush(true));
  if (options_.progress) options_.progress(records, records);
  return absl::OkStatus();
}

// The identity of what the file is a snapshot of.
std::string KeyOf(const Source& source, const Run& run, const Format& format) {
  std::string key = run.key;
  if (format.shape == Source::Shape::kDocument)
    key += fmt::format("@{}", ShortDigest(source.records.front().text));
  // A key is a short name; one that is none is known by its digest.
  if (key.size() > schema::kNameBytesMax || ToolName(key) != key)
    return fmt::format("blake2b-{}", ShortDigest(key));
  return key;
}

ImportReport Report(const Source& source, const Run& run) {
  ImportReport report;
  report.format = run.format;
  report.counts = CountRun(run);
  report.records = source.records.size();
  for (const SkippedLine& line : source.skipped) report.gaps.push_back({line.line, line.reason});
  report.notes = run.notes;
  for (const Session& session : run.sessions) {
    report.sessions.push_back(SessionId(run, session));
    for (const Operation& operation : session.operations)
      report.operations.push_back(OperationId(run, session, operation.source_id));
  }
  return report;
}

}  // namespace

// What is left out is kept in one body, half as long again.
constexpr size_t kGapBytesMax = 24u << 20;

absl::Status ValidateGaps(const Source& source) {
  size_t bytes = 0;
  for (const SkippedLine& line : source.skipped) bytes += line.bytes.size();
  if (bytes <= kGapBytesMax) return absl::OkStatus();
  return Error(StatusCode::kInvalidArgument, "{} bytes of lines that are no JSON, {} are allowed",
               bytes, kGapBytesMax);
}

// Each try ends with something of the source imported, by us or another process.
constexpr int kTriesMax = 100;

absl::StatusOr<ImportReport> ImportSource(journal::Journal& journal, const Source& source,
                                          const ImportOptions& options) {
  const Format* format = DetectFormat(source);
  if (format == nullptr)
    return Error(StatusCode::kInvalidArgument, "of no known format; known are {}", FormatNames());
  NIMBUS_ASSIGN_OR_RETURN(const Run run, format->read(source));
  NIMBUS_RETURN_IF_ERROR(ValidateRun(run, source.records.size()));
  NIMBUS_RETURN_IF_ERROR(ValidateGaps(source));
  ImportReport report = Report(source, run);
  const std::string key = KeyOf(source, run, *format);
  for (int tries = 1;; ++tries) {
    NIMBUS_ASSIGN_OR_RETURN(const uint64_t size, journal.Size());
    Import import(journal, source, run, options);
    ImportReport tried = report;
    const absl::Status status = import.Go(key, &tried);
    report.events += import.events();
    if (status.ok()) {
      tried.events = report.events;
      return tried;
    }
    // Refused because the journal has changed: another process was faster with
    // the same source. Go on from there, as long as there is such a change.
    NIMBUS_ASSIGN_OR_RETURN(const uint64_t size_now, journal.Size());
    if (!import.refused() || size_now == size || tries == kTriesMax) return status;
  }
}

absl::StatusOr<ImportReport> ImportFile(journal::Journal& journal, const std::string& path,
                                        const ImportOptions& options) {
  NIMBUS_ASSIGN_OR_RETURN(const Source source, ReadSource(path, options.source));
  absl::StatusOr<ImportReport> report = ImportSource(journal, source, options);
  if (!report.ok()) return schema::Annotate(report.status(), path);
  return report;
}

}  // namespace nimbus::tools::import
