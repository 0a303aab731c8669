#include "nimbus/replay/recorder.h"

#include <sodium.h>

#include <algorithm>
#include <atomic>
#include <system_error>
#include <thread>
#include <utility>

#include "nimbus/schema/check.h"
#include "nimbus/schema/status.h"
#include "recorder_impl.h"

namespace nimbus::replay {

using schema::Error;
using schema::Json;
using schema::Uuid;
using Code = absl::StatusCode;

namespace {

// Runs `work` on so many threads, this one included; on fewer where there are no more.
void RunOnThreads(size_t count, const std::function<void()>& work) {
  std::vector<std::jthread> threads;
  for (size_t i = 1; i < count; ++i) {
    try {
      threads.emplace_back(work);
    } catch (const std::system_error&) {
      break;
    }
  }
  work();
}

std::string ToHex(const std::string& bytes) {
  std::string hex;
  for (const char byte : bytes) hex += fmt::format("{:02x}", static_cast<unsigned char>(byte));
  return hex;
}

std::string RandomBytes(size_t count) {
  NIMBUS_CHECK(sodium_init() >= 0);
  std::string bytes(count, '\0');
  randombytes_buf(bytes.data(), bytes.size());
  return bytes;
}

}  // namespace

Recorder::Recorder(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Recorder::Recorder(Recorder&&) noexcept = default;
Recorder& Recorder::operator=(Recorder&&) noexcept = default;
Recorder::~Recorder() = default;

absl::StatusOr<Recorder> Recorder::Open(journal::Journal* journal, NewRecording recording,
                                        const RecorderOptions& options,
                                        std::optional<StepDivergence>* divergence) {
  NIMBUS_ASSIGN_OR_RETURN(const std::optional<journal::EntityState> entity,
                          journal->FindEntity(schema::fb::EntityKind::operation, recording.id));
  NIMBUS_ASSIGN_OR_RETURN(State state, State::Make(Json(), options.session.state));
  auto impl = std::make_unique<Impl>(journal, recording.id, options, std::move(state));
  const absl::Status opened = impl->Open(entity, std::move(recording));
  if (divergence != nullptr) *divergence = impl->divergence();
  NIMBUS_RETURN_IF_ERROR(opened);
  return Recorder(std::move(impl));
}

absl::StatusOr<RecordedStep> Recorder::Step(const StepCall& call, const Run& run) {
  NIMBUS_ASSIGN_OR_RETURN(const BegunStep begun, impl_->BeginStep(call));
  return impl_->RunAttempts(begun, call, run);
}

absl::StatusOr<std::vector<RecordedStep>> Recorder::Parallel(std::span<const ParallelStep> steps,
                                                             size_t threads_max) {
  std::vector<absl::StatusOr<RecordedStep>> results;
  std::vector<BegunStep> begun;
  absl::Status failed;
  for (const ParallelStep& step : steps) {
    absl::StatusOr<BegunStep> begin = impl_->BeginStep(step.call);
    failed = begin.status();
    if (!failed.ok()) break;
    begun.push_back(*std::move(begin));
    results.push_back(absl::UnknownError("not run"));
  }
  std::atomic<size_t> next = 0;
  const auto work = [&] {
    for (size_t i = next++; i < begun.size(); i = next++) {
      results[i] = impl_->RunAttempts(begun[i], steps[i].call, steps[i].run);
    }
  };
  RunOnThreads(threads_max == 0 ? begun.size() : std::min(threads_max, begun.size()), work);
  std::vector<RecordedStep> ended;
  for (absl::StatusOr<RecordedStep>& result : results) {
    if (failed.ok()) failed = result.status();
    if (result.ok()) ended.push_back(*std::move(result));
  }
  NIMBUS_RETURN_IF_ERROR(failed);
  return ended;
}

absl::StatusOr<BegunStep> Recorder::BeginStep(const StepCall& call) {
  return impl_->BeginStep(call);
}

absl::StatusOr<RecordedStep> Recorder::EndStep(uint32_t number, StepResult result) {
  return impl_->EndStep(number, std::move(result));
}

absl::Status Recorder::AttemptFailed(uint32_t number, const StepResult& failed) {
  return impl_->AttemptFailed(number, failed);
}

absl::StatusOr<uint32_t> Recorder::BeginAttempt(uint32_t number) {
  return impl_->BeginAttempt(number);
}

std::vector<OpenStep> Recorder::in_doubt() const { return impl_->in_doubt(); }

absl::StatusOr<RecordedStep> Recorder::SettleInDoubt(uint32_t number, StepResult result) {
  return impl_->SettleInDoubt(number, std::move(result));
}

absl::Status Recorder::RunAgain(uint32_t number) { return impl_->RunAgain(number); }

absl::StatusOr<Json> Recorder::Value(std::string_view name,
                                     const std::function<absl::StatusOr<Json>()>& make) {
  return impl_->Value(std::string(name), make);
}

absl::StatusOr<int64_t> Recorder::Now() {
  NIMBUS_ASSIGN_OR_RETURN(const Json value, Value("now", [&]() -> absl::StatusOr<Json> {
                            return Json::Int(impl_->NowMicros());
                          }));
  const std::optional<int64_t> micros = value.AsInt();
  if (micros.has_value()) return *micros;
  return Error(Code::kDataLoss, "the recorded time is {}", value.Dump());
}

absl::StatusOr<std::string> Recorder::Random(size_t bytes) {
  if (bytes > kRandomBytesMax) {
    return Error(Code::kInvalidArgument, "{} random bytes, {} are allowed", bytes, kRandomBytesMax);
  }
  const auto make = [&]() -> absl::StatusOr<Json> {
    return Json::String(ToHex(RandomBytes(bytes)));
  };
  NIMBUS_ASSIGN_OR_RETURN(const Json value, Value(fmt::format("random:{}", bytes), make));
  std::string random(bytes, '\0');
  size_t size = 0;
  const std::string hex = value.IsString() ? value.string() : std::string();
  const bool read = sodium_hex2bin(reinterpret_cast<unsigned char*>(random.data()), random.size(),
                                   hex.data(), hex.size(), nullptr, &size, nullptr) == 0;
  if (read && size == bytes && hex.size() == 2 * bytes) return random;
  return Error(Code::kDataLoss, "the recorded value is not {} random bytes", bytes);
}

absl::StatusOr<Uuid> Recorder::NewId() {
  NIMBUS_ASSIGN_OR_RETURN(const Json value, Value("id", []() -> absl::StatusOr<Json> {
                            return Json::String(schema::NewUuid().ToString());
                          }));
  const absl::StatusOr<Uuid> id = schema::ParseUuid(value.IsString() ? value.string() : "");
  if (id.ok()) return *id;
  return Error(Code::kDataLoss, "the recorded id is {}", value.Dump());
}

absl::Status Recorder::Checkpoint(std::string_view name) {
  return impl_->Checkpoint(std::string(name));
}

absl::Status Recorder::Complete(const std::string& output, const schema::fb::OutcomeT& outcome) {
  return impl_->Complete(output, outcome);
}

absl::Status Recorder::Fail(const std::string& error, const schema::fb::OutcomeT& outcome) {
  return impl_->Fail(error, outcome);
}

absl::Status Recorder::Cancel(const schema::fb::OutcomeT& outcome) {
  return impl_->Cancel(outcome);
}

absl::Status Recorder::EndHere() { return impl_->EndHere(); }

const Json& Recorder::state() const { return impl_->state(); }
const Uuid& Recorder::operation() const { return impl_->operation(); }
uint32_t Recorder::steps() const { return impl_->steps(); }
bool Recorder::resumed() const { return impl_->resumed(); }
std::optional<StepDivergence> Recorder::divergence() const { return impl_->divergence(); }
ReexecutionReport Recorder::report() const { return impl_->report(); }

}  // namespace nimbus::replay
