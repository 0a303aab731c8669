#include "nimbus/schema/json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "testing/status_matchers.h"

namespace nimbus::schema {
namespace {

using test::IsOk;
using test::StatusIs;
using testing::HasSubstr;

Json Parsed(std::string_view text) {
  absl::StatusOr<Json> value = Json::Parse(text);
  EXPECT_THAT(value, IsOk()) << text;
  return value.ok() ? *std::move(value) : Json();
}

// The text is refused by both readers, for the same reason.
void ExpectRefused(std::string_view text, std::string_view reason, const JsonLimits& limits = {}) {
  const absl::StatusOr<Json> parsed = Json::Parse(text, limits);
  EXPECT_THAT(parsed, StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(std::string(reason))))
      << text.substr(0, 80);
  EXPECT_EQ(ValidateJson(text, limits), parsed.status()) << text.substr(0, 80);
}

std::string Nested(size_t depth) { return std::string(depth, '[') + "1" + std::string(depth, ']'); }

TEST(JsonParse, KeepsMembersInTheirOrderAndNumbersAsWritten) {
  const std::string text =
      R"({"z":[1.0,1e2,-0,39712373237291850001929057],"a":{"b":null,"":true},"s":"x"})";
  EXPECT_EQ(Parsed(text).Dump(), text);
  const Json spaced = Parsed(" {\"z\" :\t[ 1 , 2\n] ,\r\"a\":{ } , \"e\": [ ] } \n");
  EXPECT_EQ(spaced.Dump(), R"({"z":[1,2],"a":{},"e":[]})");
}

TEST(JsonParse, ReadsScalarDocuments) {
  EXPECT_TRUE(Parsed(" null ").IsNull());
  EXPECT_EQ(Parsed("true").boolean(), true);
  EXPECT_EQ(Parsed("\n\"a b\" ").string(), "a b");
  EXPECT_EQ(Parsed("1E400").number(), "1E400");
  EXPECT_EQ(Parsed("-0.0e-7").number(), "-0.0e-7");
}

TEST(JsonParse, DecodesEscapes) {
  const Json value =
      Parsed(R"(["\"\\\/\b\f\n\r\t","\u0041\u00e9\u20AC","\ud83d\ude00x","\u0000"])");
  EXPECT_EQ(value.array()[0].string(), "\"\\/\b\f\n\r\t");
  EXPECT_EQ(value.array()[1].string(), "A\u00e9\u20ac");
  EXPECT_EQ(value.array()[2].string(), "\U0001F600x");
  EXPECT_EQ(value.array()[3].string(), std::string(1, '\0'));
  EXPECT_EQ(Parsed(R"({"a\"\\":1,"\u0062":2})").object()[0].first, "a\"\\");
}

TEST(JsonParse, RefusesMalformedTextWithAReason) {
  for (const std::string_view text :
       {"",        " ",        "[",          "]",     "{",   "[1",        "[1,",   "[1,]",
        "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{1:2}", "[1}", "[\"a\":1]", "[1 2]", "{\"a\" 1}",
        "\"a",     "'a'",      "nul",        "truex", "+1",  "01",        "1.",    ".5",
        "1e",      "- 1",      "0x10",       "NaN",   "[1]x"}) {
    ExpectRefused(text, "malformed JSON: ");
  }
  ExpectRefused("[1] []", "more text follows");
  ExpectRefused("1 2", "not a JSON value");
  ExpectRefused(R"("a" "b")", "more text follows");
  ExpectRefused("{} {}", "more text follows");
  ExpectRefused("\xEF\xBB\xBF{}", "byte order mark");
}

TEST(JsonParse, NamesThePlace) {
  ExpectRefused(R"({"a":[1,2,x]})", "near byte 10");
  ExpectRefused("[\"abc\", \"d\x80\"]", "invalid UTF-8 (at byte 10)");
  ExpectRefused("[\"\xF0\x9F\x98\"]", "invalid UTF-8 (at byte 2)");
}

