// Going through an operation by hand: a step forward, a step back, to any point; what
// changed there, and where a text occurs.
//
//   NIMBUS_ASSIGN_OR_RETURN(Stepper stepper, Stepper::Open(*journal, operation));   // at the start
//   NIMBUS_ASSIGN_OR_RETURN(bool moved, stepper.Next());
//   stepper.state().document();
//
// Steps are taken in the order in which they ended. Memory is that of a Session, twice
// once it has searched. One thread at a time; the journal must outlive it.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/statusor.h"
#include "nimbus/journal/journal.h"
#include "nimbus/replay/point.h"
#include "nimbus/replay/session.h"

namespace nimbus::replay {

class Stepper {
 public:
  // At the start. Errors as Session::Open.
  static absl::StatusOr<Stepper> Open(const journal::Journal& journal,
                                      const schema::Uuid& operation,
                                      const SessionOptions& options = {});

  const schema::Uuid& operation() const { return session_.operation(); }
  journal::Lifecycle status() const { return session_.status(); }
  uint32_t steps() const { return session_.StepCount(); }  // ended or not
  uint32_t step() const { return session_.step(); }        // after which it stands; 0 at the start
  uint64_t sequence() const { return session_.sequence(); }
  const State& state() const { return session_.state(); }

  // To after the next step that ended, or the one before this; false, and nothing
  // changes, where there is none. DataLoss: the step's patch does not apply; it stays
  // where it was.
  absl::StatusOr<bool> Next();
  absl::StatusOr<bool> Previous();

  // As SeekTo; on an error it stays where it was.
  absl::Status GoTo(const Point& point);

  // The step it stands after; nullopt at the start.
  absl::StatusOr<std::optional<StepInfo>> Info();
  absl::StatusOr<StepRecord> Read() { return session_.ReadStep(step()); }

  // RFC 6902: from the state before this step to the state after it; [] at the start.
  absl::StatusOr<schema::Json> Change();

  // Goes to the next step in which `text` occurs as it is written in what was recorded
  // (tool, input, output, error, patch), after this one, and from the start on when
  // there is none; what it occurs in, or nullopt when it does nowhere and nothing
  // changes. Reads the steps on the way. Cancelled, and nothing changes, soon after `stop`
  // was set.
  absl::StatusOr<std::optional<std::string>> Search(std::string_view text,
                                                    const std::atomic<bool>* stop = nullptr);

 private:
  Stepper(const journal::Journal& journal, Session session, const SessionOptions& options)
      : journal_(&journal), session_(std::move(session)), options_(options) {}

  absl::StatusOr<std::optional<std::string>> SearchStep(uint32_t number, std::string_view text);

  const journal::Journal* journal_;
  Session session_;
  SessionOptions options_;
};

}  // namespace nimbus::replay
