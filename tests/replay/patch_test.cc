#include "nimbus/replay/patch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "replay/random_json.h"
#include "testing/files.h"
#include "testing/random.h"
#include "testing/status_matchers.h"

namespace nimbus::replay {
namespace {

using schema::Json;
using test::IsOk;
using test::StatusIs;
using testing::HasSubstr;

Json Parsed(std::string_view text) {
  absl::StatusOr<Json> value = Json::Parse(text);
  EXPECT_THAT(value, IsOk()) << text;
  return value.ok() ? *std::move(value) : Json();
}

// What the patch makes of the document, as text with its members in order.
std::string Applied(std::string_view document, std::string_view patch) {
  Json value = Parsed(document);
  const std::string before = value.Dump();
  Undo undo;
  const absl::StatusOr<std::ptrdiff_t> growth = ApplyPatch(Parsed(patch), &value, {}, &undo);
  EXPECT_THAT(growth, IsOk()) << patch;
  if (!growth.ok()) return "";
  const std::string after = value.Dump();
  EXPECT_EQ(after.size(), before.size() + static_cast<size_t>(*growth));
  undo.Apply(&value);
  EXPECT_EQ(value.Dump(), before) << "the very document";
  return after;
}

// The patch is refused, and the document left as it was.
absl::Status Refused(std::string_view document, std::string_view patch,
                     const PatchLimits& limits = {}) {
  Json value = Parsed(document);
  const std::string before = value.Dump();
  const absl::Status status = ApplyPatch(Parsed(patch), &value, limits).status();
  EXPECT_EQ(value.Dump(), before) << patch;
  EXPECT_FALSE(status.ok()) << patch;
  return status;
}

void RunSuite(std::string_view name, size_t cases_min) {
  NIMBUS_SHARED_OR_SKIP(path, name);
  const Json suite = Parsed(test::ReadFile(path).value());
  size_t cases = 0;
  for (const Json& record : suite.array()) {
    const Json* document = record.Find("doc");
    const Json* patch = record.Find("patch");
    if (document == nullptr || patch == nullptr) continue;
    // Two of them need a reader that refuses a second member of the same name.
    if (record.StringOr("error") == "operation has two 'op' members" ||
        record.StringOr("error") == "patch has two 'op' members") {
      continue;
    }
    ++cases;
    Json value = *document;
    const absl::Status status = ApplyPatch(*patch, &value).status();
    if (record.Find("error") != nullptr) {
      EXPECT_FALSE(status.ok()) << record.Dump();
      EXPECT_EQ(value.Dump(), document->Dump()) << record.Dump();
    } else {
      EXPECT_THAT(status, IsOk()) << record.Dump();
      const Json* expected = record.Find("expected");
      EXPECT_EQ(value, expected != nullptr ? *expected : *document) << record.Dump();
    }
  }
  EXPECT_GE(cases, cases_min);
}

TEST(PatchSuite, MainTests) { RunSuite("suites/json-patch-tests/tests.json", 90); }
TEST(PatchSuite, SpecTests) { RunSuite("suites/json-patch-tests/spec_tests.json", 16); }

TEST(Patch, KeepsTheOrderOfMembers) {
  EXPECT_EQ(Applied(R"({"a":1,"b":2,"c":3})", R"([{"op":"add","path":"/b","value":[]}])"),
            R"({"a":1,"b":[],"c":3})");
  EXPECT_EQ(Applied(R"({"a":1,"b":2})", R"([{"op":"move","from":"/a","path":"/c"}])"),
            R"({"b":2,"c":1})");
  EXPECT_EQ(Applied(R"({"a":[1,2,3]})", R"([{"op":"move","from":"/a/0","path":"/a/2"}])"),
            R"({"a":[2,3,1]})");
}

TEST(Patch, AddressesKeysThatNeedEscapes) {
  EXPECT_EQ(Applied(R"({"/":1,"~":2,"":{"~1":[3]}})",
                    R"([{"op":"remove","path":"/~1"},
                        {"op":"replace","path":"/~0","value":4},
                        {"op":"add","path":"//~01/0","value":5},
                        {"op":"copy","from":"//~01","path":"/"}])"),
            R"({"~":4,"":[5,3]})");
  std::string pointer;
  AppendPointerToken("a/b~c", &pointer);
  AppendPointerToken("", &pointer);
  EXPECT_EQ(pointer, "/a~1b~0c/");
}

TEST(Patch, ErrorsNameTheOperationAndItsPath) {
  const std::string document = R"({"a":{"b":[1,2]},"c":3})";
  EXPECT_THAT(Refused(document, R"([{"op":"add","path":"/c","value":0},
                                    {"op":"remove","path":"/a/b/2"}])"),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("operation 1 (remove /a/b/2)")));
  EXPECT_THAT(Refused(document, R"([{"op":"remove","path":"/a"},{"op":"remove","path":"/c"},
                                    {"op":"test","path":"","value":1}])"),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("operation 2 (test )")));
  EXPECT_THAT(Refused(document, R"([{"op":"replace","path":"/a/b/0","value":9},
                                    {"op":"move","from":"/a","path":"/a/b/0"}])"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("into itself")));
  EXPECT_THAT(Refused(document, R"({"op":"remove"})"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("array of operations")));
  for (const std::string_view patch :
       {R"([1])", R"([{"op":"merge","path":"/a"}])", R"([{"op":"add","path":"/a"}])",
        R"([{"op":"add","path":"a","value":1}])", R"([{"op":"add","path":"/a~2","value":1}])",
        R"([{"op":"copy","path":"/d"}])", R"([{"op":"remove","path":""}])",
        R"([{"op":"add","path":"/a/b/01","value":1}])",
        R"([{"op":"add","path":"/a/b/x","value":1}])"}) {
    EXPECT_THAT(Refused(document, patch), StatusIs(absl::StatusCode::kInvalidArgument)) << patch;
  }
}

TEST(Patch, AFailureUndoesWhatCameBefore) {
  constexpr unsigned kSeed = 6902;
  std::mt19937 random(kSeed);
  for (int i = 0; i < 2'000; ++i) {
    const Json before = RandomJson(random, 4);
    Json patch = Diff(before, RandomJson(random, 4));
    patch.array().push_back(
        Parsed(R"({"op":"test","path":"","value":"no document is this string"})"));
    Json document = before;
    EXPECT_THAT(ApplyPatch(patch, &document), StatusIs(absl::StatusCode::kFailedPrecondition));
    ASSERT_EQ(document.Dump(), before.Dump()) << patch.Dump() << ", seed " << kSeed;
  }
}

TEST(Patch, IsTakenBackTheLastFirst) {
  std::mt19937 random(static_cast<uint32_t>(test::MakeSeed()));
  for (int round = 0; round < 200; ++round) {
    Json document = RandomJson(random, 4);
    std::vector<std::string> before;
    std::vector<Undo> undos;
    for (int i = 0; i < 5; ++i) {
      before.push_back(document.Dump());
      undos.emplace_back();
      const Json patch = Diff(document, RandomJson(random, 4));
      ASSERT_THAT(ApplyPatch(patch, &document, {}, &undos.back()), IsOk());
    }
    for (; !undos.empty(); undos.pop_back(), before.pop_back()) {
      undos.back().Apply(&document);
      ASSERT_EQ(document.Dump(), before.back());
    }
    Undo().Apply(&document);  // of nothing
  }
}

TEST(Patch, LimitsGrowth) {
  const std::string patch =
      R"([{"op":"add","path":"/b","value":"12345"}])";  // 12 bytes: ,"b":"12345"
  Json value = Parsed(R"({"a":1})");
  EXPECT_THAT(ApplyPatch(Parsed(patch), &value, {.growth_bytes_max = 13}), IsOk());
  value = Parsed(R"({"a":1})");
  EXPECT_THAT(ApplyPatch(Parsed(patch), &value, {.growth_bytes_max = 12}), test::IsOkAndHolds(12));
  EXPECT_THAT(Refused(R"({"a":1})", patch, {.growth_bytes_max = 11}),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("more than 11 bytes")));