TEST(JsonParse, RefusesBadStrings) {
  ExpectRefused(R"(["\ud800"])", "lone surrogate");
  ExpectRefused(R"(["\udc00"])", "lone surrogate");
  ExpectRefused(R"(["\ud800\ud800"])", "lone surrogate");
  ExpectRefused(R"({"\ud800x":1})", "lone surrogate");
  ExpectRefused(R"(["\x"])", "unknown escape");
  ExpectRefused(R"(["\u12g4"])", "four hex digits");
  ExpectRefused(R"(["\u12"])", "four hex digits");
  ExpectRefused("[\"\xED\xA0\x80\"]", "invalid UTF-8");  // a surrogate as such
  ExpectRefused("[\"\xC0\x80\"]", "invalid UTF-8");      // overlong
  ExpectRefused("[\"\xF4\x90\x80\x80\"]", "invalid UTF-8");
  for (char c = 0; c < 0x20; ++c) ExpectRefused("[\"a" + std::string(1, c) + "\"]", "malformed");
}

TEST(JsonParse, ALaterDuplicateReplacesTheValueInPlace) {
  EXPECT_EQ(Parsed(R"({"a":1,"b":2,"a":3,"c":4,"b":5,"a":6})").Dump(), R"({"a":6,"b":5,"c":4})");
  std::string many = "{", expected = "{";
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < 100; ++i) {
      const std::string key = "\"k" + std::to_string(i) + "\":";
      many += (many.size() > 1 ? "," : "") + key + std::to_string(round);
      if (round == 0) expected += (i > 0 ? "," : "") + key + "2";
    }
  }
  EXPECT_EQ(Parsed(many + "}").Dump(), expected + "}");
}

TEST(JsonLimitsTest, DepthIsCountedInOpenArraysAndObjects) {
  for (const size_t depth : {size_t{1}, size_t{7}, JsonLimits{}.depth_max}) {
    const JsonLimits limits{.depth_max = depth};
    EXPECT_THAT(Json::Parse(Nested(depth - 1), limits), IsOk());
    EXPECT_THAT(Json::Parse(Nested(depth), limits), IsOk());
    EXPECT_THAT(ValidateJson(Nested(depth), limits), IsOk());
    ExpectRefused(Nested(depth + 1), "nested deeper than " + std::to_string(depth), limits);
  }
  EXPECT_THAT(Json::Parse("1", {.depth_max = 0}), IsOk());
  ExpectRefused("[[],[[]]]", "nested deeper than 2", {.depth_max = 2});
  EXPECT_THAT(Json::Parse("[[],[],[],{}]", {.depth_max = 2}), IsOk());
}

