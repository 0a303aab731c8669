#include "json_schema.h"

#include <cmath>
#include <exception>
#include <memory>
#include <new>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <valijson/adapters/nlohmann_json_adapter.hpp>
#include <valijson/constraint_builder.hpp>
#include <valijson/schema.hpp>
#include <valijson/schema_parser.hpp>
#include <valijson/validator.hpp>
#include <vector>

#include "json_schema_table.h"
#include "nimbus/schema/json.h"
#include "nimbus/schema/status.h"

namespace nimbus::projections {
namespace {

using schema::Error;
using schema::Json;
using valijson::adapters::Adapter;
using valijson::adapters::NlohmannJsonAdapter;
using Code = absl::StatusCode;
using Context = std::vector<std::string>;

// valijson ends texts at a NUL.
absl::Status CheckText(const std::string& text) {
  if (text.find('\0') == std::string::npos) return absl::OkStatus();
  return Error(Code::kInvalidArgument, "holds a NUL character");
}

absl::StatusOr<nlohmann::json> ToNlohmann(const Json& value);

absl::StatusOr<nlohmann::json> MembersToNlohmann(const Json& value) {
  nlohmann::json object = nlohmann::json::object();
  for (const auto& [name, member] : value.object()) {
    NIMBUS_RETURN_IF_ERROR(CheckText(name));
    NIMBUS_ASSIGN_OR_RETURN(object[name], ToNlohmann(member));
  }
  return object;
}

absl::StatusOr<nlohmann::json> ToNlohmann(const Json& value) {
  switch (value.type()) {
    case Json::Type::kNull:
      return nlohmann::json();
    case Json::Type::kBool:
      return nlohmann::json(value.boolean());
    case Json::Type::kNumber:
      if (const std::optional<int64_t> integer = value.AsInt()) return nlohmann::json(*integer);
      if (const std::optional<double> number = value.AsDouble()) return nlohmann::json(*number);
      return Error(Code::kInvalidArgument, "holds a number beyond a double's range");
    case Json::Type::kString:
      NIMBUS_RETURN_IF_ERROR(CheckText(value.string()));
      return nlohmann::json(value.string());
    case Json::Type::kArray: {
      nlohmann::json array = nlohmann::json::array();
      for (const Json& item : value.array()) {
        NIMBUS_ASSIGN_OR_RETURN(nlohmann::json one, ToNlohmann(item));
        array.push_back(std::move(one));
      }
      return array;
    }
    case Json::Type::kObject:
      return MembersToNlohmann(value);
  }
  return Error(Code::kInternal, "no type of JSON");
}

// Equal values have equal texts.
void AppendCanonical(const Adapter& value, std::string* text) {
  if (value.isArray()) {
    *text += '[';
    value.applyToArray([&](const Adapter& item) {
      AppendCanonical(item, text);
      *text += ',';
      return true;
    });
    *text += ']';
  } else if (value.isObject()) {  // members in the order of their names
    *text += '{';
    value.applyToObject([&](const std::string& name, const Adapter& member) {
      schema::AppendJsonString(name, text);
      AppendCanonical(member, text);
      return true;
    });
    *text += '}';
  } else if (value.isString()) {
    schema::AppendJsonString(value.getString(), text);
  } else if (value.isNumber()) {
    *text += value.isInteger() ? fmt::format("{}", value.getInteger())
                               : fmt::format("{}", value.getDouble());
  } else {
    *text += value.isNull() ? "null" : value.getBool() ? "true" : "false";
  }
}

// A constraint of ours, checked in place of valijson's own.
template <typename Check>
class OwnConstraint : public valijson::constraints::PolyConstraint {
 public:
  explicit OwnConstraint(Check check) : check_(std::move(check)) {}

  bool validate(const Adapter& target, const Context& context,
                valijson::ValidationResults* results) const override {
    std::optional<std::string> wrong = check_(target);
    if (wrong && results != nullptr) results->pushError(context, *wrong);
    return !wrong;
  }

 private:
  valijson::constraints::Constraint* cloneInto(void* memory) const override {
    return new (memory) OwnConstraint(*this);
  }
  size_t sizeOf() const override { return sizeof(*this); }

