// What replay asks of one operation's records beside its state. Private to replay.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "nimbus/journal/reader.h"
#include "nimbus/journal/stream_reader.h"
#include "nimbus/replay/point.h"
#include "nimbus/replay/session.h"

namespace nimbus::replay {

// Session::FindStep, and FailedPrecondition when it has not ended.
absl::StatusOr<StepInfo> FindEndedStep(Session* session, uint32_t number);

// The ends of a session's steps, in the order they were made; each found when it is
// asked for, by reading from there on.
class StepEnds {
 public:
  // Of the operation as the session sees it.
  static absl::StatusOr<StepEnds> Open(const journal::Journal& journal, const Session& session,
                                       const journal::ReaderOptions& options);

  uint64_t version() const { return version_; }  // of the stream, as the session sees it

  // The version of the first end in [from, to), of the last one; nullopt: there is none.
  absl::StatusOr<std::optional<uint64_t>> First(uint64_t from, uint64_t to);
  absl::StatusOr<std::optional<uint64_t>> Last(uint64_t from, uint64_t to);

  // The number of the step that the record of this version ends, and the other way
  // round; the start, before all of them, is version 0 and step 0.
  absl::StatusOr<uint32_t> StepOf(uint64_t version);
  absl::StatusOr<uint64_t> VersionOf(const StepInfo& step);

 private:
  StepEnds(const journal::Journal& journal, journal::StreamReader stream, uint64_t version)
      : journal_(&journal), stream_(std::move(stream)), version_(version) {}

  const journal::Journal* journal_;
  journal::StreamReader stream_;
  uint64_t version_;
};

// Where the operation of `stream` was forked; nullopt when it is no fork.
absl::StatusOr<std::optional<ForkOrigin>> FindForkOrigin(const journal::Journal& journal,
                                                         journal::StreamReader* stream);

// The place in the parent that it names.
Point PointOf(const ForkOrigin& origin);

// The operation's records from the last to the first, until `visit` returns false.
// DataLoss when they are damaged.
absl::Status WalkBack(journal::StreamReader* stream,
                      const std::function<absl::StatusOr<bool>(const journal::RecordView&)>& visit);

// Whether it is the end of a step.
bool IsStepEnd(const schema::fb::Record& record);

// The step that an event is about; nullptr when it is about none.
const schema::fb::Id* StepIdOf(const schema::fb::Record& record);

// What a step or an operation took; nullptr when the event does not tell.
const schema::fb::Outcome* OutcomeOf(const schema::fb::Record& record);

// What a step took, or one of its attempts that failed; nullptr of any other event.
const schema::fb::Outcome* StepOutcomeOf(const schema::fb::Record& record);

// The digest of a state that a body tells; nullopt when it tells none, or there is none.
std::optional<schema::Digest> DigestOf(const schema::fb::Body* body);

// The number of the step that the record tells of; 0 when it tells of none.
absl::StatusOr<uint32_t> StepNumberOf(const journal::Journal& journal,
                                      const schema::fb::Record& record);
absl::StatusOr<uint32_t> StepNumberAt(const journal::Journal& journal, uint64_t sequence);

}  // namespace nimbus::replay
