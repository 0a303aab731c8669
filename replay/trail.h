// Following a value back through the operations of a patch. Private to replay.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "nimbus/replay/pointer.h"
#include "nimbus/schema/json.h"

namespace nimbus::replay {

// A patch operation as it took effect: "-" is an index, and whether the containers at
// the end of its paths are arrays is known.
struct Effect {
  enum class Op { kAdd, kRemove, kReplace, kMove, kCopy };
  Op op = Op::kReplace;
  Pointer path;
  bool into_array = false;  // `path` ends in an index
  Pointer from;             // of kMove, before it
  bool from_array = false;
};

// What `item`, an operation of a patch, will do to `document`; nullopt when nothing
// (a test). It must be one that applies.
std::optional<Effect> EffectOf(const schema::Json& item, const schema::Json& document);

// Whether it may have to do with the value at `pointer`, whatever the indices on the
// way are.
bool MayConcern(const Effect& effect, const Pointer& pointer);

// What an operation did to the value that was at `pointer` after it.
struct Trail {
  bool touched = false;  // it set, removed or changed the value, or a part of it
  // Where the value was before; unset when it was not there, because it was inserted.
  std::optional<Pointer> before;
};

// `pointer` may be a place where there is no value, after a removal.
Trail Follow(const Effect& effect, const Pointer& pointer);

}  // namespace nimbus::replay
