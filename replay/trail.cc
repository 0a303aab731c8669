#include "trail.h"

#include <algorithm>
#include <string_view>
#include <utility>

namespace nimbus::replay {

using schema::Json;
using Op = Effect::Op;

namespace {

bool IsPrefix(const Pointer& prefix, const Pointer& of) {
  return prefix.size() <= of.size() && std::equal(prefix.begin(), prefix.end(), of.begin());
}

std::optional<Op> OpOf(std::string_view name) {
  if (name == "add") return Op::kAdd;
  if (name == "remove") return Op::kRemove;
  if (name == "replace") return Op::kReplace;
  if (name == "move") return Op::kMove;
  if (name == "copy") return Op::kCopy;
  return std::nullopt;
}

// The array that the path ends in; nullptr when that is none.
const Json* ArrayOf(const Json& document, const Pointer& path) {
  if (path.empty()) return nullptr;
  const Json* container = FindValue(document, Pointer(path.begin(), path.end() - 1));
  return container != nullptr && container->IsArray() ? container : nullptr;
}

// The index that `pointer` has in the array that `element` is an item of; nullopt when
// it does not lead through that array.
std::optional<size_t> IndexIn(const Pointer& element, const Pointer& pointer) {
  if (pointer.size() < element.size()) return std::nullopt;
  if (!std::equal(element.begin(), element.end() - 1, pointer.begin())) return std::nullopt;
  return ParseIndex(pointer[element.size() - 1]);
}

Pointer WithIndex(const Pointer& element, size_t index, Pointer pointer) {
  pointer[element.size() - 1] = std::to_string(index);
  return pointer;
}

// Where `pointer` led before an item was inserted at `element`, which it is not in.
Pointer BeforeInsert(const Pointer& element, const Pointer& pointer) {
  const std::optional<size_t> index = IndexIn(element, pointer);
  const size_t inserted = ParseIndex(element.back()).value_or(0);
  if (!index.has_value() || *index <= inserted) return pointer;
  return WithIndex(element, *index - 1, pointer);
}

// Where `pointer` led before the item at `element` was removed.
Pointer BeforeRemove(const Pointer& element, const Pointer& pointer) {
  const std::optional<size_t> index = IndexIn(element, pointer);
  const size_t removed = ParseIndex(element.back()).value_or(0);
  if (!index.has_value() || *index < removed) return pointer;
  return WithIndex(element, *index + 1, pointer);
}

Trail FollowAdd(const Effect& effect, const Pointer& pointer) {
  if (IsPrefix(effect.path, pointer)) {
    if (effect.into_array) return {.touched = true, .before = std::nullopt};
    return {.touched = true, .before = pointer};  // a member that may have had a value
  }
  if (IsPrefix(pointer, effect.path)) return {.touched = true, .before = pointer};
  return {.touched = false,
          .before = effect.into_array ? BeforeInsert(effect.path, pointer) : pointer};
}

Trail FollowRemove(const Pointer& path, bool from_array, const Pointer& pointer) {
  if (IsPrefix(pointer, path) && pointer.size() < path.size()) {
    return {.touched = true, .before = pointer};
  }
  if (from_array) return {.touched = false, .before = BeforeRemove(path, pointer)};
  return {.touched = IsPrefix(path, pointer), .before = pointer};
}

Trail FollowMove(const Effect& effect, const Pointer& pointer) {
  if (IsPrefix(effect.path, pointer)) {  // the moved value, or a part of it
    Pointer before = effect.from;
    before.insert(before.end(), pointer.begin() + static_cast<std::ptrdiff_t>(effect.path.size()),
                  pointer.end());
    return {.touched = false, .before = std::move(before)};
  }
  const Trail added = FollowAdd(effect, pointer);
  Trail removed = FollowRemove(effect.from, effect.from_array, *added.before);
  removed.touched = removed.touched || added.touched;
  return removed;
}

}  // namespace

std::optional<Effect> EffectOf(const Json& item, const Json& document) {
  const std::optional<Op> op = OpOf(item.StringOr("op"));
  if (!op.has_value()) return std::nullopt;
  Effect effect{.op = *op};
  effect.path = ParsePointer(item.StringOr("path")).value_or(Pointer());
  if (*op == Op::kMove) {
    effect.from = ParsePointer(item.StringOr("from")).value_or(Pointer());
    if (effect.path == effect.from) return std::nullopt;
    effect.from_array = ArrayOf(document, effect.from) != nullptr;
  }
  if (effect.path.empty()) return effect;
  // A value moves to a place in the document from which it has been taken.
  const Pointer place = effect.from_array ? BeforeRemove(effect.from, effect.path) : effect.path;
  const Json* array = ArrayOf(document, place);
  effect.into_array = array != nullptr;
  if (effect.into_array && effect.path.back() == "-") {
    const bool shorter = effect.from_array && ArrayOf(document, effect.from) == array;
    effect.path.back() = std::to_string(array->array().size() - (shorter ? 1 : 0));
  }
  return effect;
}

namespace {

// Whether one leads to, or through, what the other does, indices left aside; so do
// items of one array.
bool Meet(const Pointer& a, const Pointer& b) {
  const size_t shorter = std::min(a.size(), b.size());
  for (size_t i = 0; i < shorter; ++i) {
    if (a[i] == b[i]) continue;
    if (!ParseIndex(a[i]).has_value() || !ParseIndex(b[i]).has_value()) return false;
  }
  return true;
}

}  // namespace

bool MayConcern(const Effect& effect, const Pointer& pointer) {
  return Meet(effect.path, pointer) || (effect.op == Op::kMove && Meet(effect.from, pointer));
}

Trail Follow(const Effect& effect, const Pointer& pointer) {
  switch (effect.op) {
    case Op::kAdd:
    case Op::kCopy:
      return FollowAdd(effect, pointer);
    case Op::kRemove:
      return FollowRemove(effect.path, effect.into_array, pointer);
    case Op::kReplace:
      return {.touched = IsPrefix(effect.path, pointer) || IsPrefix(pointer, effect.path),
              .before = pointer};
    case Op::kMove:
      return FollowMove(effect, pointer);
  }
  return {};
}

}  // namespace nimbus::replay
