#include "tools/import/document.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "nimbus/schema/event.h"
#include "testing/status_matchers.h"

namespace nimbus::tools::import {
namespace {

using journal::Lifecycle;
using schema::Json;
using test::IsOk;
using test::IsOkAndHolds;
using test::StatusIs;
using ::testing::HasSubstr;
using ::testing::IsNull;
using ::testing::Optional;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

Json Parse(std::string_view text) {
  absl::StatusOr<Json> value = Json::Parse(text);
  EXPECT_THAT(value, IsOk());
  return value.ok() ? *std::move(value) : Json();
}

TEST(ScaledDecimal, TakesTheDigitsAsTheyStand) {
  EXPECT_THAT(ScaledDecimal("1761545094.8959239", 6, Rounding::kDown), Optional(1761545094895923));
  EXPECT_THAT(ScaledDecimal("1761545094.8959239", 6, Rounding::kNearest),
              Optional(1761545094895924));
  EXPECT_THAT(ScaledDecimal("0.20366900000000004", 6, Rounding::kNearest), Optional(203669));
  EXPECT_THAT(ScaledDecimal("0.0019766", 12, Rounding::kNearest), Optional(1976600000));
  EXPECT_THAT(ScaledDecimal("12", 3, Rounding::kNearest), Optional(12000));
  EXPECT_THAT(ScaledDecimal("0", 12, Rounding::kNearest), Optional(0));
  EXPECT_THAT(ScaledDecimal("0.000", 12, Rounding::kDown), Optional(0));
}

TEST(ScaledDecimal, FollowsExponents) {
  EXPECT_THAT(ScaledDecimal("4.8e-6", 6, Rounding::kNearest), Optional(5));
  EXPECT_THAT(ScaledDecimal("4.8E-6", 12, Rounding::kNearest), Optional(4800000));
  EXPECT_THAT(ScaledDecimal("1.5e+3", 0, Rounding::kNearest), Optional(1500));
  EXPECT_THAT(ScaledDecimal("120e-1", 0, Rounding::kNearest), Optional(12));
  EXPECT_THAT(ScaledDecimal("1e-999999999999999999999", 6, Rounding::kNearest), Optional(0));
}

TEST(ScaledDecimal, RoundsHalvesAwayFromZeroOrDown) {
  EXPECT_THAT(ScaledDecimal("0.5", 0, Rounding::kNearest), Optional(1));
  EXPECT_THAT(ScaledDecimal("0.4999999999999999999999", 0, Rounding::kNearest), Optional(0));
  EXPECT_THAT(ScaledDecimal("-0.5", 0, Rounding::kNearest), Optional(-1));
  EXPECT_THAT(ScaledDecimal("-0.1", 0, Rounding::kDown), Optional(-1));
  EXPECT_THAT(ScaledDecimal("-1e-30", 6, Rounding::kDown), Optional(-1));
  EXPECT_THAT(ScaledDecimal("-2.0", 0, Rounding::kDown), Optional(-2));
  EXPECT_THAT(ScaledDecimal("0.05", 0, Rounding::kNearest), Optional(0));
}

TEST(ScaledDecimal, RefusesWhatDoesNotFit) {
  EXPECT_THAT(ScaledDecimal("9223372036854775807", 0, Rounding::kNearest),
              Optional(std::numeric_limits<int64_t>::max()));
  EXPECT_EQ(ScaledDecimal("9223372036854775808", 0, Rounding::kNearest), std::nullopt);
  EXPECT_EQ(ScaledDecimal("9223372036854775807.5", 0, Rounding::kNearest), std::nullopt);
  EXPECT_EQ(ScaledDecimal("99999999999999999999", 0, Rounding::kDown), std::nullopt);
  EXPECT_EQ(ScaledDecimal("1e400", 6, Rounding::kDown), std::nullopt);
  EXPECT_EQ(ScaledDecimal("1e999999999999999999999", 6, Rounding::kDown), std::nullopt);
}

TEST(Fields, NameTheMemberThatIsWrong) {
  const Json document = Parse(R"({"calls":[{"name":7,"at":"now","n":-1,"spent":-0.5}]})");
  const Json& item = document.Find("calls")->array()[0];
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Fields call, Fields::Of(item, ItemPath("calls", 0)));
  EXPECT_THAT(call.Text("name"),
              StatusIs(kInvalid, HasSubstr("calls[0].name: a number, a string")));
  EXPECT_THAT(call.Time("at"), StatusIs(kInvalid, HasSubstr("calls[0].at: a string, a number")));
  EXPECT_THAT(call.Count("n"), StatusIs(kInvalid, HasSubstr("calls[0].n: -1 is no count")));
  EXPECT_THAT(call.Picodollars("spent"), StatusIs(kInvalid, HasSubstr("calls[0].spent: -0.5")));
  EXPECT_THAT(call.Duration("spent"), StatusIs(kInvalid, HasSubstr("calls[0].spent")));
  EXPECT_THAT(call.Required("gone", Json::Type::kArray),
              StatusIs(kInvalid, HasSubstr("calls[0].gone: an array is needed")));
  EXPECT_THAT(Fields::Of(document.Find("calls")[0], ""),
              StatusIs(kInvalid, HasSubstr("the document: an array, an object is needed")));
}

TEST(Fields, TakeAbsentAndNullAsNothingRecorded) {
  const Json document = Parse(R"({"a":null})");
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Fields fields, Fields::Of(document, ""));
  for (const std::string_view key : {"a", "b"}) {
    EXPECT_THAT(fields.Find(key), IsNull());
    EXPECT_THAT(fields.Text(key), IsOkAndHolds(""));
    EXPECT_THAT(fields.Time(key), IsOkAndHolds(std::nullopt));
    EXPECT_THAT(fields.Count(key), IsOkAndHolds(std::nullopt));
    EXPECT_THAT(fields.Bool(key), IsOkAndHolds(std::nullopt));
    EXPECT_THAT(fields.Required(key, Json::Type::kString), StatusIs(kInvalid));
  }
}

