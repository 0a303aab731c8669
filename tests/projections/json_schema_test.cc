// Schemas and values of any origin: what is valid, what is said of what is not, and that
// nothing hostile takes long or ends the process.
#include "json_schema.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include "nimbus/schema/json.h"
#include "testing/random.h"
#include "testing/status_matchers.h"

namespace nimbus::projections {
namespace {

using Code = absl::StatusCode;
using test::IsOk;
using test::StatusIs;
using testing::AllOf;
using testing::HasSubstr;

constexpr char kServer[] = R"({
  "type": "object",
  "required": ["host"],
  "properties": {
    "host": {"type": "string", "pattern": "^[a-z]+(\\.[a-z]+)*$", "maxLength": 20},
    "port": {"$ref": "#/definitions/port"},
    "tags": {"type": "array", "items": {"type": "string", "minLength": 1}, "uniqueItems": true},
    "mode": {"enum": ["fast", "safe", null]},
    "step": {"type": "number", "multipleOf": 0.1},
    "peers": {"type": "array", "items": {"$ref": "#"}}
  },
  "patternProperties": {"^x-": {"type": "boolean"}},
  "additionalProperties": false,
  "definitions": {"port": {"type": "integer", "minimum": 1, "maximum": 65535}}
})";

void Refuses(std::string_view schema, std::string_view value, std::string_view saying) {
  EXPECT_THAT(ValidateAgainstSchema(schema, value),
              StatusIs(Code::kInvalidArgument, HasSubstr(std::string(saying))))
      << schema << "\n"
      << value;
}

void Accepts(std::string_view schema, std::string_view value) {
  EXPECT_THAT(ValidateAgainstSchema(schema, value), IsOk()) << schema << "\n" << value;
}

void RefusesSchema(std::string_view schema, std::string_view saying) {
  EXPECT_THAT(CheckSchema(schema), StatusIs(Code::kInvalidArgument, HasSubstr(std::string(saying))))
      << schema.substr(0, 200);
  EXPECT_THAT(ValidateAgainstSchema(schema, "{}"), StatusIs(Code::kInvalidArgument));
}

TEST(JsonSchemaTest, AcceptsWhatTheSchemaAllows) {
  ASSERT_THAT(CheckSchema(kServer), IsOk());
  Accepts(kServer, R"({"host":"a.b"})");
  Accepts(kServer, R"({"host":"a","port":65535,"tags":["x","y"],"mode":null,"step":0.3,
                       "x-debug":true,"peers":[{"host":"b","peers":[{"host":"c"}]}]})");
  Accepts("true", "[1]");
  Accepts("{}", "null");
}

TEST(JsonSchemaTest, SaysWhereAValueIsWrong) {
  Refuses(kServer, "{}", "at the top: Missing required property 'host'");
  Refuses(kServer, R"({"host":1})", "/host: Value type not permitted");
  Refuses(kServer, R"({"host":"A"})", "/host: does not match the pattern '^[a-z]+");
  Refuses(kServer, R"({"host":"abcdefghijklmnopqrstuvwxyz"})", "/host: String should be no more");
  Refuses(kServer, R"({"host":"a","port":0})", "/port: Expected number greater than or equal");
  Refuses(kServer, R"({"host":"a","port":1.5})", "/port: Value type not permitted");
  Refuses(kServer, R"({"host":"a","tags":["x",""]})", "/tags/1: String should be no fewer");
  Refuses(kServer, R"({"host":"a","tags":["x","y","x"]})", "/tags: item 2 is there twice");
  Refuses(kServer, R"({"host":"a","mode":"odd"})", "/mode: Failed to match against any enum");
  Refuses(kServer, R"({"host":"a","step":0.25})", "/step: is no multiple of 0.1");
  Refuses(kServer, R"({"host":"a","x-a":1})", "/x-a: Value type");
  Refuses(kServer, R"({"host":"a","nonsense":1})",
          "at the top: Object contains a property that "
          "could not be validated");
  Refuses(kServer, R"({"host":"a","peers":[{"host":"b","peers":[{}]}]})",
          "/peers/0/peers/0: Missing required property 'host'");
  Refuses(R"({"properties":{"a/b":{"properties":{"c~d":false}}}})", R"({"a/b":{"c~d":1}})",
          "/a~1b/c~0d: ");
  Refuses("false", "1", "at the top: ");
}

