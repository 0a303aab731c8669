// The state of an Inspect sample while the recorded changes are applied to it.
//
// A `state` or `store` event tells what changed between the beginning and the end
// of the span (in older logs: the step) it belongs to. Spans nest, so an outer
// one tells again what inner ones told; therefore each event is applied to the
// state as it was when its own span began.
//
//   InspectState state(initial);
//   NIMBUS_RETURN_IF_ERROR(state.OpenSpan("generate"));
//   NIMBUS_RETURN_IF_ERROR(state.Change(changes, {.span = "generate"}, "events[4]", &notes));
//   state.CloseSpan("generate");
//   state.current();
//
// One thread.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "nimbus/schema/json.h"

namespace nimbus::tools::import {

// What is odd about a source: the first of it, and how much more there is.
class Notes {
 public:
  static constexpr size_t kNotesMax = 20;

  void Add(std::string note);
  std::vector<std::string> Take();

 private:
  std::vector<std::string> notes_;
  size_t more_ = 0;
};

struct InspectStateLimits {
  size_t state_bytes_max = 48u << 20;
  size_t kept_bytes_max = 256u << 20;  // of all states that open spans began with
  size_t open_spans_max = 1000;        // spans and steps
};

class InspectState {
 public:
  // A state that somebody may still want; the same object while nothing changes.
  using Document = std::shared_ptr<const schema::Json>;

  explicit InspectState(schema::Json initial, const InspectStateLimits& limits = {});

  const Document& current() const { return current_; }

  // ResourceExhausted: too many are open.
  absl::Status OpenSpan(std::string id);
  void CloseSpan(std::string_view id);
  // The steps of older logs have no ids: the innermost ends first.
  absl::Status OpenStep() { return OpenSpan({}); }
  void CloseStep() { CloseSpan({}); }

  struct Place {
    std::string_view span;  // empty: that of the innermost step
    bool store = false;     // paths are below the state's "store"
  };

  // Applies `changes` (JSON Patch, with Inspect's `replaced`). Where they do not
  // fit the state, a note says so: a value other than the one recorded as
  // replaced is replaced all the same, and an event that names a place that is
  // not there changes nothing. InvalidArgument: no patch. ResourceExhausted: a
  // limit. Messages begin with `path`.
  absl::Status Change(const schema::Json& changes, const Place& place, const std::string& path,
                      Notes* notes);

 private:
  struct Span {
    std::string id;
    Document began_with;
  };

  Document Keep(schema::Json state, size_t bytes);
  Document BaseOf(std::string_view span) const;

  InspectStateLimits limits_;
  std::shared_ptr<size_t> kept_bytes_;
  Document current_;
  std::vector<Span> spans_;
};

}  // namespace nimbus::tools::import
