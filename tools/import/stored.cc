#include "tools/import/stored.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "nimbus/journal/stream_reader.h"
#include "nimbus/schema/digest.h"
#include "nimbus/schema/status.h"

namespace nimbus::tools::import {
namespace {

using journal::Lifecycle;
using journal::RecordView;
using journal::StreamReader;
using schema::Error;
using schema::Json;
using schema::Uuid;
using schema::fb::EntityKind;

std::string_view View(const flatbuffers::String* text) {
  return text == nullptr ? std::string_view() : std::string_view(text->data(), text->size());
}

// Opens a stream that may not be there: then nothing.
absl::StatusOr<std::optional<StreamReader>> OpenStream(const journal::Journal& journal,
                                                       EntityKind kind, const Uuid& id) {
  absl::StatusOr<StreamReader> stream = StreamReader::Open(journal, kind, id);
  if (absl::IsNotFound(stream.status())) return std::nullopt;
  if (!stream.ok()) return stream.status();
  return *std::move(stream);
}

// Calls `visit` for each record of a stream, oldest first.
absl::Status VisitStream(StreamReader& stream,
                         const std::function<absl::Status(const RecordView&)>& visit) {
  for (;;) {
    NIMBUS_ASSIGN_OR_RETURN(const RecordView* record, stream.Next());
    if (record == nullptr) return absl::OkStatus();
    NIMBUS_RETURN_IF_ERROR(visit(*record));
  }
}

// Puts the parts of a source together again.
class PartReader {
 public:
  PartReader(StoredSource* source, const RecordSink& sink) : source_(*source), sink_(sink) {}

  absl::Status Add(const schema::fb::SourceStored& stored, std::string_view bytes) {
    if (stored.first() != source_.records)
      return Error(absl::StatusCode::kDataLoss, "record {} follows {} records of a source",
                   stored.first(), source_.records);
    source_.partial += bytes;
    if (stored.about() != nullptr) {
      const Uuid about = Uuid::FromFb(*stored.about());
      std::vector<Uuid>& operations = source_.operations;
      if (std::find(operations.begin(), operations.end(), about) == operations.end())
        operations.push_back(about);
    }
    return stored.count() == 0 ? absl::OkStatus() : Split(stored.count());
  }

 private:
  // Several records are lines; one is whatever it is.
  absl::Status Split(uint32_t count) {
    const std::string text = std::exchange(source_.partial, {});
    std::string_view rest = text;
    for (uint32_t i = 0; i < count; ++i) {
      const size_t end = i + 1 == count ? rest.size() : rest.find('\n');
      if (end == std::string_view::npos)
        return Error(absl::StatusCode::kDataLoss, "record {} of a source has no end",
                     source_.records);
      if (sink_ != nullptr) NIMBUS_RETURN_IF_ERROR(sink_(source_.records, rest.substr(0, end)));
      ++source_.records;
      rest.remove_prefix(i + 1 == count ? end : end + 1);
    }
    return absl::OkStatus();
  }

