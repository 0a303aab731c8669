#include "nimbus/replay/point.h"

#include "nimbus/journal/stream_reader.h"
#include "nimbus/schema/status.h"
#include "steps.h"

namespace nimbus::replay {

using journal::RecordView;
using schema::Error;

namespace {

// The end of the step that ended last before the last failure; nullopt when none did.
absl::StatusOr<std::optional<uint64_t>> EndBeforeFailure(journal::StreamReader* stream) {
  bool failed = false;
  std::optional<uint64_t> before;
  NIMBUS_RETURN_IF_ERROR(WalkBack(stream, [&](const RecordView& view) -> absl::StatusOr<bool> {
    if (failed && IsStepEnd(*view.record)) before = view.sequence;
    failed = failed || view.record->event_type() == schema::fb::Event::StepFailed;
    return !before.has_value();
  }));
  if (failed) return before;
  return Error(absl::StatusCode::kNotFound, "no step of operation {} failed",
               stream->entity().id.ToString());
}

absl::Status SeekToLastFailure(const journal::Journal& journal, Session* session) {
  NIMBUS_ASSIGN_OR_RETURN(journal::StreamReader stream,
                          journal::StreamReader::Open(journal, schema::fb::EntityKind::operation,
                                                      session->operation()));
  NIMBUS_ASSIGN_OR_RETURN(const std::optional<uint64_t> end, EndBeforeFailure(&stream));
  if (!end.has_value()) return session->SeekToStart();
  NIMBUS_ASSIGN_OR_RETURN(const uint32_t number, StepNumberAt(journal, *end));
  return session->SeekToStep(number);
}

}  // namespace

absl::Status SeekTo(const journal::Journal& journal, const Point& point, Session* session) {
  switch (point.kind) {
    case Point::Kind::kStart:
      return session->SeekToStart();
    case Point::Kind::kStep:
      return session->SeekToStep(point.step);
    case Point::Kind::kCheckpoint:
      return session->SeekToCheckpoint(point.checkpoint);
    case Point::Kind::kLastFailure:
      return SeekToLastFailure(journal, session);
    case Point::Kind::kEnd:
      return session->SeekToEnd();
  }
  return Error(absl::StatusCode::kInternal, "unknown kind of point");
}

}  // namespace nimbus::replay
