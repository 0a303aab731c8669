#include "nimbus/schema/json.h"

#include <algorithm>
#include <numeric>

#include "json_number.h"
#include "nimbus/schema/check.h"

namespace nimbus::schema {
namespace {

// Up to so many members a scan finds a key faster than an index of keys.
constexpr size_t kScanMembersMax = 16;

// The members' indices in the order of their keys, equal keys in their own order.
std::vector<size_t> OrderByKey(const Json::Object& members) {
  std::vector<size_t> order(members.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return members[a].first < members[b].first; });
  return order;
}

Json* FindMember(Json::Object& members, std::string_view key) {
  for (Json::Member& member : members) {
    if (member.first == key) return &member.second;
  }
  return nullptr;
}

// Gives the first of equal keys the last one's value, and drops the others.
void MergeDuplicates(Json::Object* members) {
  if (members->size() < 2) return;
  if (members->size() <= kScanMembersMax) {
    for (size_t i = 1; i < members->size();) {
      Json::Member& member = (*members)[i];
      const auto end = members->begin() + static_cast<std::ptrdiff_t>(i);
      const auto first = std::find_if(members->begin(), end,
                                      [&](const auto& m) { return m.first == member.first; });
      if (first == end) {
        ++i;
      } else {
        first->second = std::move(member.second);
        members->erase(end);
      }
    }
    return;
  }
  const std::vector<size_t> order = OrderByKey(*members);
  std::vector<bool> dropped(members->size());
  size_t first = order[0];
  for (size_t i = 1; i < order.size(); ++i) {
    if ((*members)[order[i]].first != (*members)[first].first) {
      first = order[i];
    } else {
      (*members)[first].second = std::move((*members)[order[i]].second);
      dropped[order[i]] = true;
    }
  }
  if (std::find(dropped.begin(), dropped.end(), true) == dropped.end()) return;
  Json::Object kept;
  for (size_t i = 0; i < members->size(); ++i) {
    if (!dropped[i]) kept.push_back(std::move((*members)[i]));
  }
  *members = std::move(kept);
}

bool EqualObjects(const Json::Object& a, const Json::Object& b) {
  if (a.size() != b.size()) return false;
  // Members mostly come in the same order: only from the first that does not on
  // are they looked up.
  size_t same = 0;
  while (same < a.size() && a[same].first == b[same].first) {
    if (!(a[same].second == b[same].second)) return false;
    ++same;
  }
  if (same == a.size()) return true;
  const std::vector<size_t> order_a = OrderByKey(a), order_b = OrderByKey(b);
  for (size_t i = 0; i < a.size(); ++i) {
    if (a[order_a[i]].first != b[order_b[i]].first) return false;
    if (!(a[order_a[i]].second == b[order_b[i]].second)) return false;
  }
  return true;
}

}  // namespace

Json Json::Bool(bool value) {
  Json json;
  json.value_ = value;
  return json;
}

Json Json::Int(int64_t value) { return Number(std::to_string(value)); }
Json Json::Uint(uint64_t value) { return Number(std::to_string(value)); }
Json Json::Double(double value) { return Number(FormatDouble(value)); }

Json Json::Number(std::string token) {
  NIMBUS_CHECK(IsJsonNumber(token));
  Json json;
  json.value_ = NumberToken{std::move(token)};
  return json;
}

Json Json::String(std::string value) {
  Json json;
  json.value_ = std::move(value);
  return json;
}

Json Json::MakeArray(Array items) {
  Json json;
  json.value_ = std::move(items);
  return json;
}

Json Json::MakeObject(Object members) {
  MergeDuplicates(&members);
  Json json;
  json.value_ = std::move(members);
  return json;
}

bool Json::boolean() const {
  NIMBUS_CHECK(IsBool());
  return std::get<bool>(value_);
}

const std::string& Json::number() const {
  NIMBUS_CHECK(IsNumber());
  return std::get<NumberToken>(value_).text;
}

const std::string& Json::string() const {
  NIMBUS_CHECK(IsString());
  return std::get<std::string>(value_);
}

const Json::Array& Json::array() const {
  NIMBUS_CHECK(IsArray());
  return std::get<Array>(value_);
}

Json::Array& Json::array() {
  NIMBUS_CHECK(IsArray());
  return std::get<Array>(value_);
}

const Json::Object& Json::object() const {
  NIMBUS_CHECK(IsObject());
  return std::get<Object>(value_);
}

Json::Object& Json::object() {
  NIMBUS_CHECK(IsObject());
  return std::get<Object>(value_);
}

std::optional<int64_t> Json::AsInt() const {
  if (!IsNumber()) return std::nullopt;
  return DecimalToInt(ParseDecimal(number()));
}

std::optional<double> Json::AsDouble() const {
  if (!IsNumber()) return std::nullopt;
  return NearestDouble(number());
}

Json* Json::Find(std::string_view key) {
  return IsObject() ? FindMember(std::get<Object>(value_), key) : nullptr;
}

const Json* Json::Find(std::string_view key) const { return const_cast<Json*>(this)->Find(key); }

const Json* Json::FindPath(std::initializer_list<std::string_view> keys) const {
  const Json* at = this;
  for (const std::string_view key : keys) {
    at = at->Find(key);
    if (at == nullptr) return nullptr;
  }
  return at;
}

std::string_view Json::StringOr(std::string_view key, std::string_view fallback) const {
  const Json* value = Find(key);
  return value != nullptr && value->IsString() ? std::string_view(value->string()) : fallback;
}

void Json::Set(std::string_view key, Json value) {
  if (Json* found = FindMember(object(), key)) {
    *found = std::move(value);
  } else {
    object().emplace_back(std::string(key), std::move(value));
  }
}

bool Json::Erase(std::string_view key) {
  if (!IsObject()) return false;
  return std::erase_if(object(), [&](const Member& member) { return member.first == key; }) > 0;
}

bool operator==(const Json& a, const Json& b) {
  if (a.type() != b.type()) return false;
  switch (a.type()) {
    case Json::Type::kNull:
      return true;
    case Json::Type::kBool:
      return a.boolean() == b.boolean();
    case Json::Type::kNumber:
      return a.number() == b.number() || ParseDecimal(a.number()) == ParseDecimal(b.number());
    case Json::Type::kString:
      return a.string() == b.string();
    case Json::Type::kArray:
      return a.array() == b.array();
    case Json::Type::kObject:
      return EqualObjects(a.object(), b.object());
  }
  return false;
}

}  // namespace nimbus::schema