  Json bomb = Json::MakeArray();
  for (int i = 0; i < 64; ++i) {
    bomb.array().push_back(
        Parsed(R"({"op":"copy","from":"","path":"/k)" + std::to_string(i) + R"("})"));
  }
  EXPECT_THAT(Refused(R"({"a":"0123456789"})", bomb.Dump(), {.growth_bytes_max = 1 << 20}),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("operation ")));
}

TEST(Patch, LimitsDepth) {
  const std::string nested = R"([{"op":"add","path":"/a/-","value":[[1]]}])";  // four open
  Json value = Parsed(R"({"a":[]})");
  EXPECT_THAT(ApplyPatch(Parsed(nested), &value, {.depth_max = 5}), IsOk());
  value = Parsed(R"({"a":[]})");
  EXPECT_THAT(ApplyPatch(Parsed(nested), &value, {.depth_max = 4}), IsOk());
  EXPECT_THAT(Refused(R"({"a":[]})", nested, {.depth_max = 3}),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("deeper than 3")));
  EXPECT_THAT(Refused(R"({"a":{"b":[]}})", R"([{"op":"move","from":"/a","path":"/c"},
                        {"op":"copy","from":"","path":"/c/b/-"}])",
                      {.depth_max = 5}),
              StatusIs(absl::StatusCode::kResourceExhausted));
}