TEST(JsonSchemaTest, KnowsTheKeywordsOfDraft7) {
  const char* conditional = R"({"if":{"properties":{"kind":{"const":"tcp"}},"required":["kind"]},
      "then":{"required":["port"]},"else":{"required":["path"]}})";
  Accepts(conditional, R"({"kind":"tcp","port":1})");
  Accepts(conditional, R"({"kind":"unix","path":"/x"})");
  Refuses(conditional, R"({"kind":"tcp","path":"/x"})", "'port'");
  const char* tuple = R"({"items":[{"type":"string"},true],"additionalItems":{"type":"null"}})";
  Accepts(tuple, R"(["a",1,null,null])");
  Accepts(tuple, R"(["a"])");
  Refuses(tuple, R"(["a",1,2])", "/2: Value type");
  Accepts(R"({"items":[{"type":"string"}]})", R"(["a",1,2])");
  Refuses(R"({"items":[true],"additionalItems":false})", "[1,2]", "more items than allowed");
  Accepts(R"({"contains":{"const":1}})", "[0,1]");
  Refuses(R"({"contains":{"const":1}})", "[0]", "at the top");
  Refuses(R"({"propertyNames":{"pattern":"^[a-z]+$"}})", R"({"A":1})", "at the top");
  Accepts(R"({"definitions":{"d":{"propertyNames":{"maxLength":1}}},"$ref":"#/definitions/d"})",
          R"({"A":1})");
  Refuses(R"({"properties":{"x":{"$ref":"#/definitions/d"}},
              "definitions":{"d":{"propertyNames":{"maxLength":1}}}})",
          R"({"x":{"AB":1}})", "property name 'x'");
  Refuses(R"({"dependencies":{"a":["b"],"c":{"required":["d"]}}})", R"({"a":1})", "'b'");
  Refuses(R"({"dependencies":{"a":["b"],"c":{"required":["d"]}}})", R"({"c":1})", "'d'");
  Accepts(R"({"oneOf":[{"type":"string"},{"type":"null"}]})", "null");
  Refuses(R"({"oneOf":[{"minimum":1},{"minimum":2}]})", "3", "exactly one");
  Refuses(R"({"not":{"type":"string"}})", R"("a")", "'not'");
  Refuses(R"({"exclusiveMinimum":0})", "0", "greater than 0");
  Accepts(R"({"type":"integer"})", "1.0");
  Accepts(R"({"format":"date-time"})", "{}");
  Accepts(R"({"multipleOf":3})", "9");
  Refuses(R"({"multipleOf":1})", "2.5", "no multiple");
  Accepts(R"({"title":"t","default":{"$ref":7},"examples":[1],"unheard":true})", "1");
}

TEST(JsonSchemaTest, PatternPropertiesGoWithThoseOfTheName) {
  const char* schema = R"({"properties":{"ab":{"minimum":5}},
      "patternProperties":{"^a":{"type":"integer"},"b$":{"maximum":9}},
      "additionalProperties":{"type":"string"}})";
  Accepts(schema, R"({"ab":7,"ac":1,"xb":2.5,"other":"text"})");
  Refuses(schema, R"({"ab":4})", "/ab: Expected number greater");
  Refuses(schema, R"({"ab":10})", "/ab: Expected number less");
  Refuses(schema, R"({"ab":7.5})", "/ab: Value type");
  Refuses(schema, R"({"other":1})", "/other: Value type");
  Refuses(R"({"patternProperties":{"^a":false}})", R"({"a":1})", "/a: ");
}

