#include "nimbus/replay/stepper.h"

#include <utility>

#include "message.h"
#include "nimbus/replay/patch.h"
#include "nimbus/schema/status.h"
#include "steps.h"

namespace nimbus::replay {

using schema::Error;
using schema::Json;

namespace {

// Where in the step the text occurs; empty when it does not.
std::string Occurrence(const StepInfo& info, const StepRecord& record, std::string_view text) {
  const std::pair<const char*, const std::string&> places[] = {{"tool", info.tool_name},
                                                               {"input", record.input},
                                                               {"output", record.output},
                                                               {"error", record.error},
                                                               {"patch", record.patch}};
  for (const auto& [name, place] : places) {
    if (place.find(text) != std::string::npos) return name;
  }
  return {};
}

}  // namespace

absl::StatusOr<Stepper> Stepper::Open(const journal::Journal& journal,
                                      const schema::Uuid& operation,
                                      const SessionOptions& options) {
  NIMBUS_ASSIGN_OR_RETURN(Session session, Session::Open(journal, operation, options));
  NIMBUS_RETURN_IF_ERROR(session.SeekToStart());
  return Stepper(journal, std::move(session), options);
}

// A seek that fails may leave the session anywhere on the way.
absl::Status Stepper::GoTo(const Point& point) {
  const uint32_t here = step();
  const absl::Status status = SeekTo(*journal_, point, &session_);
  if (status.ok()) return status;
  NIMBUS_RETURN_IF_ERROR(session_.SeekToStep(here));
  return status;
}

absl::StatusOr<bool> Stepper::Next() {
  const uint32_t here = step();
  for (;;) {
    const absl::StatusOr<std::optional<Moment>> moment = session_.Next();
    absl::Status status = moment.status();
    if (moment.ok() && !moment->has_value()) return false;
    if (moment.ok() && (*moment)->kind != Moment::Kind::kStep) continue;
    if (moment.ok() && (*moment)->fold.ok()) return true;
    if (moment.ok()) {
      status = Error(absl::StatusCode::kDataLoss, "step {}: its patch does not apply: {}",
                     (*moment)->step, MessageOf((*moment)->fold));
    }
    NIMBUS_RETURN_IF_ERROR(session_.SeekToStep(here));
    return status;
  }
}

absl::StatusOr<bool> Stepper::Previous() {
  const uint32_t here = step();
  if (here == 0) return false;
  for (;;) {
    NIMBUS_ASSIGN_OR_RETURN(const std::optional<Moment> moment, session_.Previous());
    if (!moment.has_value() || moment->kind == Moment::Kind::kStart) {
      NIMBUS_RETURN_IF_ERROR(session_.SeekToStart());
      return true;
    }
    if (moment->kind == Moment::Kind::kStep && moment->step != here) return true;
  }
}

absl::StatusOr<std::optional<StepInfo>> Stepper::Info() {
  if (step() == 0) return std::optional<StepInfo>();
  NIMBUS_ASSIGN_OR_RETURN(StepInfo info, session_.FindStep(step()));
  return std::optional<StepInfo>(std::move(info));
}

absl::StatusOr<Json> Stepper::Change() {
  const Json after = session_.state().document();
  const uint32_t here = step();
  NIMBUS_ASSIGN_OR_RETURN(const bool moved, Previous());
  if (!moved) return Json::MakeArray();
  Json change = Diff(session_.state().document(), after);
  NIMBUS_RETURN_IF_ERROR(session_.SeekToStep(here));
  return change;
}

// Goes to the step if the text occurs in it.
absl::StatusOr<std::optional<std::string>> Stepper::SearchStep(uint32_t number,
                                                               std::string_view text) {
  NIMBUS_ASSIGN_OR_RETURN(const StepInfo info, session_.FindStep(number));
  NIMBUS_ASSIGN_OR_RETURN(const StepRecord record, session_.ReadStep(number));
  std::string occurrence = Occurrence(info, record, text);
  if (occurrence.empty()) return std::optional<std::string>();
  NIMBUS_RETURN_IF_ERROR(GoTo({.kind = Point::Kind::kStep, .step = number}));
  return std::optional<std::string>(std::move(occurrence));
}

absl::StatusOr<std::optional<std::string>> Stepper::Search(std::string_view text,
                                                           const std::atomic<bool>* stop) {
  NIMBUS_ASSIGN_OR_RETURN(StepEnds ends, StepEnds::Open(*journal_, session_, options_.reader));
  uint64_t here = 0;
  if (step() > 0) {
    NIMBUS_ASSIGN_OR_RETURN(const StepInfo info, session_.FindStep(step()));
    NIMBUS_ASSIGN_OR_RETURN(here, ends.VersionOf(info));
  }
  // To the end, and from the start up to and with this one.
  const std::pair<uint64_t, uint64_t> ranges[] = {{here + 1, ends.version() + 1}, {1, here + 1}};
  for (auto [from, to] : ranges) {
    for (;;) {
      if (stop != nullptr && *stop) return absl::CancelledError("interrupted");
      NIMBUS_ASSIGN_OR_RETURN(const std::optional<uint64_t> end, ends.First(from, to));
      if (!end.has_value()) break;
      NIMBUS_ASSIGN_OR_RETURN(const uint32_t number, ends.StepOf(*end));
      NIMBUS_ASSIGN_OR_RETURN(std::optional<std::string> found, SearchStep(number, text));
      if (found.has_value()) return found;
      from = *end + 1;
    }
  }
  return std::optional<std::string>();
}

}  // namespace nimbus::replay
