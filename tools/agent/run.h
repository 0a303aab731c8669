// Runs a program whose calls a Server answers: starts it with two pipes, forwards
// signals to it, and waits until it has ended.
//
//   AgentSignals signals;                            // before the journal starts threads
//   … open the journal, make the server …
//   NIMBUS_ASSIGN_OR_RETURN(const AgentEnd end, RunAgent({"python3", "agent.py"}, &server));
//
// The program has standard input, output and error of this one, and inherits what this
// one inherited; of this program's own files it gets the two pipes and nothing else.
#pragma once

#include <signal.h>

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "tools/agent/server.h"

namespace nimbus::tools::agent {

inline constexpr char kReadVariable[] = "NIMBUS_RPC_READ";
inline constexpr char kWriteVariable[] = "NIMBUS_RPC_WRITE";
inline constexpr char kVersionVariable[] = "NIMBUS_RPC_VERSION";
inline constexpr size_t kReplyBytesMax = 64u << 20;  // that wait; beyond, no call is read

// While it lives, the signals that RunAgent forwards wait to be read by it: SIGINT,
// SIGTERM, SIGHUP, SIGQUIT, SIGUSR1 and SIGUSR2. One that the terminal sends has reached
// the program, too, and is not forwarded. Made while there is one thread, so that those made
// later leave the signals alone, too.
class AgentSignals {
 public:
  AgentSignals();
  ~AgentSignals();
  AgentSignals(const AgentSignals&) = delete;
  AgentSignals& operator=(const AgentSignals&) = delete;

  const sigset_t& waiting() const { return waiting_; }
  const sigset_t& mask_before() const { return mask_before_; }

 private:
  sigset_t waiting_, mask_before_;
};

// How the program ended.
struct AgentEnd {
  int exit_code = 0;
  int signal = 0;  // that killed it; 0 when it exited

  bool succeeded() const { return exit_code == 0 && signal == 0; }
};

// Returns when the program has ended and all that it had sent whole has been handled.
// NotFound or PermissionDenied: it can't be started. Unavailable: no pipe, no signals.
absl::StatusOr<AgentEnd> RunAgent(const std::vector<std::string>& argv, const AgentSignals& signals,
                                  Server* server);

}  // namespace nimbus::tools::agent
