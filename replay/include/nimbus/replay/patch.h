// JSON Patch (RFC 6902): how one state becomes the next.
//
//   const Json patch = Diff(before, after);        // [{"op":"add","path":"/messages/2",…}]
//   NIMBUS_ASSIGN_OR_RETURN(const ptrdiff_t growth, ApplyPatch(patch, &before));
//   // before == after
//
// Thread-compatible: plain functions over values.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "nimbus/replay/pointer.h"
#include "nimbus/schema/json.h"

namespace nimbus::replay {

struct PatchLimits {
  // How much longer the document's compact text may become. Without such a
  // limit thirty copies of a document into itself make it 2^30 times as large.
  size_t growth_bytes_max = 64u << 20;
  size_t depth_max = schema::JsonLimits{}.depth_max;  // of the document, after
};

// What takes one patch back.
class Undo {
 public:
  Undo();
  ~Undo();
  Undo(Undo&&) noexcept;
  Undo& operator=(Undo&&) noexcept;

  // Makes of the document that the patch made the one that it was made of, members in the
  // same order. Nothing else may have changed it meanwhile (NIMBUS_CHECK where that shows).
  // Costs what the patch changed.
  void Apply(schema::Json* document) const;

 private:
  friend absl::StatusOr<std::ptrdiff_t> ApplyPatch(schema::Json, schema::Json*, const PatchLimits&,
                                                   Undo*);
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Applies all operations of `patch`, or none: on an error `document` is what it
// was, members in the same order. Returns by how many bytes the document's
// compact text grew. Costs what the values touched cost, not the document. Takes
// the values out of `patch`: move it there if it is not needed after. `undo`, unless null,
// gets what takes the patch back.
//
// Errors name the operation, from 0, and its path. InvalidArgument: no patch as
// RFC 6902 has it. NotFound: no such place in the document. FailedPrecondition:
// a "test" does not hold. ResourceExhausted: a limit. Removing the whole
// document is InvalidArgument, because nothing would be left.
absl::StatusOr<std::ptrdiff_t> ApplyPatch(schema::Json patch, schema::Json* document,
                                          const PatchLimits& limits = {}, Undo* undo = nullptr);

// A patch that makes `to` of `from`, equal as operator== has it; [] when they
// are. The same values give the same patch. Members are compared by key; of two
// arrays the equal items at both ends are kept and those between are paired in
// order; a container is replaced where that is shorter than changing it.
schema::Json Diff(const schema::Json& from, const schema::Json& to);

// The patch that appends `items` to the array at `array_path` (a JSON Pointer),
// made without looking at the document.
schema::Json AppendPatch(std::string_view array_path, std::vector<schema::Json> items);

}  // namespace nimbus::replay
