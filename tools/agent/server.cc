#include "tools/agent/server.h"

#include <array>
#include <utility>
#include <vector>

#include "nimbus/journal/prune.h"
#include "nimbus/replay/pointer.h"
#include "nimbus/schema/check.h"
#include "nimbus/schema/status.h"
#include "tools/agent/call_values.h"
#include "tools/cli/nearest.h"

namespace nimbus::tools::agent {

using replay::Recorder;
using schema::Error;
using schema::Json;
using schema::Uuid;
using schema::fb::EntityKind;
using Code = absl::StatusCode;

// Where a call is allowed, and what its errors mean, depends on what it is for.
struct Server::MethodInfo {
  std::string_view name;
  Method call;
  // kCompares: with what is recorded in its place. kOfStep: one that must be open.
  enum class Kind { kOther, kCompares, kOfStep } kind = Kind::kOther;
};

namespace {

Json Nothing() { return Json::MakeObject(); }

std::string Hex(std::string_view bytes) {
  std::string hex;
  for (const char byte : bytes) hex += fmt::format("{:02x}", static_cast<unsigned char>(byte));
  return hex;
}

Json Numbers(const std::vector<replay::OpenStep>& steps) {
  Json::Array numbers;
  for (const replay::OpenStep& step : steps) numbers.push_back(Json::Uint(step.number));
  return Json::MakeArray(std::move(numbers));
}

// What the status alone says.
ErrorKind KindOf(Code code) {
  switch (code) {
    case Code::kInvalidArgument:
      return ErrorKind::kInvalidParams;
    case Code::kAborted:
      return ErrorKind::kSuperseded;
    case Code::kResourceExhausted:
      return ErrorKind::kExhausted;
    case Code::kDataLoss:
    case Code::kUnavailable:
    case Code::kPermissionDenied:
    case Code::kInternal:
    case Code::kUnknown:
      return ErrorKind::kStorage;
    default:
      return ErrorKind::kFailed;
  }
}

RpcError MakeError(ErrorKind kind, const absl::Status& status, Json data = Json::MakeObject()) {
  return {.kind = kind, .message = std::string(status.message()), .data = std::move(data)};
}

absl::StatusOr<uint32_t> TakeNumber(Params& params) {
  NIMBUS_ASSIGN_OR_RETURN(const uint64_t number, params.Count("number", 1, UINT32_MAX));
  return static_cast<uint32_t>(number);
}

absl::Status NotOpen(uint32_t number) {
  return Error(Code::kNotFound, "step {} is not open", number);
}

absl::Status CheckInDoubt(const Recorder& recorder, uint32_t number) {
  for (const replay::OpenStep& step : recorder.in_doubt()) {
    if (step.number == number) return absl::OkStatus();
  }
  return Error(Code::kNotFound, "step {} is not in doubt", number);
}

// Of a step that is open: what is not found, or does not hold, is a place in the state.
absl::Status AboutTheResult(const absl::Status& status) {
  if (!absl::IsNotFound(status) && !absl::IsFailedPrecondition(status)) return status;
  return absl::InvalidArgumentError(status.message());
}

Json NumberReply(uint32_t number) { return Json::MakeObject({{"number", Json::Uint(number)}}); }

Json StatusReply(std::string_view status) {
  return Json::MakeObject({{"status", Json::String(std::string(status))}});
}

}  // namespace

std::span<const Server::MethodInfo> Server::Methods() {
  using Kind = MethodInfo::Kind;
  static constexpr auto kMethods = std::to_array<MethodInfo>({
      {"open", &Server::Open, Kind::kCompares},
      {"step.begin", &Server::StepBegin, Kind::kCompares},
      {"step.end", &Server::StepEnd, Kind::kOfStep},
      {"step.attempt_failed", &Server::StepAttemptFailed, Kind::kOfStep},
      {"step.begin_attempt", &Server::StepBeginAttempt, Kind::kOfStep},
      {"step.settle", &Server::StepSettle, Kind::kOfStep},
      {"step.run_again", &Server::StepRunAgain, Kind::kOfStep},
      {"value", &Server::Value, Kind::kCompares},
      {"now", &Server::Now, Kind::kCompares},
      {"random", &Server::Random, Kind::kCompares},
      {"id", &Server::Id, Kind::kCompares},
      {"state", &Server::State},
      {"checkpoint", &Server::Checkpoint, Kind::kCompares},
      {"complete", &Server::Complete, Kind::kCompares},
      {"fail", &Server::Fail},
      {"cancel", &Server::Cancel},
  });
  return kMethods;
}

const Server::MethodInfo* Server::FindMethod(std::string_view name) {
  for (const MethodInfo& method : Methods()) {
    if (method.name == name) return &method;
  }
  return nullptr;
}

std::string Server::UnknownMethod(std::string_view name) {
  std::vector<std::string> known;
  for (const MethodInfo& method : Methods()) known.emplace_back(method.name);
  return fmt::format("no method '{}'{}", name, cli::DidYouMean(name, known));
}

Server::Server(journal::Journal* journal, ServerOptions options)
    : journal_(journal), options_(std::move(options)) {}

std::optional<std::string> Server::Answer(std::string_view line) {
  const Request request = ParseRequest(line);
  if (request.error.has_value()) {
    ++refusals_.lines;
    return ErrorReply(request.id, *request.error);
  }
  if (request.notification) {
    ++refusals_.notifications;
    return std::nullopt;
  }
  RpcError error;
  absl::StatusOr<Json> result = Call(request, &error);
  return result.ok() ? ResultReply(request.id, *std::move(result)) : ErrorReply(request.id, error);
}

std::string Server::AnswerTooLong() {
  ++refusals_.lines;
  return ErrorReply({}, {.kind = ErrorKind::kParseError,
                         .message = fmt::format("a line longer than {} bytes", kLineBytesMax)});
}

// On an error, `error` says what to answer.
absl::StatusOr<Json> Server::Call(const Request& request, RpcError* error) {
  const auto refuse = [&](ErrorKind kind, std::string message) {
    *error = {.kind = kind, .message = std::move(message)};
    return absl::UnknownError(error->message);
  };
  const MethodInfo* method = FindMethod(request.method);
  if (method == nullptr) return refuse(ErrorKind::kUnknownMethod, UnknownMethod(request.method));
  const bool opens = method->name == "open";
  if (opens && recorder_.has_value()) {
    return refuse(ErrorKind::kAlreadyOpen, "the operation is open already");
  }
  if (!opens && !recorder_.has_value() && !open_divergence_.has_value()) {
    return refuse(ErrorKind::kNotOpen, "the first call is open");
  }
  if (opens) {
    const Json* version = request.params.Find("protocol");
    if (version != nullptr && version->AsInt() != kProtocolVersion) {
      *error = {.kind = ErrorKind::kUnsupportedProtocol,
                .message = fmt::format("protocol {} is not spoken", version->Dump()),
                .data = Json::MakeObject(
                    {{"supported", Json::MakeArray({Json::Int(kProtocolVersion)})}})};
      return absl::UnknownError(error->message);
    }
  }
  Params params(request.params);
  absl::StatusOr<Json> result = absl::InvalidArgumentError("the operation was not opened");
  if (opens || recorder_.has_value()) result = (this->*method->call)(params);
  if (result.ok()) return result;
  *error = ErrorOf(request, result.status());
  if (error->kind == ErrorKind::kIncomplete && incomplete_.empty()) {
    incomplete_ = fmt::format("after step {}: {}", StepsDone(), error->message);
  }
  return result;
}

std::optional<replay::StepDivergence> Server::divergence() const {
  return recorder_.has_value() ? recorder_->divergence() : open_divergence_;
}

RpcError Server::ErrorOf(const Request& request, const absl::Status& status) const {
  const MethodInfo* method = FindMethod(request.method);
  NIMBUS_CHECK(method != nullptr);
  const std::optional<replay::StepDivergence> diverged = divergence();
  if (diverged.has_value() &&
      (!recorder_.has_value() || method->kind == MethodInfo::Kind::kCompares)) {
    return MakeError(ErrorKind::kDiverged, status, diverged->ToJson());
  }
  const bool cut_short = recorder_.has_value() && !recorder_->report().incomplete.empty();
  if (cut_short || journal::IsArchiveAbsent(status) ||
      (executes_again() && status.code() == Code::kOutOfRange)) {
    return MakeError(ErrorKind::kIncomplete, status,
                     Json::MakeObject({{"step", Json::Uint(StepsDone())}}));
  }
  if (method->kind == MethodInfo::Kind::kOfStep && absl::IsNotFound(status)) {
    const Json* number = request.params.Find("number");
    return MakeError(ErrorKind::kStepNotOpen, status,
                     Json::MakeObject({{"step", number != nullptr ? *number : Json()}}));
  }
  if (absl::IsFailedPrecondition(status)) return PreconditionError(request, status);
  const ErrorKind kind = KindOf(status.code());
  if (kind != ErrorKind::kFailed) return MakeError(kind, status);
  return MakeError(
      kind, status,
      Json::MakeObject({{"status", Json::String(absl::StatusCodeToString(status.code()))}}));
}

RpcError Server::PreconditionError(const Request& request, const absl::Status& status) const {
  if (!recorder_.has_value() || request.method == "checkpoint") {
    return MakeError(ErrorKind::kFailed, status,
                     Json::MakeObject({{"status", Json::String("FAILED_PRECONDITION")}}));
  }
  const std::vector<replay::OpenStep> in_doubt = recorder_->in_doubt();
  const absl::StatusOr<std::optional<journal::EntityState>> operation =
      journal_->FindEntity(EntityKind::operation, recorder_->operation());
  const bool ended = operation.ok() && operation->has_value() &&
                     IsFinal(static_cast<journal::Lifecycle>((*operation)->state));
  if (ended) return MakeError(ErrorKind::kEnded, status);
  if (!in_doubt.empty()) {
    return MakeError(ErrorKind::kInDoubt, status,
                     Json::MakeObject({{"step", Json::Uint(in_doubt.front().number)}}));
  }
  Json::Array steps;
  for (const auto& [number, turn] : open_steps_) steps.push_back(Json::Uint(number));
  return MakeError(ErrorKind::kStepsOpen, status,
                   Json::MakeObject({{"steps", Json::MakeArray(std::move(steps))}}));
}

// Opening

absl::StatusOr<Uuid> Server::OperationId(Params& params) const {
  NIMBUS_ASSIGN_OR_RETURN(const std::string text, params.TextOr("id", ""));
  if (text.empty()) return options_.operation.value_or(schema::NewUuid());
  NIMBUS_ASSIGN_OR_RETURN(const Uuid id, schema::ParseUuid(text));
  if (options_.operation.has_value() && id != *options_.operation) {
    return Error(Code::kInvalidArgument, "id: {}, but the operation asked for is {}", text,
                 options_.operation->ToString());
  }
  return id;
}

absl::StatusOr<replay::NewRecording> Server::TakeRecording(Params& params) const {
  replay::NewRecording recording;
  NIMBUS_RETURN_IF_ERROR(params.Count("protocol", 1, kProtocolVersion).status());
  NIMBUS_RETURN_IF_ERROR(params.TextOr("client", "").status());
  NIMBUS_ASSIGN_OR_RETURN(recording.id, OperationId(params));
  NIMBUS_ASSIGN_OR_RETURN(recording.type, params.Text("type"));
  NIMBUS_ASSIGN_OR_RETURN(recording.name, params.TextOr("name", options_.name));
  if (options_.recorder.redact) {  // a new session is called like it
    options_.recorder.redact(&recording.type);
    options_.recorder.redact(&recording.name);
  }
  NIMBUS_ASSIGN_OR_RETURN(recording.input, TakeJsonText(params, "input", "{}"));
  recording.state = params.Take("state").value_or(Json::MakeObject());
  NIMBUS_RETURN_IF_ERROR(params.CheckAllTaken());
  return recording;
}

// The session of the recorded operation; else the one asked for; else a new one.
absl::Status Server::ChooseSession(replay::NewRecording* recording) {
  NIMBUS_ASSIGN_OR_RETURN(const auto known,
                          journal_->FindEntity(EntityKind::operation, recording->id));
  if (known.has_value()) {
    session_ = known->parent;
  } else if (options_.session.has_value()) {
    session_ = options_.session;
  } else if (!executes_again()) {
    const Uuid id = schema::NewUuid();
    schema::Event event = schema::MakeEvent(EntityKind::session, id, schema::fb::SessionStartedT{});
    event.body.name = recording->name.empty() ? recording->type : recording->name;
    NIMBUS_RETURN_IF_ERROR(journal_->Append(event, {.expected_version = 0}).status());
    session_ = id;
  }
  if (session_.has_value()) recording->session = *session_;
  return absl::OkStatus();
}

absl::StatusOr<Json> Server::Open(Params& params) {
  NIMBUS_ASSIGN_OR_RETURN(replay::NewRecording recording, TakeRecording(params));
  if (recording.type.empty()) return Error(Code::kInvalidArgument, "type: empty");
  NIMBUS_RETURN_IF_ERROR(ChooseSession(&recording));
  absl::StatusOr<Recorder> recorder =
      Recorder::Open(journal_, std::move(recording), options_.recorder, &open_divergence_);
  if (!recorder.ok()) return recorder.status();
  recorder_.emplace(*std::move(recorder));
  return Opened();
}

Json Server::Opened() const {
  const replay::ReexecutionReport report = recorder_->report();
  return Json::MakeObject({{"protocol", Json::Int(kProtocolVersion)},
                           {"server", Json::String(options_.software)},
                           {"mode", Json::String(executes_again() ? "reexecute" : "record")},
                           {"operation", Json::String(recorder_->operation().ToString())},
                           {"session", Json::String(session_.value_or(Uuid()).ToString())},
                           {"resumed", Json::Bool(recorder_->resumed())},
                           {"step", Json::Uint(report.from_step)},
                           {"state", recorder_->state()},
                           {"in_doubt", Numbers(recorder_->in_doubt())}});
}

// Steps

absl::Status Server::CheckTurn(uint32_t number, Turn turn) const {
  const auto found = open_steps_.find(number);
  if (found == open_steps_.end()) return NotOpen(number);
  if (found->second == turn) return absl::OkStatus();
  return Error(Code::kNotFound, "step {} {}", number,
               turn == Turn::kRunning ? "waits for its next attempt" : "has an attempt that runs");
}

absl::StatusOr<Json> Server::StepBegin(Params& params) {
  NIMBUS_ASSIGN_OR_RETURN(const replay::StepCall call, TakeStepCall(params));
  NIMBUS_RETURN_IF_ERROR(params.CheckAllTaken());
  if (open_steps_.size() >= kOpenStepsMax) {
    return Error(Code::kResourceExhausted, "{} steps are open, which is the most",
                 open_steps_.size());
  }
  NIMBUS_ASSIGN_OR_RETURN(const replay::BegunStep step, recorder_->BeginStep(call));
  if (!step.recorded.has_value()) open_steps_[step.number] = Turn::kRunning;
  return ToJson(step);
}

absl::StatusOr<Json> Server::StepEnd(Params& params) {
  NIMBUS_ASSIGN_OR_RETURN(const uint32_t number, TakeNumber(params));
  NIMBUS_ASSIGN_OR_RETURN(replay::StepResult result, TakeStepResult(params));
  NIMBUS_RETURN_IF_ERROR(params.CheckAllTaken());
  // Between two attempts this gives the step up.
  if (!open_steps_.contains(number)) return NotOpen(number);
  const absl::StatusOr<replay::RecordedStep> step = recorder_->EndStep(number, std::move(result));
  if (!step.ok()) return AboutTheResult(step.status());
  open_steps_.erase(number);
  return ToJson(*step);
}

absl::StatusOr<Json> Server::StepAttemptFailed(Params& params) {
  NIMBUS_ASSIGN_OR_RETURN(const uint32_t number, TakeNumber(params));
  replay::StepResult failed;
  NIMBUS_ASSIGN_OR_RETURN(failed.error, params.Text("error"));
  NIMBUS_ASSIGN_OR_RETURN(failed.outcome, TakeOutcome(params));
  NIMBUS_RETURN_IF_ERROR(params.CheckAllTaken());
  if (failed.error.empty()) return Error(Code::kInvalidArgument, "error: empty");
  NIMBUS_RETURN_IF_ERROR(CheckTurn(number, Turn::kRunning));
  NIMBUS_RETURN_IF_ERROR(recorder_->AttemptFailed(number, failed));
  open_steps_[number] = Turn::kWaiting;
  return NumberReply(number);
}

absl::StatusOr<Json> Server::StepBeginAttempt(Params& params) {
  NIMBUS_ASSIGN_OR_RETURN(const uint32_t number, TakeNumber(params));
  NIMBUS_RETURN_IF_ERROR(params.CheckAllTaken());
  NIMBUS_RETURN_IF_ERROR(CheckTurn(number, Turn::kWaiting));
  NIMBUS_ASSIGN_OR_RETURN(const uint32_t attempt, recorder_->BeginAttempt(number));
  open_steps_[number] = Turn::kRunning;
  return Json::MakeObject({{"number", Json::Uint(number)}, {"attempt", Json::Uint(attempt)}});
}

absl::StatusOr<Json> Server::StepSettle(Params& params) {
  NIMBUS_ASSIGN_OR_RETURN(const uint32_t number, TakeNumber(params));
  NIMBUS_ASSIGN_OR_RETURN(replay::StepResult result, TakeStepResult(params));
  NIMBUS_RETURN_IF_ERROR(params.CheckAllTaken());
  NIMBUS_RETURN_IF_ERROR(CheckInDoubt(*recorder_, number));
  const absl::StatusOr<replay::RecordedStep> step =
      recorder_->SettleInDoubt(number, std::move(result));
  if (!step.ok()) return AboutTheResult(step.status());
  return ToJson(*step);
}

absl::StatusOr<Json> Server::StepRunAgain(Params& params) {
  NIMBUS_ASSIGN_OR_RETURN(const uint32_t number, TakeNumber(params));
  NIMBUS_RETURN_IF_ERROR(params.CheckAllTaken());
  NIMBUS_RETURN_IF_ERROR(recorder_->RunAgain(number));
  return NumberReply(number);
}

// Values

absl::StatusOr<Json> Server::Value(Params& params) {
  NIMBUS_ASSIGN_OR_RETURN(const std::string name, params.Text("name"));
  NIMBUS_ASSIGN_OR_RETURN(const Json proposed, params.Value("value"));
  NIMBUS_RETURN_IF_ERROR(params.CheckAllTaken());
  NIMBUS_ASSIGN_OR_RETURN(
      Json value, recorder_->Value(name, [&]() -> absl::StatusOr<Json> { return proposed; }));
  return Json::MakeObject({{"value", std::move(value)}});
}

absl::StatusOr<Json> Server::Now(Params& params) {
  NIMBUS_RETURN_IF_ERROR(params.CheckAllTaken());
  NIMBUS_ASSIGN_OR_RETURN(const int64_t unix_us, recorder_->Now());
  return Json::MakeObject({{"unix_us", Json::Int(unix_us)}});
}

absl::StatusOr<Json> Server::Random(Params& params) {
  NIMBUS_ASSIGN_OR_RETURN(const uint64_t count,
                          params.Count("bytes", 1, Recorder::kRandomBytesMax));
  NIMBUS_RETURN_IF_ERROR(params.CheckAllTaken());
  NIMBUS_ASSIGN_OR_RETURN(const std::string bytes, recorder_->Random(count));
  return Json::MakeObject({{"hex", Json::String(Hex(bytes))}});
}

absl::StatusOr<Json> Server::Id(Params& params) {
  NIMBUS_RETURN_IF_ERROR(params.CheckAllTaken());
  NIMBUS_ASSIGN_OR_RETURN(const Uuid id, recorder_->NewId());
  return Json::MakeObject({{"id", Json::String(id.ToString())}});
}

// State, checkpoints, ends

absl::StatusOr<Json> Server::State(Params& params) {
  NIMBUS_ASSIGN_OR_RETURN(const std::string text, params.TextOr("pointer", ""));
  NIMBUS_RETURN_IF_ERROR(params.CheckAllTaken());
  const absl::StatusOr<replay::Pointer> pointer = replay::ParsePointer(text);
  if (!pointer.ok()) return schema::Annotate(pointer.status(), "pointer");
  const Json* found = replay::FindValue(recorder_->state(), *pointer);
  if (found == nullptr) {
    return Error(Code::kInvalidArgument, "pointer: the state has no '{}'", text);
  }
  return Json::MakeObject({{"state", *found}});
}

absl::StatusOr<Json> Server::Checkpoint(Params& params) {
  NIMBUS_ASSIGN_OR_RETURN(const std::string name, params.Text("name"));
  NIMBUS_RETURN_IF_ERROR(params.CheckAllTaken());
  NIMBUS_RETURN_IF_ERROR(recorder_->Checkpoint(name));
  return Nothing();
}

absl::StatusOr<Json> Server::Complete(Params& params) {
  NIMBUS_ASSIGN_OR_RETURN(const std::string output, TakeJsonText(params, "output", ""));
  NIMBUS_ASSIGN_OR_RETURN(const schema::fb::OutcomeT outcome, TakeOutcome(params));
  NIMBUS_RETURN_IF_ERROR(params.CheckAllTaken());
  NIMBUS_RETURN_IF_ERROR(recorder_->Complete(output, outcome));
  return StatusReply("completed");
}

absl::StatusOr<Json> Server::Fail(Params& params) {
  NIMBUS_ASSIGN_OR_RETURN(const std::string error, params.Text("error"));
  NIMBUS_ASSIGN_OR_RETURN(const schema::fb::OutcomeT outcome, TakeOutcome(params));
  NIMBUS_RETURN_IF_ERROR(params.CheckAllTaken());
  NIMBUS_RETURN_IF_ERROR(recorder_->Fail(error, outcome));
  return StatusReply("failed");
}

absl::StatusOr<Json> Server::Cancel(Params& params) {
  NIMBUS_ASSIGN_OR_RETURN(const schema::fb::OutcomeT outcome, TakeOutcome(params));
  NIMBUS_RETURN_IF_ERROR(params.CheckAllTaken());
  NIMBUS_RETURN_IF_ERROR(recorder_->Cancel(outcome));
  return StatusReply("cancelled");
}

}  // namespace nimbus::tools::agent
