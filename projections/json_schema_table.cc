#include "json_schema_table.h"

#include <re2/re2.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <iterator>
#include <optional>

#include "nimbus/schema/status.h"

namespace nimbus::projections {

using schema::Error;
using schema::Json;
using Code = absl::StatusCode;

namespace {

constexpr char kSubschemasMember[] = "s";

absl::Status Invalid(std::string_view path, std::string_view why) {
  return Error(Code::kInvalidArgument, "{}: {}", path.empty() ? "at the top" : path, why);
}

bool IsOneOf(std::string_view name, std::initializer_list<std::string_view> names) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

std::string EscapePointer(std::string_view token) {
  std::string escaped;
  for (const char c : token) {
    if (c == '~') {
      escaped += "~0";
    } else if (c == '/') {
      escaped += "~1";
    } else {
      escaped += c;
    }
  }
  return escaped;
}

std::optional<std::string> UnescapePercents(std::string_view text) {
  std::string plain;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      plain += text[i];
      continue;
    }
    uint8_t byte = 0;
    if (i + 2 >= text.size()) return std::nullopt;
    const char* end = text.data() + i + 3;
    const auto [rest, error] = std::from_chars(text.data() + i + 1, end, byte, 16);
    if (error != std::errc() || rest != end) return std::nullopt;
    plain += static_cast<char>(byte);
    i += 2;
  }
  return plain;
}

std::optional<std::string> UnescapePointer(std::string_view token) {
  std::string plain;
  for (size_t i = 0; i < token.size(); ++i) {
    if (token[i] != '~') {
      plain += token[i];
      continue;
    }
    if (++i == token.size() || (token[i] != '0' && token[i] != '1')) return std::nullopt;
    plain += token[i] == '0' ? '~' : '/';
  }
  return plain;
}

const Json* Step(const Json& value, const std::string& token) {
  if (!value.IsArray()) return value.Find(token);
  size_t index = 0;
  const char* end = token.data() + token.size();
  const auto [rest, error] = std::from_chars(token.data(), end, index);
  const bool found = error == std::errc() && rest == end && index < value.array().size();
  return found ? &value.array()[index] : nullptr;
}

// What a JSON Pointer leads to; nullptr when nothing.
const Json* Resolve(const Json& root, std::string_view pointer) {
  const Json* value = &root;
  while (!pointer.empty() && value != nullptr) {
    if (pointer[0] != '/') return nullptr;
    pointer.remove_prefix(1);
    const size_t end = std::min(pointer.find('/'), pointer.size());
    const std::optional<std::string> token = UnescapePointer(pointer.substr(0, end));
    if (!token) return nullptr;
    value = Step(*value, *token);
    pointer.remove_prefix(end);
  }
  return value;
}

Json Reference(std::string_view pointer) {
  return Json::MakeObject({{"$ref", Json::String("#" + std::string(pointer))}});
}

Json UseOf(size_t subschema) {
  return Reference(fmt::format("/{}/{}", kSubschemasMember, subschema));
}

// true and false as objects, which valijson takes everywhere.
Json SpelledOut(bool schema) {
  if (schema) return Json::MakeObject();
  return Json::MakeObject({{"not", Json::MakeObject()}});
}

void CollectNames(const Json& value, std::set<std::string>* names) {
  if (value.IsArray()) {
    for (const Json& item : value.array()) CollectNames(item, names);
  } else if (value.IsObject()) {
    for (const auto& [name, member] : value.object()) {
      names->insert(name);
      CollectNames(member, names);
    }
  }
}

}  // namespace

absl::StatusOr<Pattern> CompilePattern(const std::string& text, size_t bytes_max) {
  if (text.size() > bytes_max) {
    return Error(Code::kInvalidArgument, "a regular expression of {} bytes, {} are allowed",
                 text.size(), bytes_max);
  }
  re2::RE2::Options options;
  options.set_log_errors(false);
  options.set_max_mem(1 << 20);
  auto pattern = std::make_shared<const re2::RE2>(text, options);
  if (pattern->ok()) return pattern;
  return Error(Code::kInvalidArgument, "'{}' is no regular expression: {}", text, pattern->error());
}

