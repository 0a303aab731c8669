// Random documents for the tests of replay: small alphabets, so that two of them
// share keys and items.
#pragma once

#include <random>
#include <string>

#include "nimbus/schema/json.h"

namespace nimbus::replay {

inline schema::Json RandomJson(std::mt19937& random, int depth) {
  using schema::Json;
  const unsigned kind = random() % (depth > 0 ? 8 : 5);
  if (kind >= 6) {
    Json object = Json::MakeObject();
    for (unsigned n = random() % 5; n > 0; --n) {
      constexpr std::string_view kKeys[] = {"a", "b", "/", "~", "", "m~1n", "\u00e9"};
      object.Set(kKeys[random() % std::size(kKeys)], RandomJson(random, depth - 1));
    }
    return object;
  }
  switch (kind) {
    case 0:
      return Json();
    case 1:
      return Json::Bool(random() % 2 == 0);
    case 2:
      return Json::Int(static_cast<int64_t>(random() % 4));
    case 3:
      return Json::Number(random() % 2 == 0 ? "1.0" : "39712373237291850001929057");
    case 4:
      return Json::String(std::string(random() % 3, 'x'));
    default: {
      Json::Array items;
      for (unsigned n = random() % 6; n > 0; --n) items.push_back(RandomJson(random, depth - 1));
      return Json::MakeArray(std::move(items));
    }
  }
}

// The document with one value somewhere in it changed, removed or added.
inline schema::Json Mutated(schema::Json value, std::mt19937& random) {
  using schema::Json;
  if (value.IsArray() && !value.array().empty() && random() % 4 != 0) {
    Json::Array& items = value.array();
    const auto at = items.begin() + static_cast<std::ptrdiff_t>(random() % items.size());
    if (random() % 4 == 0) {
      items.erase(at);
    } else if (random() % 3 == 0) {
      items.insert(at, RandomJson(random, 1));
    } else {
      *at = Mutated(std::move(*at), random);
    }
    return value;
  }
  if (value.IsObject() && !value.object().empty() && random() % 4 != 0) {
    Json::Object& members = value.object();
    Json::Member& member = members[random() % members.size()];
    if (random() % 4 == 0) {
      value.Erase(std::string(member.first));
    } else {
      member.second = Mutated(std::move(member.second), random);
    }
    return value;
  }
  return RandomJson(random, 2);
}

}  // namespace nimbus::replay
