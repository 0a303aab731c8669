// Answers an agent's calls (docs/protocol.md) by a replay::Recorder, which records them,
// resumes, or executes them again. Knows no processes and no pipes: run.h does.
//
//   Server server(journal.get(), {.software = "nimbus 0.1.0"});
//   if (const std::optional<std::string> reply = server.Answer(line)) … *reply …
//
// One thread at a time. The journal outlives it. Memory: the recorder's and a request.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "nimbus/journal/journal.h"
#include "nimbus/replay/recorder.h"
#include "tools/agent/params.h"
#include "tools/agent/rpc.h"

namespace nimbus::tools::agent {

inline constexpr int kProtocolVersion = 1;
inline constexpr size_t kOpenStepsMax = 1024;

struct ServerOptions {
  replay::RecorderOptions recorder;
  std::optional<schema::Uuid> operation;  // else the program's own choice, else a new one
  std::optional<schema::Uuid> session;    // of a new operation; else one is started for it
  std::string name;                       // of a new operation, unless the program names it
  std::string software;                   // what `open` answers as `server`
};

// What the server saw that was no call, for whoever ran the program to be told.
struct Refusals {
  uint64_t lines = 0;          // that were no request
  uint64_t notifications = 0;  // which are not executed
};

class Server {
 public:
  Server(journal::Journal* journal, ServerOptions options);

  // The reply to a line, without its line feed; nullopt when none is due. When it returns,
  // what the reply says is on stable storage.
  std::optional<std::string> Answer(std::string_view line);
  // The reply to a line longer than kLineBytesMax.
  std::string AnswerTooLong();

  // Null before the program has called `open`.
  const replay::Recorder* recorder() const { return recorder_ ? &*recorder_ : nullptr; }
  replay::Recorder* recorder() { return recorder_ ? &*recorder_ : nullptr; }
  // Also where `open` itself diverged.
  std::optional<replay::StepDivergence> divergence() const;
  // Why the recording did not suffice, and at which step, the first time that it did not.
  const std::string& incomplete() const { return incomplete_; }
  const std::optional<schema::Uuid>& session() const { return session_; }
  const Refusals& refusals() const { return refusals_; }

 private:
  // Of an open step: whether it runs, or waits between two attempts.
  enum class Turn : uint8_t { kRunning, kWaiting };
  using Method = absl::StatusOr<schema::Json> (Server::*)(Params&);
  struct MethodInfo;
  static std::span<const MethodInfo> Methods();
  static const MethodInfo* FindMethod(std::string_view name);
  static std::string UnknownMethod(std::string_view name);

  absl::StatusOr<schema::Json> Call(const Request& request, RpcError* error);
  RpcError ErrorOf(const Request& request, const absl::Status& status) const;
  uint32_t StepsDone() const { return recorder_.has_value() ? recorder_->steps() : 0; }
  RpcError PreconditionError(const Request& request, const absl::Status& status) const;
  bool executes_again() const {
    return options_.recorder.mode == replay::RecorderOptions::Mode::kReexecute;
  }

  absl::StatusOr<schema::Json> Open(Params& params);
  absl::StatusOr<replay::NewRecording> TakeRecording(Params& params) const;
  absl::StatusOr<schema::Uuid> OperationId(Params& params) const;
  absl::Status ChooseSession(replay::NewRecording* recording);
  schema::Json Opened() const;

  absl::Status CheckTurn(uint32_t number, Turn turn) const;
  absl::StatusOr<schema::Json> StepBegin(Params& params);
  absl::StatusOr<schema::Json> StepEnd(Params& params);
  absl::StatusOr<schema::Json> StepAttemptFailed(Params& params);
  absl::StatusOr<schema::Json> StepBeginAttempt(Params& params);
  absl::StatusOr<schema::Json> StepSettle(Params& params);
  absl::StatusOr<schema::Json> StepRunAgain(Params& params);
  absl::StatusOr<schema::Json> Value(Params& params);
  absl::StatusOr<schema::Json> Now(Params& params);
  absl::StatusOr<schema::Json> Random(Params& params);
  absl::StatusOr<schema::Json> Id(Params& params);
  absl::StatusOr<schema::Json> State(Params& params);
  absl::StatusOr<schema::Json> Checkpoint(Params& params);
  absl::StatusOr<schema::Json> Complete(Params& params);
  absl::StatusOr<schema::Json> Fail(Params& params);
  absl::StatusOr<schema::Json> Cancel(Params& params);

  journal::Journal* journal_;
  ServerOptions options_;
  std::optional<replay::Recorder> recorder_;
  std::optional<replay::StepDivergence> open_divergence_;
  std::optional<schema::Uuid> session_;
  std::map<uint32_t, Turn> open_steps_;  // begun here, without a result
  std::string incomplete_;
  Refusals refusals_;
};

}  // namespace nimbus::tools::agent