bool Matches(const Pattern& pattern, std::string_view text) {
  return re2::RE2::PartialMatch(re2::StringPiece(text.data(), text.size()), *pattern);
}

// Walks the schema, each subschema once however many refer to it.
class SchemaTableBuilder {
 public:
  using At = SchemaTable::At;

  SchemaTableBuilder(const Json& root, SchemaTable* table) : root_(root), table_(table) {}

  // The place in the table of the subschema at `path`, entered if it is new.
  absl::StatusOr<size_t> Enter(const Json& schema, const std::string& path) {
    std::string at = path;
    NIMBUS_ASSIGN_OR_RETURN(const Json* target, FollowReferences(&schema, &at));
    if (const auto known = places_.find(target); known != places_.end()) return known->second;
    const size_t place = table_->subschemas_.size();
    if (place == table_->limits_.subschemas_max) {
      return Invalid(at, fmt::format("more than {} subschemas", place));
    }
    places_[target] = place;
    table_->subschemas_.emplace_back();
    SchemaTable::Subschema entry{.keywords = Json::MakeObject()};
    if (target->IsBool()) {
      entry.keywords = SpelledOut(target->boolean());
    } else if (target->IsObject()) {
      for (const auto& [keyword, value] : target->object()) {
        NIMBUS_RETURN_IF_ERROR(
            ReadKeyword(keyword, value, at + "/" + EscapePointer(keyword), *target, &entry));
      }
    } else {
      return Invalid(at, "a schema is an object, true or false");
    }
    table_->subschemas_[place] = std::move(entry);
    return place;
  }

 private:
  using Entry = SchemaTable::Subschema;

  absl::StatusOr<const Json*> FollowReferences(const Json* schema, std::string* path) const {
    std::set<const Json*> passed;
    for (const Json* reference; (reference = schema->Find("$ref")) != nullptr;) {
      if (!passed.insert(schema).second) return Invalid(*path, "$ref leads in a circle");
      if (!reference->IsString()) return Invalid(*path, "$ref is a text");
      const std::string& text = reference->string();
      const std::optional<std::string> pointer =
          text.starts_with('#') ? UnescapePercents(text.substr(1)) : std::nullopt;
      if (!pointer || (!pointer->empty() && (*pointer)[0] != '/')) {
        return Invalid(*path, fmt::format("$ref '{}' is no place in this schema (#/…)", text));
      }
      schema = Resolve(root_, *pointer);
      if (schema == nullptr) return Invalid(*path, fmt::format("$ref '{}' leads nowhere", text));
      *path = *pointer;
    }
    return schema;
  }

  // Notes that `entry` uses `schema`; returns what to write in its place.
  absl::StatusOr<Json> Write(const Json& schema, const std::string& path, SchemaTable::Use use,
                             Entry* entry) {
    if (schema.IsBool() && use.at != At::kNames && use.at != At::kMatchingMembers) {
      return SpelledOut(schema.boolean());
    }
    NIMBUS_ASSIGN_OR_RETURN(use.to, Enter(schema, path));
    const size_t to = use.to;
    entry->uses.push_back(std::move(use));
    return UseOf(to);
  }

  absl::Status ReadOne(std::string_view keyword, const Json& value, const std::string& path,
                       SchemaTable::Use use, Entry* entry) {
    NIMBUS_ASSIGN_OR_RETURN(Json written, Write(value, path, std::move(use), entry));
    entry->keywords.Set(keyword, std::move(written));
    return absl::OkStatus();
  }

  absl::Status ReadList(std::string_view keyword, const Json& value, const std::string& path, At at,
                        Entry* entry) {
    if (!value.IsArray() || value.array().empty()) return Invalid(path, "a list of schemas");
    Json::Array written;
    for (size_t i = 0; i < value.array().size(); ++i) {
      NIMBUS_ASSIGN_OR_RETURN(Json one, Write(value.array()[i], fmt::format("{}/{}", path, i),
                                              {.at = at, .index = i}, entry));
      written.push_back(std::move(one));
    }
    entry->keywords.Set(keyword, Json::MakeArray(std::move(written)));
    return absl::OkStatus();
  }