TEST(Fields, HoldNamesToTheJournalsLimit) {
  const std::string most(schema::kNameBytesMax, 'x');
  for (const size_t size : {most.size() - 1, most.size(), most.size() + 1}) {
    const Json document = Json::MakeObject({{"name", Json::String(std::string(size, 'x'))}});
    NIMBUS_ASSERT_OK_AND_ASSIGN(const Fields fields, Fields::Of(document, ""));
    EXPECT_EQ(fields.Name("name").ok(), size <= most.size()) << size;
  }
  EXPECT_THAT(CheckName("a\nb", "tool"), StatusIs(kInvalid, HasSubstr("tool: ")));
  EXPECT_THAT(CheckName("h\xc3\xa9", "tool"), IsOk());
}

TEST(CostMeter, AddsUpWhatIsBelowAMicrodollar) {
  CostMeter meter;
  int64_t steps = 0;
  for (int i = 0; i < 10; ++i) steps += meter.Add(400'000);  // 0.4 microdollars
  EXPECT_EQ(meter.microdollars(), 4);
  EXPECT_EQ(steps, 4);
  EXPECT_EQ(meter.Add(0), 0);
  EXPECT_EQ(MicrodollarsOf(499'999), 0);
  EXPECT_EQ(MicrodollarsOf(500'000), 1);
}

TEST(CostMeter, StaysAtTheMostItCanHold) {
  CostMeter meter;
  meter.Add(std::numeric_limits<int64_t>::max());
  const int64_t most = meter.microdollars();
  EXPECT_EQ(meter.Add(std::numeric_limits<int64_t>::max()), 0);
  EXPECT_EQ(meter.microdollars(), most);
}

TEST(ContentText, ReadsTextAndBlocks) {
  EXPECT_EQ(ContentText(nullptr), "");
  const Json text = Parse(R"("hello")"), blocks = Parse(R"([{"type":"text","text":"a"},
      {"type":"image_url"},{"type":"text","text":"b"},"c"])"),
             other = Parse("{}");
  EXPECT_EQ(ContentText(&text), "hello");
  EXPECT_EQ(ContentText(&blocks), "abc");
  EXPECT_EQ(ContentText(&other), "");
}

TEST(LifecycleOfExit, KnowsTheWordsOfTheFamily) {
  EXPECT_EQ(LifecycleOfExit("submitted"), Lifecycle::kCompleted);
  EXPECT_EQ(LifecycleOfExit("Submitted"), Lifecycle::kCompleted);
  EXPECT_EQ(LifecycleOfExit("submitted (exit_cost)"), Lifecycle::kCompleted);
  EXPECT_EQ(LifecycleOfExit("exit_context"), Lifecycle::kFailed);
  EXPECT_EQ(LifecycleOfExit("LimitsExceeded"), Lifecycle::kFailed);
  EXPECT_EQ(LifecycleOfExit("KeyboardInterrupt"), Lifecycle::kCancelled);
  EXPECT_EQ(LifecycleOfExit(""), Lifecycle::kRunning);
}

Step StepOf(Lifecycle status) {
  Step step;
  step.status = status;
  return step;
}

TEST(SettleOpenCalls, KeepsOpenOnlyTheEndOfWhatGoesOn) {
  Operation operation;
  operation.status = Lifecycle::kRunning;
  operation.steps = {StepOf(Lifecycle::kRunning), StepOf(Lifecycle::kCompleted),
                     StepOf(Lifecycle::kRunning), StepOf(Lifecycle::kRunning)};
  SettleOpenCalls(&operation);
  EXPECT_EQ(operation.steps[0].status, Lifecycle::kCancelled);
  EXPECT_EQ(operation.steps[0].error, "no result recorded");
  EXPECT_EQ(operation.steps[2].status, Lifecycle::kRunning);
  EXPECT_EQ(operation.steps[3].status, Lifecycle::kRunning);
  operation.status = Lifecycle::kFailed;
  SettleOpenCalls(&operation);
  EXPECT_EQ(operation.steps[1].status, Lifecycle::kCompleted);
  EXPECT_EQ(operation.steps[3].status, Lifecycle::kCancelled);
}

TEST(StemOf, DropsTheEndingsOfRecordings) {
  Source source;
  for (const std::string_view name : {"run.traj.json", "run.traj", "run.json", "run"}) {
    source.name = name;
    EXPECT_EQ(StemOf(source), "run") << name;
  }
}

TEST(ConversationKey, TellsConversationsApart) {
  const Json a = Parse(R"({"role":"user","content":"a"})");
  const Json same = Parse(R"({"content":"a","role":"user"})");
  const Json b = Parse(R"({"role":"user","content":"b"})");
  EXPECT_EQ(ConversationKey("x", {a}), ConversationKey("x", {same}));
  EXPECT_NE(ConversationKey("x", {a}), ConversationKey("x", {b}));
  EXPECT_NE(ConversationKey("x", {a}), ConversationKey("x", {a, b}));
  EXPECT_NE(ConversationKey("x", {a}), ConversationKey("y", {a}));
}

}  // namespace
}  // namespace nimbus::tools::import
