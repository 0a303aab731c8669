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
//   state.TakePatch()                                 // what has changed since the last one
//
// An event costs what it changes, unless its span holds changes already: then what the
// state is, too. Memory: the state, and what takes the changes since the oldest open span
// back. One thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "nimbus/replay/patch.h"
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
  size_t kept_bytes_max = 256u << 20;  // that changes since the oldest open span replaced
  size_t open_spans_max = 1000;        // spans and steps
};

class InspectState {
 public:
  explicit InspectState(schema::Json initial, const InspectStateLimits& limits = {});

  const schema::Json& current() const { return current_; }

  // A patch (RFC 6902) from the state as it was at the last call, or at first, to this.
  schema::Json TakePatch();

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
    uint64_t version;  // of the state that it began with
  };
  struct Past {  // what made a version of the one before
    replay::Undo undo;
    size_t bytes;
  };

  absl::Status ApplyInPlace(const schema::Json& changes, const Place& place,
                            const std::string& path, Notes* notes);
  absl::Status ApplyAll(const schema::Json& changes, const Place& place, const std::string& path,
                        Notes* notes, std::vector<Past>* done);
  absl::Status ApplyToBase(uint64_t version, const schema::Json& changes, const Place& place,
                           const std::string& path, Notes* notes);
  absl::Status Apply(const schema::Json& patch, std::vector<Past>* done);
  absl::Status Keep(std::vector<Past> done, const std::string& path);
  uint64_t version() const { return forgotten_ + past_.size(); }
  uint64_t VersionOf(std::string_view span) const;
  void Forget();

  InspectStateLimits limits_;
  schema::Json current_;
  size_t bytes_ = 0;  // of its text
  std::vector<Span> spans_;
  std::deque<Past> past_;   // since the oldest open span
  uint64_t forgotten_ = 0;  // versions before those
  size_t past_bytes_ = 0;
  schema::Json::Array pending_;  // the patch so far
};

}  // namespace nimbus::tools::import