  absl::Status ReadProperties(const Json& value, const std::string& path, Entry* entry) {
    if (!value.IsObject()) return Invalid(path, "an object of schemas");
    Json written = Json::MakeObject();
    for (const auto& [name, schema] : value.object()) {
      NIMBUS_ASSIGN_OR_RETURN(Json one, Write(schema, path + "/" + EscapePointer(name),
                                              {.at = At::kMember, .name = name}, entry));
      written.Set(name, std::move(one));
    }
    entry->keywords.Set("properties", std::move(written));
    return absl::OkStatus();
  }

  absl::Status ReadPatternProperties(const Json& value, const std::string& path, Entry* entry) {
    if (!value.IsObject()) return Invalid(path, "an object of schemas");
    for (const auto& [text, schema] : value.object()) {
      const std::string at = path + "/" + EscapePointer(text);
      absl::StatusOr<Pattern> pattern = CompilePattern(text, table_->limits_.pattern_bytes_max);
      if (!pattern.ok()) return schema::Annotate(pattern.status(), at);
      NIMBUS_RETURN_IF_ERROR(
          Write(schema, at, {.at = At::kMatchingMembers, .pattern = *pattern}, entry).status());
    }
    // So that the names that match are no longer other ones.
    if (entry->keywords.Find("properties") == nullptr) {
      entry->keywords.Set("properties", Json::MakeObject());
    }
    return absl::OkStatus();
  }

  absl::Status ReadDependencies(const Json& value, const std::string& path, Entry* entry) {
    if (!value.IsObject()) return Invalid(path, "an object");
    Json written = Json::MakeObject();
    for (const auto& [name, dependency] : value.object()) {
      if (dependency.IsArray()) {
        written.Set(name, dependency);
        continue;
      }
      NIMBUS_ASSIGN_OR_RETURN(
          Json one, Write(dependency, path + "/" + EscapePointer(name), {.at = At::kHere}, entry));
      written.Set(name, std::move(one));
    }
    entry->keywords.Set("dependencies", std::move(written));
    return absl::OkStatus();
  }

  absl::Status ReadMembers(const std::string& keyword, const Json& value, const std::string& path,
                           Entry* entry) {
    if (keyword == "properties") return ReadProperties(value, path, entry);
    if (keyword == "patternProperties") return ReadPatternProperties(value, path, entry);
    if (keyword == "dependencies") return ReadDependencies(value, path, entry);
    if (keyword == "propertyNames") return ReadOne(keyword, value, path, {.at = At::kNames}, entry);
    if (value.IsBool()) {  // valijson names what is too much only then
      entry->keywords.Set(keyword, value);
      return absl::OkStatus();
    }
    return ReadOne(keyword, value, path, {.at = At::kOtherMembers}, entry);
  }

  absl::Status ReadItems(const std::string& keyword, const Json& value, const std::string& path,
                         const Json& schema, Entry* entry) {
    if (keyword == "items" && value.IsArray()) {
      if (value.array().empty()) return absl::OkStatus();
      return ReadList(keyword, value, path, At::kItem, entry);
    }
    size_t first = 0;
    if (keyword == "additionalItems") {
      const Json* items = schema.Find("items");
      if (items == nullptr || !items->IsArray() || items->array().empty()) return absl::OkStatus();
      first = items->array().size();
      if (value.IsBool()) {
        entry->keywords.Set(keyword, value);
        return absl::OkStatus();
      }
    }
    return ReadOne(keyword, value, path, {.at = At::kOtherItems, .index = first}, entry);
  }

  absl::Status ReadPattern(const Json& value, const std::string& path, Entry* entry) {
    if (!value.IsString()) return Invalid(path, "a regular expression");
    const auto pattern = CompilePattern(value.string(), table_->limits_.pattern_bytes_max);
    if (!pattern.ok()) return schema::Annotate(pattern.status(), path);
    entry->matches_text = true;
    entry->keywords.Set(kPatternKeyword, value);
    return absl::OkStatus();
  }

