// ATIF (Agent Trajectory Interchange Format, harbor's RFC 0001), v1.0 to v1.7:
// what one of its steps is here, in both directions.
//
// ATIF tells of a step what was said, called and seen. What Nimbus has recorded
// beyond that stands in the step's `extra.nimbus`, as the difference to what
// the step is without it: so a trajectory of another program is read by the
// format's own words, and one of ours gives back the very same steps.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "nimbus/schema/json.h"
#include "tools/import/document.h"
#include "tools/import/run.h"

namespace nimbus::tools::import {

inline constexpr std::string_view kAtifVersion = "ATIF-v1.5";  // as exported

// The steps that one ATIF step makes, in order, without regard to what is in
// `extra`: of a user a user_input, of an agent an llm_call and its tool calls,
// of the system none. Costs add up by `cost`. InvalidArgument names the member
// that is not what the format says. The caller names the steps.
absl::StatusOr<std::vector<Step>> ReadAtifStep(const Fields& step, std::string_view default_model,
                                               CostMeter* cost);

// What makes `recorded` of `plain`, as the value of extra.nimbus; null when
// nothing does. Ids and messages are not compared.
schema::Json StepDifferences(const std::vector<Step>& plain, const std::vector<Step>& recorded);

// The other way. `nimbus` is extra.nimbus. InvalidArgument names the member that
// is none of ours.
absl::StatusOr<std::vector<Step>> ApplyDifferences(const Fields& nimbus, std::vector<Step> plain);

// An operation without its steps, as one of extra.nimbus.operations of the
// trajectory, and back. Ids are left to the caller.
schema::Json OperationMembers(const Operation& operation);
absl::Status ApplyOperation(const Fields& members, Operation* operation);

// The trajectory of operations of one session, in their order; of two that run
// side by side, one after the other. Times and costs that are not known are left
// out; what the format has no word for is in extra.nimbus.
struct AtifParts {
  std::string session_id;
  Session session;  // its name, description and context
  std::vector<Operation> operations;
};
schema::Json WriteAtif(const AtifParts& parts);

}  // namespace nimbus::tools::import