  Check check_;
};

// Say what is wrong, or nothing.

struct PatternCheck {
  explicit PatternCheck(const Adapter& keyword)
      : text(keyword.asString()), pattern(*CompilePattern(text, text.size())) {}
  std::optional<std::string> operator()(const Adapter& target) const {
    if (!target.isString() || Matches(pattern, target.asString())) return std::nullopt;
    return fmt::format("does not match the pattern '{}'", text);
  }
  std::string text;
  Pattern pattern;  // compiled before, when the table was built
};

struct MultipleOfCheck {
  explicit MultipleOfCheck(const Adapter& keyword)
      : divisor(keyword.asDouble()), integer(keyword.isInteger() ? keyword.asInteger() : 0) {}
  std::optional<std::string> operator()(const Adapter& target) const {
    if (!target.isNumber()) return std::nullopt;
    if (integer > 0 && target.isInteger()) {
      if (target.asInteger() % integer == 0) return std::nullopt;
    } else {
      constexpr double kTolerance = 1e-9;  // 0.3 is a multiple of 0.1
      const double quotient = target.asDouble() / divisor;
      const double rest = std::fabs(quotient - std::round(quotient));
      if (rest <= kTolerance * std::fmax(1, std::fabs(quotient))) return std::nullopt;
    }
    return fmt::format("is no multiple of {}", divisor);
  }
  double divisor;
  int64_t integer;  // 0: it is none
};

struct UniqueItemsCheck {
  explicit UniqueItemsCheck(const Adapter&) {}
  std::optional<std::string> operator()(const Adapter& target) const {
    if (!target.isArray()) return std::nullopt;
    std::set<std::string> seen;
    const bool unique = target.applyToArray([&](const Adapter& item) {
      std::string text;
      AppendCanonical(item, &text);
      return seen.insert(std::move(text)).second;
    });
    if (unique) return std::nullopt;
    return fmt::format("item {} is there twice", seen.size());
  }
};

template <typename Check>
class Builder : public valijson::ConstraintBuilder {
 public:
  valijson::constraints::Constraint* make(const Adapter& keyword) const override {
    return new OwnConstraint<Check>(Check(keyword));
  }
};

void Populate(const nlohmann::json& rewritten, valijson::Schema* schema) {
  valijson::SchemaParser parser(valijson::SchemaParser::kDraft7);
  parser.addConstraintBuilder(kPatternKeyword, new Builder<PatternCheck>);
  parser.addConstraintBuilder(kMultipleOfKeyword, new Builder<MultipleOfCheck>);
  parser.addConstraintBuilder(kUniqueItemsKeyword, new Builder<UniqueItemsCheck>);
  parser.populateSchema(NlohmannJsonAdapter(rewritten), *schema);
}

// The context valijson gives, "<root>", "[members]", "[0]", as a JSON Pointer.
std::string PointerOf(const Context& context) {
  std::string pointer;
  for (size_t i = 1; i < context.size(); ++i) {
    pointer += '/';
    for (const char c : context[i].substr(1, context[i].size() - 2)) {
      if (c == '~' || c == '/') {
        pointer += c == '~' ? "~0" : "~1";
      } else {
        pointer += c;
      }
    }
  }
  return pointer.empty() ? "at the top" : pointer;
}

// What went wrong furthest inside says most.
absl::Status Describe(const valijson::ValidationResults& results) {
  const valijson::ValidationResults::Error* telling = nullptr;
  for (const auto& error : results) {
    if (telling == nullptr || error.context.size() > telling->context.size()) telling = &error;
  }
  if (telling == nullptr) return Error(Code::kInvalidArgument, "at the top: not allowed");
  return Error(Code::kInvalidArgument, "{}: {}", PointerOf(telling->context), telling->description);
}

absl::Status Validate(const nlohmann::json& rewritten, const nlohmann::json& document) {
  valijson::Schema schema;
  Populate(rewritten, &schema);
  valijson::Validator validator;
  const NlohmannJsonAdapter target(document);
  if (validator.validate(schema, target, nullptr)) return absl::OkStatus();
  valijson::ValidationResults results;
  if (validator.validate(schema, target, &results)) return absl::OkStatus();
  return Describe(results);
}

absl::StatusOr<SchemaTable> ReadSchema(std::string_view text, const SchemaLimits& limits) {
  NIMBUS_ASSIGN_OR_RETURN(
      const Json parsed,
      Json::Parse(text, {.bytes_max = limits.schema_bytes_max, .depth_max = limits.depth_max}));
  return SchemaTable::Build(parsed, limits);
}

}  // namespace

absl::Status CheckSchema(std::string_view schema, const SchemaLimits& limits) {
  NIMBUS_ASSIGN_OR_RETURN(const SchemaTable table, ReadSchema(schema, limits));
  NIMBUS_ASSIGN_OR_RETURN(const Json rewritten, table.Rewrite(nullptr));
  NIMBUS_ASSIGN_OR_RETURN(const nlohmann::json plain, ToNlohmann(rewritten));
  try {
    valijson::Schema populated;
    Populate(plain, &populated);
  } catch (const std::exception& error) {
    return Error(Code::kInvalidArgument, "no valid JSON Schema: {}", error.what());
  }
  return absl::OkStatus();
}

absl::Status ValidateAgainstSchema(std::string_view schema, std::string_view document,
                                   const SchemaLimits& limits) {
  const absl::StatusOr<SchemaTable> table = ReadSchema(schema, limits);
  if (!table.ok()) return schema::Annotate(table.status(), "schema");
  NIMBUS_ASSIGN_OR_RETURN(
      const Json value,
      Json::Parse(document, {.bytes_max = limits.value_bytes_max, .depth_max = limits.depth_max}));
  NIMBUS_RETURN_IF_ERROR(table->CheckCost(value));
  NIMBUS_ASSIGN_OR_RETURN(const Json rewritten, table->Rewrite(&value));
  NIMBUS_ASSIGN_OR_RETURN(const nlohmann::json plain_schema, ToNlohmann(rewritten));
  NIMBUS_ASSIGN_OR_RETURN(const nlohmann::json plain, ToNlohmann(value));
  try {
    return Validate(plain_schema, plain);
  } catch (const std::exception& error) {
    return Error(Code::kInvalidArgument, "no valid JSON Schema: {}", error.what());
  }
}

}  // namespace nimbus::projections