  absl::Status ReadLimit(const std::string& keyword, const Json& value, const std::string& path,
                         Entry* entry) {
    if (keyword == "multipleOf") {
      if (value.AsDouble().value_or(0) <= 0) return Invalid(path, "a number above 0");
      entry->keywords.Set(kMultipleOfKeyword, value);
    } else if (keyword == "uniqueItems") {
      if (!value.IsBool()) return Invalid(path, "true or false");
      if (value.boolean()) entry->keywords.Set(kUniqueItemsKeyword, value);
    } else {  // a list, of which each member costs
      if (!value.IsArray()) return Invalid(path, "a list");
      entry->weight += value.array().size();
      entry->keywords.Set(keyword, value);
    }
    return absl::OkStatus();
  }

  absl::Status ReadType(const Json& value, const std::string& path, Entry* entry) {
    const Json::Array one = {value};
    const Json::Array& names = value.IsArray() ? value.array() : one;
    for (const Json& name : names) {
      if (!name.IsString() || !IsOneOf(name.string(), {"array", "boolean", "integer", "null",
                                                       "number", "object", "string"})) {
        return Invalid(path, fmt::format("{} is no type of JSON", name.Dump()));
      }
    }
    entry->keywords.Set("type", value);
    return absl::OkStatus();
  }

  absl::Status ReadKeyword(const std::string& keyword, const Json& value, const std::string& path,
                           const Json& schema, Entry* entry) {
    if (IsOneOf(keyword, {"allOf", "anyOf", "oneOf"})) {
      return ReadList(keyword, value, path, At::kHere, entry);
    }
    if (IsOneOf(keyword, {"not", "if", "then", "else"})) {
      return ReadOne(keyword, value, path, {.at = At::kHere}, entry);
    }
    if (IsOneOf(keyword, {"properties", "patternProperties", "additionalProperties",
                          "propertyNames", "dependencies"})) {
      return ReadMembers(keyword, value, path, entry);
    }
    if (IsOneOf(keyword, {"items", "additionalItems", "contains"})) {
      return ReadItems(keyword, value, path, schema, entry);
    }
    if (keyword == "pattern") return ReadPattern(value, path, entry);
    if (keyword == "type") return ReadType(value, path, entry);
    if (IsOneOf(keyword, {"multipleOf", "uniqueItems", "enum", "required"})) {
      return ReadLimit(keyword, value, path, entry);
    }
    if (IsOneOf(keyword,
                {"const", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "minLength",
                 "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"})) {
      entry->keywords.Set(keyword, value);
    }
    if (IsOneOf(keyword, {"prefixItems", "unevaluatedItems", "unevaluatedProperties",
                          "dependentRequired", "dependentSchemas", "minContains", "maxContains",
                          "$dynamicRef", "$recursiveRef"})) {
      return Invalid(path, "of a later draft than 7, which is not understood");
    }
    return absl::OkStatus();  // documentation
  }

  const Json& root_;
  SchemaTable* const table_;
  std::map<const Json*, size_t> places_;
};

struct SchemaTable::Work {
  size_t steps = 0;
  bool too_deep = false;
};

absl::StatusOr<SchemaTable> SchemaTable::Build(const Json& schema, const SchemaLimits& limits) {
  SchemaTable table(limits);
  SchemaTableBuilder builder(schema, &table);
  NIMBUS_RETURN_IF_ERROR(builder.Enter(schema, "").status());
  NIMBUS_RETURN_IF_ERROR(table.CheckCircles());
  return table;
}

// A subschema that applies to the very value it is applied to would never be done.
absl::Status SchemaTable::CheckCircles() const {
  std::vector<uint8_t> state(subschemas_.size());
  for (size_t i = 0; i < subschemas_.size(); ++i) {
    if (Reaches(i, &state)) {
      return Invalid("", "a part of it refers to itself for the same value, without end");
    }
  }
  return absl::OkStatus();
}

bool SchemaTable::Reaches(size_t from, std::vector<uint8_t>* state) const {
  constexpr uint8_t kOpen = 1, kDone = 2;
  if ((*state)[from] != 0) return (*state)[from] == kOpen;
  (*state)[from] = kOpen;
  for (const Use& use : subschemas_[from].uses) {
    if (use.at == At::kHere && Reaches(use.to, state)) return true;
  }
  (*state)[from] = kDone;
  return false;
}