TEST(JsonSchemaTest, ReferencesLeadWithinTheSchema) {
  const char* odd = R"({"properties":{"x":{"$ref":"#/definitions/a~1b%25"}},
                        "definitions":{"a/b%":{"type":"null"}}})";
  Accepts(odd, R"({"x":null})");
  Refuses(odd, R"({"x":1})", "/x: Value type");
  Refuses(R"({"items":[{"type":"null"},{"$ref":"#/items/0"}]})", "[null,1]", "/1: Value type");
  RefusesSchema(R"({"$ref":"#/nowhere"})", "at the top: $ref '#/nowhere' leads nowhere");
  RefusesSchema(R"({"items":{"$ref":"other.json"}})", "/items: $ref 'other.json' is no place");
  RefusesSchema(R"({"items":{"$ref":"http://example.com/a#/b"}})", "is no place in this schema");
  RefusesSchema(R"({"items":{"$ref":"#anchor"}})", "is no place in this schema");
  RefusesSchema(R"({"items":{"$ref":5}})", "/items: $ref is a text");
  RefusesSchema(R"({"items":{"$ref":"#/%4"}})", "is no place");
  RefusesSchema(R"({"items":{"$ref":"#/items/~2"}})", "leads nowhere");
}

TEST(JsonSchemaTest, RefusesWhatIsNoSchema) {
  RefusesSchema("", "");
  RefusesSchema("{", "");
  RefusesSchema("[]", "at the top: a schema is an object, true or false");
  RefusesSchema(R"("text")", "a schema is an object");
  RefusesSchema("{\"type\":\"\xff\"}", "");
  RefusesSchema(R"({"type":"strnig"})", R"(/type: "strnig" is no type of JSON)");
  RefusesSchema(R"({"type":[{"type":"string"}]})", "is no type of JSON");
  RefusesSchema(R"({"properties":[]})", "/properties: an object of schemas");
  RefusesSchema(R"({"properties":{"a":5}})", "/properties/a: a schema is an object");
  RefusesSchema(R"({"allOf":[]})", "/allOf: a list of schemas");
  RefusesSchema(R"({"allOf":{}})", "/allOf: a list of schemas");
  RefusesSchema(R"({"pattern":"("})", "/pattern: '(' is no regular expression");
  RefusesSchema(R"({"pattern":"(?=a)b"})", "is no regular expression");
  RefusesSchema(R"({"patternProperties":{"[":{}}})", "/patternProperties/[: '['");
  RefusesSchema(R"({"multipleOf":0})", "/multipleOf: a number above 0");
  RefusesSchema(R"({"multipleOf":-1})", "/multipleOf: a number above 0");
  RefusesSchema(R"({"minLength":-1})", "no valid JSON Schema");
  RefusesSchema(R"({"minimum":"x"})", "no valid JSON Schema");
  RefusesSchema(R"({"required":"host"})", "/required: a list");
  RefusesSchema(R"({"required":[1]})", "no valid JSON Schema");
  RefusesSchema(R"({"enum":5})", "/enum: a list");
  RefusesSchema(R"({"uniqueItems":1})", "/uniqueItems: true or false");
  RefusesSchema(R"({"exclusiveMinimum":true})", "no valid JSON Schema");
  RefusesSchema(R"({"prefixItems":[{}]})", "later draft than 7");
  RefusesSchema(R"({"required":["a\u0000b"]})", "NUL");
  RefusesSchema(R"({"maximum":1e999})", "beyond a double's range");
}

TEST(JsonSchemaTest, RefusesValuesItCannotJudge) {
  Refuses("true", "{", "");
  Refuses("true", "", "");
  Refuses("{}", "\"\xff\"", "");
  Refuses("{}", R"("a\u0000b")", "NUL");
  Refuses("{}", R"({"a\u0000b":1})", "NUL");
  Refuses("{}", "1e999", "beyond a double's range");
  Refuses("{}", std::string(70, '[') + std::string(70, ']'), "");
  EXPECT_THAT(ValidateAgainstSchema("{}", R"("abc")", {.value_bytes_max = 5}), IsOk());
  EXPECT_THAT(ValidateAgainstSchema("{}", R"("abc")", {.value_bytes_max = 4}),
              StatusIs(Code::kInvalidArgument));
}

TEST(JsonSchemaTest, CirclesOfReferencesEnd) {
  RefusesSchema(R"({"$ref":"#"})", "circle");
  RefusesSchema(R"({"items":{"$ref":"#/definitions/a"},"definitions":{"a":{"$ref":
      "#/definitions/b"},"b":{"$ref":"#/definitions/a"}}})",
                "$ref leads in a circle");
  RefusesSchema(R"({"allOf":[{"$ref":"#"}]})", "refers to itself for the same value");
  RefusesSchema(R"({"anyOf":[{"type":"null"},{"not":{"$ref":"#"}}]})", "refers to itself");
  RefusesSchema(R"({"dependencies":{"a":{"$ref":"#"}}})", "refers to itself");
  RefusesSchema(R"({"if":true,"then":{"else":{},"if":{"$ref":"#/then"}}})", "refers to itself");
  Accepts(R"({"propertyNames":{"$ref":"#"},"maxLength":3})", R"({"abc":1})");
  Accepts(R"({"additionalProperties":{"$ref":"#"},"type":"object"})", R"({"a":{"b":{}}})");
}

// A chain of definitions, each the items of the next; the last is `end`.
std::string Chain(size_t length, const std::string& way, const std::string& end) {
  std::string definitions;
  for (size_t i = 0; i + 1 < length; ++i) {
    definitions += fmt::format(R"("{}":{{"{}":{{"$ref":"#/definitions/{}"}}}},)", i, way, i + 1);
  }
  return fmt::format(R"({{"items":{{"$ref":"#/definitions/0"}},"definitions":{{{}"{}":{}}}}})",
                     definitions, length - 1, end);
}

TEST(JsonSchemaTest, LongChainsOfReferencesFitTheStack) {
  const size_t most = SchemaLimits{}.subschemas_max - 1;  // and the top
  EXPECT_THAT(CheckSchema(Chain(most - 1, "items", R"({"type":"null"})")), IsOk());
  EXPECT_THAT(CheckSchema(Chain(most, "items", R"({"type":"null"})")), IsOk());
  EXPECT_THAT(CheckSchema(Chain(most + 1, "items", R"({"type":"null"})")),
              StatusIs(Code::kInvalidArgument, HasSubstr("more than 400 subschemas")));
  Refuses(Chain(most, "not", R"({"type":"null"})"), "[1]", "/0: ");
}

TEST(JsonSchemaTest, DeepSchemasAndValuesAreRefused) {
  const auto nested = [](size_t depth) {
    std::string text;
    for (size_t i = 1; i < depth; ++i) text += R"({"items":)";
    return text + "{}" + std::string(depth - 1, '}');
  };
  EXPECT_THAT(CheckSchema(nested(63)), IsOk());
  EXPECT_THAT(CheckSchema(nested(64)), IsOk());
  EXPECT_THAT(CheckSchema(nested(65)), StatusIs(Code::kInvalidArgument));
  EXPECT_THAT(CheckSchema(nested(5000)), StatusIs(Code::kInvalidArgument));
  const std::string padding(SchemaLimits{}.schema_bytes_max - 2, ' ');
  EXPECT_THAT(CheckSchema("{}" + padding), IsOk());
  EXPECT_THAT(CheckSchema("{}" + padding + " "), StatusIs(Code::kInvalidArgument));
}

TEST(JsonSchemaTest, NestedApplicationIsBounded) {
  // At each level of the value, 10 subschemas within each other.
  std::string definitions;
  for (int i = 0; i < 9; ++i) {
    definitions += fmt::format(R"("{}":{{"allOf":[{{"$ref":"#/definitions/{}"}}]}},)", i, i + 1);
  }
  const std::string schema = fmt::format(
      R"({{"$ref":"#/definitions/0","definitions":{{{}"9":{{"items":{{"$ref":"#"}}}}}}}})",
      definitions);
  const auto value = [](size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); };
  Accepts(schema, value(40));
  Refuses(schema, value(42), "more than 400 subschemas apply within each other");
}

// Runs within what a person waits for, however slow the machine.
template <typename Body>
void ExpectQuick(const Body& body) {
  const auto begin = std::chrono::steady_clock::now();
  body();
  const auto took = std::chrono::steady_clock::now() - begin;
  EXPECT_LT(std::chrono::duration_cast<std::chrono::seconds>(took).count(), 20);
}

TEST(JsonSchemaTest, WorkThatDoublesWithEachStepIsRefused) {
  std::string definitions = R"("0":{"type":"null"})";
  for (int i = 1; i < 60; ++i) {
    definitions += fmt::format(
        R"(,"{0}":{{"anyOf":[{{"$ref":"#/definitions/{1}"}},{{"$ref":"#/definitions/{1}"}}]}})", i,
        i - 1);
  }
  const std::string schema =
      fmt::format(R"({{"$ref":"#/definitions/59","definitions":{{{}}}}})", definitions);
  ExpectQuick([&] {
    EXPECT_THAT(CheckSchema(schema), IsOk());
    Refuses(schema, "1", "takes more than 200000 steps");
  });
  const std::string twice = R"({"items":{"allOf":[{"$ref":"#"},{"$ref":"#"}]}})";
  ExpectQuick([&] {
    Accepts(twice, std::string(10, '[') + std::string(10, ']'));
    Refuses(twice, std::string(60, '[') + std::string(60, ']'), "takes more than");
  });
}

TEST(JsonSchemaTest, LargeValuesTakeBoundedTime) {
  ExpectQuick([] {
    std::string zeros = "0";
    for (int i = 0; i < 150'000; ++i) zeros += ",0";
    Refuses(R"({"uniqueItems":true})", "[" + zeros + "]", "item 1 is there twice");
    std::string numbers = "0";
    for (int i = 1; i < 100'000; ++i) numbers += fmt::format(",{}", i);
    Accepts(R"({"uniqueItems":true})", "[" + numbers + "]");
    Accepts(R"({"items":{"type":"integer"}})", "[" + numbers + "]");
    Refuses(R"({"items":{"type":"integer","minimum":0,"allOf":[true,{},{}]}})", "[" + numbers + "]",
            "takes more than");
    Refuses(R"({"items":{"type":"string"}})", "[" + numbers + "]", "/0: Value type");
  });
}

TEST(JsonSchemaTest, HostilePatternsTakeLinearTime) {
  ExpectQuick([] {
    const std::string text(60'000, 'a');
    Refuses(R"({"pattern":"^(a+)+$"})", "\"" + text + "!\"", "does not match");
    Accepts(R"({"pattern":"^(a|a)*$"})", "\"" + text + "\"");
    RefusesSchema(R"({"pattern":"((a{0,500}){0,500}){0,500}"})", "is no regular expression");
    RefusesSchema(R"({"pattern":")" + std::string(1025, 'a') + "\"}", "1024 are allowed");
    EXPECT_THAT(CheckSchema(R"({"pattern":")" + std::string(1024, 'a') + "\"}"), IsOk());
    RefusesSchema(R"({"pattern":")" + std::string(2000, '(') + "\"}", "1024 are allowed");
    RefusesSchema(R"({"pattern":")" + std::string(1000, '(') + "\"}", "is no regular expression");
    std::string names;
    for (int i = 0; i < 20'000; ++i) names += fmt::format("\"a{}\":1,", i);
    names = "{" + names + "\"a\":1}";
    Accepts(R"({"patternProperties":{"(a+)+$":{}}})", names);
    Refuses(R"({"patternProperties":{"a":{},"b":{},"c":{},"d":{},"e":{}}})", names,
            "to compare with patternProperties");
  });
}

// Words of the schema language, and what may stand for them.
constexpr const char* kWords[] = {"allOf",
                                  "anyOf",
                                  "oneOf",
                                  "not",
                                  "if",
                                  "then",
                                  "else",
                                  "$ref",
                                  "type",
                                  "enum",
                                  "const",
                                  "properties",
                                  "items",
                                  "required",
                                  "pattern",
                                  "minimum",
                                  "contains",
                                  "format",
                                  "id",
                                  "$id",
                                  "maxLength",
                                  "#",
                                  "#/items",
                                  "object",
                                  "string",
                                  "array",
                                  "multipleOf",
                                  "uniqueItems",
                                  "#/anyOf/0",
                                  "a",
                                  "default",
                                  "dependencies",
                                  "propertyNames",
                                  "patternProperties",
                                  "additionalProperties",
                                  "additionalItems",
                                  "definitions",
                                  "maxItems",
                                  "title",
                                  "exclusiveMaximum"};

std::string RandomJson(std::mt19937* random, int depth) {
  const auto below = [&](unsigned limit) { return static_cast<unsigned>((*random)() % limit); };
  const auto word = [&] { return fmt::format("\"{}\"", kWords[below(std::size(kWords))]); };
  const unsigned kind = below(depth > 4 ? 4 : 8);
  if (kind == 0) return word();
  if (kind == 1) return fmt::format("{}", static_cast<int>(below(5)) - 1);
  if (kind == 2) return below(2) == 0 ? "true" : "false";
  if (kind == 3) return "null";
  std::string text;
  const unsigned members = 1 + below(3);
  for (unsigned i = 0; i < members; ++i) {
    if (i > 0) text += ",";
    if (kind > 4) text += word() + ":";
    text += RandomJson(random, depth + 1);
  }
  return kind > 4 ? "{" + text + "}" : "[" + text + "]";
}

TEST(JsonSchemaTest, AnswersWhateverTheSchema) {
  const auto seed = static_cast<unsigned>(test::MakeSeed());
  SCOPED_TRACE(fmt::format("seed {}", seed));
  std::mt19937 random(seed);
  int valid = 0;
  for (int i = 0; i < 3000; ++i) {
    const std::string schema = RandomJson(&random, 0), value = RandomJson(&random, 1);
    const absl::Status checked = CheckSchema(schema);
    const absl::Status validated = ValidateAgainstSchema(schema, value);
    EXPECT_TRUE(checked.ok() || absl::IsInvalidArgument(checked)) << schema << checked.ToString();
    EXPECT_TRUE(validated.ok() || absl::IsInvalidArgument(validated)) << schema;
    if (!checked.ok()) {
      EXPECT_FALSE(validated.ok()) << schema;
    }
    valid += checked.ok() ? 1 : 0;
  }
  EXPECT_GT(valid, 100);
}

}  // namespace
}  // namespace nimbus::projections
