#include "effective_config.h"

#include <algorithm>
#include <map>
#include <string>
#include <utility>

#include "nimbus/schema/json.h"
#include "nimbus/schema/status.h"

namespace nimbus::projections {
namespace {

using schema::Json;

// Whether `path` is `root` or below it.
bool IsWithin(std::string_view path, std::string_view root) {
  return path.starts_with(root) && (path.size() == root.size() || path[root.size()] == '.');
}

// What stands where a body was erased.
bool IsErased(const Json& value) {
  return value.IsObject() && value.object().size() == 1 && value.Find("$erased") != nullptr;
}

// Values by path, no path within another: a later value takes the place of those within
// its path and of those its path is within.
class Merge {
 public:
  // Puts `value` and what is below it, as `source` says it, on top of all so far.
  void Add(const std::string& path, const Json& value, const ConfigSource& source) {
    if (value.IsObject() && !value.object().empty()) {
      for (const auto& [name, member] : value.object()) {
        Add(path.empty() ? name : path + "." + name, member, source);
      }
      return;
    }
    EffectiveValue top{.key = path, .value = value.Dump(), .source = source, .shadows = {}};
    for (const std::string& taken : TakenBy(path)) Shadow(taken, &top);
    std::stable_sort(top.shadows.begin(), top.shadows.end(),
                     [](const ShadowedValue& a, const ShadowedValue& b) {
                       return a.source.layer > b.source.layer;
                     });
    values_.emplace(path, std::move(top));
  }

  std::vector<EffectiveValue> Within(std::string_view key) && {
    std::vector<EffectiveValue> values;
    for (auto& [path, value] : values_) {
      if (key.empty() || IsWithin(path, key)) values.push_back(std::move(value));
    }
    return values;
  }

 private:
  std::vector<std::string> TakenBy(const std::string& path) const {
    std::vector<std::string> taken;
    for (size_t dot = path.find('.'); dot != std::string::npos; dot = path.find('.', dot + 1)) {
      const std::string above = path.substr(0, dot);
      if (values_.contains(above)) taken.push_back(above);
    }
    for (auto at = values_.lower_bound(path); at != values_.end(); ++at) {
      if (!at->first.starts_with(path)) break;
      if (IsWithin(at->first, path)) taken.push_back(at->first);
    }
    return taken;
  }

  void Shadow(const std::string& path, EffectiveValue* top) {
    auto taken = values_.extract(path);
    EffectiveValue& value = taken.mapped();
    top->shadows.push_back({value.key, std::move(value.value), std::move(value.source)});
    for (ShadowedValue& below : value.shadows) top->shadows.push_back(std::move(below));
  }

  std::map<std::string, EffectiveValue> values_;
};

absl::StatusOr<Json> ParseColumn(std::string_view column, std::string_view name,
                                 const std::string& text) {
  absl::StatusOr<Json> json = Json::Parse(text);
  if (json.ok()) return json;
  return schema::Error(absl::StatusCode::kDataLoss, "the {} of '{}' is no JSON", column, name);
}

absl::Status AddPreference(const Preference& row, Merge* merge) {
  ConfigSource source{.layer = ConfigLayer::kDefault,
                      .name = row.key,
                      .row_id = row.id,
                      .version = row.version,
                      .updated_at_us = row.updated_at_us};
  NIMBUS_ASSIGN_OR_RETURN(const Json value, ParseColumn("value", row.key, row.value));
  bool is_default = false;
  if (row.default_value.has_value()) {
    NIMBUS_ASSIGN_OR_RETURN(const Json def,
                            ParseColumn("default value", row.key, *row.default_value));
    merge->Add(row.key, def, source);
    is_default = def == value;
  }
  if (is_default || IsErased(value)) return absl::OkStatus();
  source.layer = ConfigLayer::kPreference;
  merge->Add(row.key, value, source);
  return absl::OkStatus();
}

absl::Status AddObject(const std::string& config, const ConfigSource& source, Merge* merge) {
  NIMBUS_ASSIGN_OR_RETURN(const Json value, ParseColumn("config", source.name, config));
  // A config without members says nothing.
  if (value.IsObject() && !value.object().empty() && !IsErased(value)) {
    merge->Add("", value, source);
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::vector<EffectiveValue>> MergeConfig(const ConfigRows& rows,
                                                        std::string_view key) {
  Merge merge;
  for (const Preference& row : rows.preferences) {
    NIMBUS_RETURN_IF_ERROR(AddPreference(row, &merge));
  }
  if (rows.environment) {
    const EnvironmentConfig& row = *rows.environment;
    NIMBUS_RETURN_IF_ERROR(
        AddObject(row.config,
                  {.layer = ConfigLayer::kEnvironment,
                   .name = row.environment + "/" + row.cloud_provider,
                   .row_id = row.id.ToString(),
                   .version = std::nullopt,
                   .updated_at_us = row.updated_at_us ? row.updated_at_us : row.created_at_us},
                  &merge));
  }
  if (rows.profile) {
    const ConfigProfile& row = *rows.profile;
    NIMBUS_RETURN_IF_ERROR(
        AddObject(row.config,
                  {.layer = ConfigLayer::kProfile,
                   .name = row.name,
                   .row_id = row.id.ToString(),
                   .version = std::nullopt,
                   .updated_at_us = row.updated_at_us ? row.updated_at_us : row.created_at_us},
                  &merge));
  }
  return std::move(merge).Within(key);
}

}  // namespace nimbus::projections