absl::Status SchemaTable::CheckCost(const Json& document) const {
  Work work;
  if (Apply(0, document, 0, &work)) return absl::OkStatus();
  if (work.too_deep) {
    return Error(Code::kInvalidArgument, "more than {} subschemas apply within each other",
                 limits_.nested_max);
  }
  return Error(Code::kInvalidArgument, "checking it takes more than {} steps", limits_.steps_max);
}

// Goes wherever validation might go, and no further than the limits: false beyond them.
bool SchemaTable::Apply(size_t place, const Json& value, size_t depth, Work* work) const {
  constexpr size_t kBytesPerStep = 64;
  const Subschema& subschema = subschemas_[place];
  work->steps += subschema.weight;
  if (subschema.matches_text && value.IsString()) {
    work->steps += value.string().size() / kBytesPerStep;
  }
  work->too_deep = work->too_deep || depth > limits_.nested_max;
  if (work->too_deep || work->steps > limits_.steps_max) return false;
  for (const Use& use : subschema.uses) {
    if (use.at == At::kHere) {
      if (!Apply(use.to, value, depth + 1, work)) return false;
    } else if (value.IsObject()) {
      if (!ApplyToMembers(use, value, depth + 1, work)) return false;
    } else if (value.IsArray() && (use.at == At::kItem || use.at == At::kOtherItems)) {
      const Json::Array& items = value.array();
      const size_t end = use.at == At::kItem ? use.index + 1 : items.size();
      for (size_t i = use.index; i < std::min(end, items.size()); ++i) {
        if (!Apply(use.to, items[i], depth + 1, work)) return false;
      }
    }
  }
  return true;
}

bool SchemaTable::ApplyToMembers(const Use& use, const Json& value, size_t depth,
                                 Work* work) const {
  for (const auto& [name, member] : value.object()) {
    ++work->steps;
    bool applies = use.at == At::kOtherMembers;
    if (use.at == At::kMember) applies = name == use.name;
    if (use.at == At::kMatchingMembers) applies = Matches(use.pattern, name);
    if (use.at == At::kNames && !Apply(use.to, Json::String(name), depth, work)) return false;
    if (applies && !Apply(use.to, member, depth, work)) return false;
  }
  return work->steps <= limits_.steps_max;
}

absl::StatusOr<Json> SchemaTable::Rewrite(const Json* document) const {
  std::set<std::string> names;
  if (document != nullptr) CollectNames(*document, &names);
  size_t compared = 0;
  Json::Array all;
  for (const Subschema& subschema : subschemas_) {
    Json keywords = subschema.keywords;
    NIMBUS_RETURN_IF_ERROR(SpellOutPatterns(names, subschema, &compared, &keywords));
    all.push_back(std::move(keywords));
  }
  Json root = UseOf(0);
  root.Set(kSubschemasMember, Json::MakeArray(std::move(all)));
  return root;
}

// A name that matches has to do with all whose pattern it matches, and with its own.
absl::Status SchemaTable::SpellOutPatterns(const std::set<std::string>& names,
                                           const Subschema& subschema, size_t* compared,
                                           Json* keywords) const {
  std::vector<const Use*> patterns;
  for (const Use& use : subschema.uses) {
    if (use.at == At::kMatchingMembers) patterns.push_back(&use);
  }
  if (patterns.empty()) return absl::OkStatus();
  *compared += names.size() * patterns.size();
  if (*compared > limits_.pattern_names_max) {
    return Error(Code::kInvalidArgument, "more than {} names to compare with patternProperties",
                 limits_.pattern_names_max);
  }
  Json& properties = *keywords->Find("properties");
  Json::Object more;
  for (const std::string& name : names) {
    Json::Array schemas;
    for (const Use* use : patterns) {
      if (Matches(use->pattern, name)) schemas.push_back(UseOf(use->to));
    }
    if (schemas.empty()) continue;
    Json* const own = properties.Find(name);
    if (own != nullptr) schemas.push_back(std::move(*own));
    Json all = Json::MakeObject({{"allOf", Json::MakeArray(std::move(schemas))}});
    if (own != nullptr) {
      *own = std::move(all);
    } else {
      more.emplace_back(name, std::move(all));
    }
  }
  Json::Object& members = properties.object();
  std::move(more.begin(), more.end(), std::back_inserter(members));
  return absl::OkStatus();
}

}  // namespace nimbus::projections
