// What spans tell of agents at work, as a run.
//
//   TraceReader reader("otlp-json");
//   for (…) NIMBUS_RETURN_IF_ERROR(reader.Take(record, std::move(spans)));
//   Run run = reader.Finish();
//
// An agent or workflow span that is inside no other is an operation; what a
// trace has outside of these, or all of it if there are none, is one operation
// by the trace's id. Calls of models and tools are its steps, in the order of
// their starts; those of agents inside it as well. Where two instrumentations
// saw one call of a model, the outer span is the step, and the inner ones say
// what it leaves out. Evaluations are verifications. A conversation is a
// session; without one, the trace is.
//
// Spans are exported as they end, so an agent's own comes last, often a record
// after those inside it. What is made of a record depends on it and those
// before it alone: steps whose agent has not come yet are part of the trace's
// operation, which that agent then ends; a model's call that was counted when
// only the inner span was there is not counted again.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "tools/import/document.h"
#include "tools/import/genai.h"
#include "tools/import/run.h"
#include "tools/import/span.h"

namespace nimbus::tools::import {

class TraceReader {
 public:
  explicit TraceReader(std::string_view format) : format_(format) {}

  // The spans of one record, which must follow those given before.
  // InvalidArgument names the span whose attribute is not what it must be.
  absl::Status Take(uint64_t record, std::vector<Span> spans);

  size_t spans() const { return spans_.size(); }
  // Everything but the run's key.
  Run Finish();

 private:
  using SpanKey = std::pair<std::string, std::string>;  // trace and span id

  enum class Top { kRoot, kMissing, kCycle };
  // What is above a span.
  struct Ancestry {
    Top end = Top::kRoot;
    size_t top = 0;               // the highest span that is known
    size_t depth = 0;             // spans above
    std::optional<size_t> agent;  // the highest one, or the span itself
    std::optional<size_t> model;  // the highest one of the same call
    std::optional<size_t> tool;   // one of the same call
  };

  struct Work {
    Operation operation;
    size_t session = 0;
    CostMeter cost;
    std::vector<schema::Json::Array> heard;  // by each model that is spoken to, the last time
  };

  struct Trace {
    std::optional<size_t> work;  // takes what belongs to no agent
    std::vector<size_t> works;
    bool ended = false;  // the span without a parent has
    uint64_t duplicates = 0, cycles = 0, unended = 0;
  };

  struct Pending {
    size_t span = 0;
    Ancestry above;
    std::vector<size_t> inner;  // of the same call
  };

  std::vector<size_t> Add(std::vector<Span> spans);
  std::optional<size_t> ParentOf(size_t span);
  Ancestry Above(size_t span);
  void CoverOuterModels(const std::vector<size_t>& added);
  absl::Status TakeTrace(const std::string& id, const std::vector<size_t>& added);
  void AddAgents(const std::vector<Pending>& spans, Trace* trace);
  std::vector<Pending> StepsOf(const std::vector<Pending>& spans) const;
  absl::Status AddSteps(const std::vector<Pending>& steps, Trace* trace);
  absl::Status AddStep(const Pending& step, Work* work);
  absl::Status AddModelCall(const Pending& call, Work* work, Step* step);
  void AddToolCall(const Span& span, Step* step) const;
  void AddEvaluations(const Span& span, Work* work) const;
  absl::Status EndWorks(const std::vector<Pending>& spans, Trace* trace);
  absl::Status End(size_t span, Work* work);
  size_t NewWork(size_t span, std::string source_id, Trace* trace);
  size_t WorkFor(const Pending& step, Trace* trace);
  size_t SessionFor(size_t span);
  void Claim(Work* work);
  bool IsRoot(const Pending& span) const;

  const std::string format_;
  uint64_t record_ = 0;
  uint64_t unclaimed_ = 0;  // the first record that is no operation's
  std::vector<Span> spans_;
  std::vector<SpanRole> roles_;
  std::vector<std::optional<size_t>> parents_;  // that have been seen
  std::map<SpanKey, size_t> index_;
  std::map<std::string, Trace> traces_;
  std::map<size_t, size_t> works_of_agents_;               // span to work
  std::map<SpanKey, std::vector<size_t>> models_waiting_;  // counted, by the parent not seen
  std::set<size_t> covered_;  // models whose call was counted by a span inside
  std::vector<Work> works_;
  std::vector<Session> sessions_;
  std::map<std::string, size_t> sessions_by_id_;
};

}  // namespace nimbus::tools::import
