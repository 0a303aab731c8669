#include "redactor.h"

#include <utility>

#include "absl/status/statusor.h"
#include "nimbus/schema/status.h"

namespace nimbus::replay {

using schema::Json;

void Redactor::Text(std::string* text) const {
  if (function_ && !text->empty()) function_(text);
}

void Redactor::Value(Json* value) const {
  if (!function_) return;
  if (value->IsString()) {
    std::string text = value->string();
    Text(&text);
    if (text != value->string()) *value = Json::String(std::move(text));
  } else if (value->IsArray()) {
    for (Json& item : value->array()) Value(&item);
  } else if (value->IsObject()) {
    Json redacted = Json::MakeObject();
    bool renamed = false;
    for (auto& [name, member] : value->object()) {
      Value(&member);
      std::string text = name;
      Text(&text);
      renamed = renamed || text != name;
      if (renamed) break;
    }
    if (!renamed) return;
    for (auto& [name, member] : value->object()) {
      Value(&member);
      Text(&name);
      redacted.Set(name, std::move(member));
    }
    *value = std::move(redacted);
  }
}

absl::Status Redactor::JsonText(std::string* text) const {
  if (!function_ || text->empty()) return absl::OkStatus();
  NIMBUS_ASSIGN_OR_RETURN(Json value, Json::Parse(*text));
  Value(&value);
  *text = value.Dump();
  return absl::OkStatus();
}

}  // namespace nimbus::replay