  StoredSource& source_;
  const RecordSink& sink_;
};

// One event of an operation's stream.
absl::Status ReadOperationEvent(StreamReader& stream, const RecordView& view,
                                StoredOperation* operation) {
  const schema::fb::Record& record = *view.record;
  const auto end = [&](const schema::fb::Id* id, Lifecycle status) -> absl::Status {
    operation->steps[Uuid::FromFb(*id)].status = status;
    NIMBUS_ASSIGN_OR_RETURN(const schema::fb::Body* body, stream.Body(view));
    const std::string_view patch = body == nullptr ? "" : View(body->patch());
    if (patch.empty()) {
      if (operation->state) operation->state->FoldUnchanged();
      return absl::OkStatus();
    }
    if (!operation->state)
      return Error(absl::StatusCode::kDataLoss, "record {}: a patch without a state",
                   view.sequence);
    return schema::Annotate(operation->state->Fold(patch), fmt::format("record {}", view.sequence));
  };
  if (const auto* event = record.event_as_StepCompleted())
    return end(event->step(), Lifecycle::kCompleted);
  if (const auto* event = record.event_as_StepFailed())
    return end(event->step(), Lifecycle::kFailed);
  if (const auto* event = record.event_as_StepCancelled())
    return end(event->step(), Lifecycle::kCancelled);
  if (const auto* event = record.event_as_StepStarted())
    operation->steps[Uuid::FromFb(*event->step())].status = Lifecycle::kRunning;
  if (record.event_as_OperationPlanned() != nullptr) operation->planned = true;
  if (record.event_as_CheckpointCreated() != nullptr && operation->state) {
    operation->state->MarkCheckpoint();
  }
  if (const auto* event = record.event_as_StepAdded()) {
    NIMBUS_ASSIGN_OR_RETURN(const schema::fb::Body* body, stream.Body(view));
    operation->steps[Uuid::FromFb(*event->step())].input =
        schema::Blake2b256(body == nullptr ? "" : View(body->input()));
  }
  if (record.event_as_OperationStarted() != nullptr) {
    NIMBUS_ASSIGN_OR_RETURN(const schema::fb::Body* body, stream.Body(view));
    NIMBUS_ASSIGN_OR_RETURN(Json state, Json::Parse(body == nullptr ? "{}" : View(body->state())));
    NIMBUS_ASSIGN_OR_RETURN(operation->state, replay::State::Make(std::move(state)));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<StoredSource> ReadStoredSource(const journal::Journal& journal, const Uuid& id,
                                              const RecordSink& sink) {
  StoredSource source;
  NIMBUS_ASSIGN_OR_RETURN(auto stream, OpenStream(journal, EntityKind::source, id));
  if (!stream) return source;
  source.exists = true;
  source.version = stream->version();
  PartReader parts(&source, sink);
  const auto visit = [&](const RecordView& view) -> absl::Status {
    const schema::fb::Record& record = *view.record;
    if (const auto* started = record.event_as_ImportStarted()) {
      source.finished = false;
      source.format = View(started->format());
      source.key = View(started->key());
      return absl::OkStatus();
    }
    NIMBUS_ASSIGN_OR_RETURN(const schema::fb::Body* body, stream->Body(view));
    if (const auto* stored = record.event_as_SourceStored()) {
      const auto* bytes = body == nullptr ? nullptr : body->source();
      if (bytes == nullptr)
        return Error(absl::StatusCode::kDataLoss, "record {} holds no source", view.sequence);
      return parts.Add(*stored, {reinterpret_cast<const char*>(bytes->data()), bytes->size()});
    }
    if (record.event_as_ImportFinished() != nullptr) {
      source.finished = true;
      source.gaps = body == nullptr ? "" : View(body->context());
    }
    return absl::OkStatus();
  };
  NIMBUS_RETURN_IF_ERROR(VisitStream(*stream, visit));
  return source;
}

absl::StatusOr<StoredSession> ReadStoredSession(const journal::Journal& journal, const Uuid& id) {
  StoredSession session;
  NIMBUS_ASSIGN_OR_RETURN(auto stream, OpenStream(journal, EntityKind::session, id));
  if (!stream) return session;
  session.version = stream->version();
  session.ended = journal::IsFinal(static_cast<Lifecycle>(stream->entity().state));
  const auto visit = [&](const RecordView& view) -> absl::Status {
    NIMBUS_ASSIGN_OR_RETURN(const schema::fb::Body* body, stream->Body(view));
    if (body == nullptr) return absl::OkStatus();
    if (body->name() != nullptr) session.name = View(body->name());
    if (body->description() != nullptr) session.description = View(body->description());
    if (body->context() != nullptr) session.context = View(body->context());
    return absl::OkStatus();
  };
  NIMBUS_RETURN_IF_ERROR(VisitStream(*stream, visit));
  return session;
}

absl::StatusOr<StoredOperation> ReadStoredOperation(const journal::Journal& journal,
                                                    const Uuid& id) {
  StoredOperation operation;
  NIMBUS_ASSIGN_OR_RETURN(auto stream, OpenStream(journal, EntityKind::operation, id));
  if (!stream) return operation;
  operation.version = stream->version();
  operation.status = static_cast<Lifecycle>(stream->entity().state);
  if (journal::IsFinal(operation.status)) return operation;
  NIMBUS_RETURN_IF_ERROR(VisitStream(*stream, [&](const RecordView& view) {
    return ReadOperationEvent(*stream, view, &operation);
  }));
  return operation;
}

}  // namespace nimbus::tools::import