TEST(JsonLimitsTest, EndlessNestingIsAnError) {
  ExpectRefused(std::string(100'000, '['), "malformed");
  ExpectRefused(Nested(100'000), "nested deeper than 512");
  ExpectRefused(Nested(100'000), "nested deeper than 1024", {.depth_max = 1'000'000});
  std::string objects;
  for (int i = 0; i < 50'000; ++i) objects += "{\"\":[";
  ExpectRefused(objects + "]", "malformed");
}

TEST(JsonLimitsTest, SizeIsCountedInBytes) {
  const std::string text = "[\"" + std::string(96, 'x') + "\"]";
  EXPECT_THAT(Json::Parse(text, {.bytes_max = 101}), IsOk());
  EXPECT_THAT(Json::Parse(text, {.bytes_max = 100}), IsOk());
  ExpectRefused(text, "100 bytes exceeds the limit of 99", {.bytes_max = 99});
}

TEST(JsonLimitsTest, AFailureLeavesNothingForTheNextText) {
  ExpectRefused("[1,[2,{\"a\":", "malformed");
  EXPECT_EQ(Parsed("[3]").Dump(), "[3]");
  const std::string large = "[\"" + std::string(3 << 20, 'x') + "\"]";
  EXPECT_EQ(Parsed(large).Dump(), large);
  EXPECT_EQ(Parsed("{}").Dump(), "{}");
}

TEST(JsonEquality, ComparesNumbersByValue) {
  const std::vector<std::string> ones = {"1",     "1.0",      "1e0",      "10e-1",
                                         "0.1E1", "1.000e00", "0.0001e+4"};
  for (const std::string& one : ones) EXPECT_EQ(Parsed(one), Parsed("1")) << one;
  EXPECT_EQ(Parsed("-0"), Parsed("0.0e99999999999999999999"));
  EXPECT_NE(Parsed("1"), Parsed("-1"));
  EXPECT_NE(Parsed("9007199254740993"), Parsed("9007199254740992"));
  EXPECT_NE(Parsed("1e400"), Parsed("1e401"));
  EXPECT_EQ(Parsed("123456789012345678901234567890"), Parsed("12345678901234567890123456789e1"));
}

TEST(JsonEquality, HugeExponentsCostNothing) {
  EXPECT_EQ(Parsed("1e1000000000"), Parsed("10e999999999"));
  EXPECT_NE(Parsed("1e1000000000"), Parsed("1e1000000001"));
  const std::string nines(40, '9'), zeros(40, '0');
  EXPECT_EQ(Parsed("1e1" + zeros), Parsed("10e" + nines));
  EXPECT_EQ(Parsed("1e-1" + zeros), Parsed("0.1e-" + nines));
  EXPECT_NE(Parsed("1e" + nines), Parsed("1e-" + nines));
  EXPECT_EQ(Parsed("0.1e1000000000000000000"), Parsed("1e999999999999999999"));
  EXPECT_EQ(Parsed("10e999999999999999999"), Parsed("1e1000000000000000000"));
}

TEST(JsonEquality, IgnoresTheOrderOfMembersOnly) {
  EXPECT_EQ(Parsed(R"({"a":1,"b":[true,null]})"), Parsed(R"({"b":[true,null],"a":1.0})"));
  EXPECT_NE(Parsed(R"({"a":1,"b":2})"), Parsed(R"({"a":1,"c":2})"));
  EXPECT_NE(Parsed(R"({"a":1})"), Parsed(R"({"a":1,"b":2})"));
  EXPECT_NE(Parsed("[1,2]"), Parsed("[2,1]"));
  EXPECT_NE(Parsed("\"1\""), Parsed("1"));
  EXPECT_NE(Parsed("null"), Parsed("false"));
}

TEST(JsonValue, SetsFindsAndErasesMembers) {
  Json value = Json::MakeObject({{"a", Json::Int(1)}, {"a", Json::Int(2)}});
  value.Set("b", Json::MakeObject());
  value.Find("b")->Set("c", Json::String("deep"));
  value.Set("a", Json::Bool(false));
  EXPECT_EQ(value.Dump(), R"({"a":false,"b":{"c":"deep"}})");
  EXPECT_EQ(value.FindPath({"b", "c"})->string(), "deep");
  EXPECT_EQ(value.FindPath({"b", "x", "c"}), nullptr);
  EXPECT_EQ(Json::Int(1).Find("a"), nullptr);
  EXPECT_EQ(value.Find("b")->StringOr("c"), "deep");
  EXPECT_EQ(value.StringOr("a", "none"), "none");
  EXPECT_TRUE(value.Erase("a"));
  EXPECT_FALSE(value.Erase("a"));
  EXPECT_EQ(value.Dump(), R"({"b":{"c":"deep"}})");
}

TEST(JsonValueDeathTest, AccessByTheWrongTypeIsABug) {
  EXPECT_DEATH(Json::Int(1).array(), "IsArray");
  EXPECT_DEATH(Json().object(), "IsObject");
  EXPECT_DEATH(Json::Number("01"), "IsJsonNumber");
}

TEST(JsonText, EscapesWhatMustBeAndNothingElse) {
  std::string out;
  AppendJsonString("a\"b\\c/\b\f\n\r\t\x01\x1f\x7f \u00e9\U0001F600", &out);
  EXPECT_EQ(out, "\"a\\\"b\\\\c/\\b\\f\\n\\r\\t\\u0001\\u001f\x7f \u00e9\U0001F600\"");
  for (size_t at = 0; at < 24; ++at) {
    for (int c = 0; c < 0x80; ++c) {
      std::string text(24, 'x');
      text[at] = static_cast<char>(c);
      EXPECT_EQ(Parsed(Json::String(text).Dump()).string(), text);
    }
  }
}

TEST(JsonText, PrettyIsIndentedByTwo) {
  EXPECT_EQ(Parsed(R"({"a":[1,{"b":[]}],"c":{}})").DumpPretty(),
            "{\n  \"a\": [\n    1,\n    {\n      \"b\": []\n    }\n  ],\n  \"c\": {}\n}");
}

}  // namespace
}  // namespace nimbus::schema
