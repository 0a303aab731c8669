// Documents damaged in every way a seed can think of.
#pragma once

#include <cstddef>
#include <random>
#include <string>
#include <vector>

#include "nimbus/schema/json.h"

namespace nimbus::tools::import {

inline std::vector<schema::Json> StrangeValues() {
  using schema::Json;
  return {Json(),
          Json::Bool(true),
          Json::Int(-1),
          Json::Number("1e400"),
          Json::Number("-0.0000001"),
          Json::Number("39712373237291850001929057769826244787"),
          Json::Number("9223372036854775807"),
          Json::String(""),
          Json::String(std::string(300, 'x')),
          Json::String("a\tb\n"),
          Json::MakeArray(),
          Json::MakeArray({Json::Int(1), Json::String("x"), Json()}),
          Json::MakeObject(),
          Json::MakeObject({{"role", Json::Int(1)}, {"content", Json::MakeObject()}})};
}

// A value of the document, the upper ones more often.
inline schema::Json* PickValue(schema::Json* document, std::mt19937_64* random) {
  schema::Json* value = document;
  while ((*random)() % 4 != 0) {
    if (value->IsArray() && !value->array().empty()) {
      value = &value->array()[(*random)() % value->array().size()];
    } else if (value->IsObject() && !value->object().empty()) {
      value = &value->object()[(*random)() % value->object().size()].second;
    } else {
      break;
    }
  }
  return value;
}

inline void Damage(schema::Json* document, std::mt19937_64* random) {
  using schema::Json;
  const std::vector<Json> strange = StrangeValues();
  Json* value = PickValue(document, random);
  const uint64_t choice = (*random)() % 4;
  if (choice == 0 && value->IsArray() && !value->array().empty()) {
    const Json copy = value->array()[(*random)() % value->array().size()];
    value->array().push_back(copy);
  } else if (choice == 1 && value->IsObject() && !value->object().empty()) {
    value->object().erase(value->object().begin() +
                          static_cast<ptrdiff_t>((*random)() % value->object().size()));
  } else if (choice == 2 && value->IsArray() && !value->array().empty()) {
    value->array().resize((*random)() % value->array().size());
  } else {
    *value = strange[(*random)() % strange.size()];
  }
}

}  // namespace nimbus::tools::import
