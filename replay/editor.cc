#include "editor.h"

#include <algorithm>
#include <utility>

#include "nimbus/schema/check.h"

namespace nimbus::replay {

using schema::Json;

namespace {

size_t Count(const Json& container) {
  return container.IsArray() ? container.array().size() : container.object().size();
}

template <typename Items>
auto Iterator(Items& items, size_t index) {
  return items.begin() + static_cast<std::ptrdiff_t>(index);
}

}  // namespace

size_t TextSize(const Json& value) {
  constexpr size_t kKeptBytesMax = size_t{1} << 20;
  thread_local std::string text;  // sizes are asked for at every change
  text.clear();
  value.DumpTo(&text);
  const size_t size = text.size();
  if (text.capacity() > kKeptBytesMax) text = std::string();
  return size;
}

size_t Depth(const Json& value) {
  size_t deepest = 0;
  if (value.IsArray()) {
    for (const Json& item : value.array()) deepest = std::max(deepest, Depth(item));
    return deepest + 1;
  }
  if (value.IsObject()) {
    for (const Json::Member& member : value.object()) {
      deepest = std::max(deepest, Depth(member.second));
    }
    return deepest + 1;
  }
  return 0;
}

Json& Editor::At(std::span<const size_t> place) {
  Json* at = &root_;
  for (const size_t index : place) {
    NIMBUS_CHECK(index < Count(*at));
    at = at->IsArray() ? &at->array()[index] : &at->object()[index].second;
  }
  return *at;
}

Json& Editor::Container(const Place& place) {
  NIMBUS_CHECK(!place.empty());
  return At(std::span(place).first(place.size() - 1));
}

std::ptrdiff_t Editor::ElementSize(const Place& place) {
  const Json& container = Container(place);
  size_t size = TextSize(At(place));
  if (container.IsObject()) {
    std::string key;
    schema::AppendJsonString(container.object()[place.back()].first, &key);
    size += key.size() + 1;
  }
  return static_cast<std::ptrdiff_t>(size + (Count(container) > 1 ? 1 : 0));
}

void Editor::RawInsert(const Place& place, std::string key, Json value) {
  Json& container = Container(place);
  NIMBUS_CHECK(place.back() <= Count(container));
  if (container.IsArray()) {
    container.array().insert(Iterator(container.array(), place.back()), std::move(value));
  } else {
    container.object().emplace(Iterator(container.object(), place.back()), std::move(key),
                               std::move(value));
  }
}

Json::Member Editor::RawRemove(const Place& place) {
  Json& container = Container(place);
  NIMBUS_CHECK(place.back() < Count(container));
  Json::Member removed;
  if (container.IsArray()) {
    removed.second = std::move(container.array()[place.back()]);
    container.array().erase(Iterator(container.array(), place.back()));
  } else {
    removed = std::move(container.object()[place.back()]);
    container.object().erase(Iterator(container.object(), place.back()));
  }
  return removed;
}

void Editor::Insert(const Place& place, std::string key, Json value) {
  RawInsert(place, std::move(key), std::move(value));
  growth_ += ElementSize(place);
  inverses_.push_back({.kind = Kind::kRemove, .place = place, .key = {}, .value = {}});
}

void Editor::Remove(const Place& place) {
  growth_ -= ElementSize(place);
  Json::Member removed = RawRemove(place);
  inverses_.push_back({.kind = Kind::kInsert,
                       .place = place,
                       .key = std::move(removed.first),
                       .value = std::move(removed.second)});
}

void Editor::Replace(const Place& place, Json value) {
  Json& slot = At(place);
  growth_ +=
      static_cast<std::ptrdiff_t>(TextSize(value)) - static_cast<std::ptrdiff_t>(TextSize(slot));
  std::swap(slot, value);
  inverses_.push_back(
      {.kind = Kind::kReplace, .place = place, .key = {}, .value = std::move(value)});
}

void Editor::RollBack() {
  while (!inverses_.empty()) {
    Inverse inverse = std::move(inverses_.back());
    inverses_.pop_back();
    switch (inverse.kind) {
      case Kind::kInsert:
        RawInsert(inverse.place, std::move(inverse.key), std::move(inverse.value));
        break;
      case Kind::kRemove:
        RawRemove(inverse.place);
        break;
      case Kind::kReplace:
        At(inverse.place) = std::move(inverse.value);
        break;
    }
  }
  growth_ = 0;
}

}  // namespace nimbus::replay