TEST(Diff, IsSmallForSmallChanges) {
  const auto diff = [](std::string_view from, std::string_view to) {
    return Diff(Parsed(from), Parsed(to)).Dump();
  };
  EXPECT_EQ(diff(R"({"a":1,"b":[1.0]})", R"({"b":[1],"a":1})"), "[]");
  EXPECT_EQ(diff(R"({"messages":[{"r":"u"},{"r":"a"}],"n":1})",
                 R"({"messages":[{"r":"u"},{"r":"a"},{"r":"t"}],"n":1})"),
            R"([{"op":"add","path":"/messages/2","value":{"r":"t"}}])");
  EXPECT_EQ(diff(R"(["a","b","c","d","e","f","g","h","i","j"])",
                 R"(["a","c","d","e","f","g","h","i","j"])"),
            R"([{"op":"remove","path":"/1"}])");
  EXPECT_EQ(diff(R"({"a":{"b":"some text","c":"other text","d":null}})",
                 R"({"a":{"b":"some text","c":"other text","d":true}})"),
            R"([{"op":"replace","path":"/a/d","value":true}])");
  EXPECT_EQ(diff(R"({"a":{"b":1,"c":2,"d":3}})", R"({"a":{"x":1}})"),
            R"([{"op":"replace","path":"/a","value":{"x":1}}])");
  EXPECT_EQ(diff("1", "[]"), R"([{"op":"replace","path":"","value":[]}])");
}

TEST(Diff, AppliedToTheFirstGivesTheSecond) {
  constexpr unsigned kSeed = 20260111;
  std::mt19937 random(kSeed);
  for (int i = 0; i < 20'000; ++i) {
    const Json from = RandomJson(random, 5);
    Json to = from;
    if (random() % 4 == 0) {
      to = RandomJson(random, 5);
    } else {
      for (unsigned n = random() % 4; n > 0; --n) to = Mutated(std::move(to), random);
    }
    const Json patch = Diff(from, to);
    ASSERT_EQ(Diff(from, to).Dump(), patch.Dump());
    Json document = from;
    const absl::StatusOr<std::ptrdiff_t> growth = ApplyPatch(patch, &document);
    ASSERT_THAT(growth, IsOk()) << patch.Dump() << ", seed " << kSeed;
    ASSERT_EQ(document, to) << from.Dump() << " " << patch.Dump() << ", seed " << kSeed;
    ASSERT_EQ(static_cast<std::ptrdiff_t>(document.Dump().size()),
              static_cast<std::ptrdiff_t>(from.Dump().size()) + *growth);
    ASSERT_EQ(patch.array().empty(), from == to);
  }
}

TEST(Diff, AppendPatchIsWhatDiffWouldFind) {
  const Json before =
      Json::MakeObject({{"messages", Json::MakeArray({Json::String(std::string(200, 'a'))})}});
  const Json patch = AppendPatch("/messages", {Json::String("b"), Json::Int(3)});
  Json appended = before;
  ASSERT_THAT(ApplyPatch(patch, &appended), IsOk());
  EXPECT_TRUE(appended.Dump().ends_with(R"aa(aaa","b",3]})aa"));
  EXPECT_EQ(Diff(before, appended).Dump(), R"([{"op":"add","path":"/messages/1","value":"b"},)"
                                           R"({"op":"add","path":"/messages/2","value":3}])");
  EXPECT_EQ(patch.Dump(), R"([{"op":"add","path":"/messages/-","value":"b"},)"
                          R"({"op":"add","path":"/messages/-","value":3}])");
}

}  // namespace
}  // namespace nimbus::replay
