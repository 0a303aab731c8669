#include "redactor.h"

#include <string_view>
#include <unordered_map>
#include <utility>

#include "absl/status/statusor.h"
#include "nimbus/replay/pointer.h"
#include "nimbus/schema/status.h"

namespace nimbus::replay {

using schema::Json;

namespace {

// Of members of one name the last one counts, in the place of the first.
Json::Object WithoutDuplicates(Json::Object members) {
  Json::Object unique;
  unique.reserve(members.size());  // so that names stay where they are
  std::unordered_map<std::string_view, size_t> places;
  for (auto& [name, value] : members) {
    const auto found = places.find(name);
    if (found != places.end()) {
      unique[found->second].second = std::move(value);
      continue;
    }
    unique.emplace_back(std::move(name), std::move(value));
    places.emplace(unique.back().first, unique.size() - 1);
  }
  return unique;
}

}  // namespace

void Redactor::Text(std::string* text) const {
  if (function_ && !text->empty()) function_(text);
}

void Redactor::Value(Json* value) const {
  if (!function_) return;
  if (value->IsString() || value->IsNumber()) {
    const std::string& given = value->IsString() ? value->string() : value->number();
    std::string text = given;
    Text(&text);
    if (text != given) *value = Json::String(std::move(text));
  } else if (value->IsArray()) {
    for (Json& item : value->array()) Value(&item);
  } else if (value->IsObject()) {
    bool renamed = false;
    for (auto& [name, member] : value->object()) {
      Value(&member);
      std::string text = name;
      Text(&text);
      if (text == name) continue;
      renamed = true;
      name = std::move(text);
    }
    if (renamed) *value = Json::MakeObject(WithoutDuplicates(std::move(value->object())));
  }
}

void Redactor::Patch(Json* patch) const {
  if (!function_) return;
  if (patch->IsArray()) {
    for (Json& operation : patch->array()) {
      for (const std::string_view member : {"path", "from"}) {
        Json* path = operation.Find(member);
        if (path != nullptr) RedactPath(path);
      }
    }
  }
  Value(patch);
}

// Name by name, since they are written there in another way than in the document.
void Redactor::RedactPath(Json* path) const {
  if (!path->IsString()) return;
  absl::StatusOr<Pointer> names = ParsePointer(path->string());
  if (!names.ok()) return;  // nor is it a patch, then
  for (std::string& name : *names) Text(&name);
  *path = Json::String(PointerText(*names));
}

absl::Status Redactor::JsonText(std::string* text) const {
  if (!function_ || text->empty()) return absl::OkStatus();
  NIMBUS_ASSIGN_OR_RETURN(Json value, Json::Parse(*text));
  Value(&value);
  *text = value.Dump();
  return absl::OkStatus();
}

}  // namespace nimbus::replay
