#include "tools/import/inspect_state.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "testing/random.h"
#include "testing/status_matchers.h"

namespace nimbus::tools::import {
namespace {

using schema::Json;
using test::IsOk;
using test::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Place = InspectState::Place;

Json Parse(std::string_view text) {
  absl::StatusOr<Json> value = Json::Parse(text);
  EXPECT_THAT(value, IsOk());
  return value.ok() ? *std::move(value) : Json();
}

class InspectStateTest : public ::testing::Test {
 protected:
  absl::Status Change(std::string_view changes, const Place& place = {}) {
    return state_.Change(Parse(changes), place, "events[7]", &notes_);
  }
  std::string Text() const { return state_.current().Dump(); }

  InspectState state_{Parse(R"({"messages":[],"store":{"a":1}})")};
  Notes notes_;
};

TEST_F(InspectStateTest, AppliesChangesInOrder) {
  EXPECT_THAT(Change(R"([{"op":"add","path":"/messages/0","value":"x"},
                         {"op":"replace","path":"/messages/0","value":"y","replaced":"x"}])"),
              IsOk());
  EXPECT_EQ(Text(), R"({"messages":["y"],"store":{"a":1}})");
  EXPECT_THAT(notes_.Take(), IsEmpty());
}

TEST_F(InspectStateTest, AppliesChangesOfAStoreBelowIt) {
  EXPECT_THAT(Change(R"([{"op":"copy","from":"/a","path":"/b"}])", {.store = true}), IsOk());
  EXPECT_EQ(Text(), R"({"messages":[],"store":{"a":1,"b":1}})");
}

// An outer span tells again what the inner ones told.
TEST_F(InspectStateTest, AppliesEachEventToWhatItsSpanBeganWith) {
  ASSERT_THAT(state_.OpenSpan("outer"), IsOk());
  ASSERT_THAT(state_.OpenSpan("inner"), IsOk());
  ASSERT_THAT(
      Change(R"([{"op":"add","path":"/list","value":[1]}])", {.span = "inner", .store = true}),
      IsOk());
  state_.CloseSpan("inner");
  ASSERT_THAT(Change(R"([{"op":"add","path":"/list","value":[1]},{"op":"remove","path":"/a"}])",
                     {.span = "outer", .store = true}),
              IsOk());
  EXPECT_EQ(Text(), R"({"messages":[],"store":{"list":[1]}})");
  ASSERT_THAT(Change(R"([{"op":"add","path":"/messages/0","value":"m"},
                         {"op":"remove","path":"/store/a"},
                         {"op":"add","path":"/store/list","value":[1]}])",
                     {.span = "outer"}),
              IsOk());
  EXPECT_EQ(Text(), R"({"messages":["m"],"store":{"list":[1]}})");
  EXPECT_THAT(notes_.Take(), IsEmpty());
}

TEST_F(InspectStateTest, StepsEndInnermostFirst) {
  ASSERT_THAT(state_.OpenStep(), IsOk());
  ASSERT_THAT(Change(R"([{"op":"add","path":"/x","value":1}])"), IsOk());
  ASSERT_THAT(state_.OpenStep(), IsOk());
  ASSERT_THAT(Change(R"([{"op":"add","path":"/y","value":1}])"), IsOk());
  state_.CloseStep();
  ASSERT_THAT(Change(R"([{"op":"add","path":"/z","value":1}])"), IsOk());
  EXPECT_EQ(Text(), R"({"messages":[],"store":{"a":1},"z":1})");
  state_.CloseStep();
  state_.CloseStep();  // none is open
}

TEST_F(InspectStateTest, TellsWhatHasChangedSinceItWasAsked) {
  ASSERT_THAT(state_.OpenSpan("outer"), IsOk());
  EXPECT_EQ(state_.TakePatch().Dump(), "[]");
  ASSERT_THAT(Change(R"([{"op":"add","path":"/messages/-","value":"m"},
                         {"op":"test","path":"/messages/0","value":"m"},
                         {"op":"replace","path":"/store","value":{"a":1}}])"),
              IsOk());
  EXPECT_EQ(state_.TakePatch().Dump(), R"([{"op":"add","path":"/messages/-","value":"m"}])");
  EXPECT_EQ(state_.TakePatch().Dump(), "[]");
  // Of what a span tells again only what is new.
  ASSERT_THAT(Change(R"([{"op":"add","path":"/messages/0","value":"m"},
                         {"op":"replace","path":"/store/a","value":2}])",
                     {.span = "outer"}),
              IsOk());
  EXPECT_EQ(state_.TakePatch().Dump(), R"([{"op":"replace","path":"/store/a","value":2}])");
}

// However the spans lie, each event is applied to the state that its own began with: as it
// is when every state is kept whole.
TEST_F(InspectStateTest, GoesBackToTheBeginningOfAnySpan) {
  test::SeededRandom random;
  for (int round = 0; round < 200; ++round) {
    InspectState state(Parse(R"({"list":[],"store":{"n":0}})"));
    struct Open {
      std::string id;
      Json began_with;
    };
    std::vector<Open> open;
    Json replayed = state.current();
    for (int i = 0; i < 40; ++i) {
      const uint64_t what = random.Below(4);
      const size_t at = open.empty() ? 0 : random.Below(open.size());
      if (what == 0) {
        open.push_back({fmt::format("s{}", i), state.current()});
        ASSERT_THAT(state.OpenSpan(open.back().id), IsOk());
      } else if (what == 1 && !open.empty()) {
        state.CloseSpan(open[at].id);
        open.erase(open.begin() + static_cast<std::ptrdiff_t>(at));
      } else if (!open.empty()) {
        const Json patch = Parse(fmt::format(
            R"([{{"op":"add","path":"/list/-","value":{0}}},
                {{"op":"replace","path":"/store/n","value":{0}}},
                {{"op":"add","path":"/store/k{1}","value":[{0}]}}])",
            i, random.Below(3)));
        Json expected = open[at].began_with;
        ASSERT_THAT(replay::ApplyPatch(patch, &expected), IsOk());
        ASSERT_THAT(state.Change(patch, {.span = open[at].id}, "e", &notes_), IsOk());
        ASSERT_EQ(state.current(), expected);
      }
      ASSERT_THAT(replay::ApplyPatch(state.TakePatch(), &replayed), IsOk());
      ASSERT_EQ(replayed, state.current());
    }
  }
  EXPECT_THAT(notes_.Take(), IsEmpty());
}

TEST_F(InspectStateTest, SaysWhatIsReplacedOtherThanRecordedAndReplacesIt) {
  EXPECT_THAT(Change(R"([{"op":"replace","path":"/store/a","value":3,"replaced":2}])"), IsOk());
  EXPECT_EQ(Text(), R"({"messages":[],"store":{"a":3}})");
  EXPECT_THAT(notes_.Take(), ElementsAre(HasSubstr("events[7].changes[0]: replaces something")));
}

TEST_F(InspectStateTest, SaysWhatDoesNotFitAndLeavesTheStateAlone) {
  EXPECT_THAT(Change(R"([{"op":"add","path":"/x","value":1},{"op":"remove","path":"/y"}])"),
              IsOk());
  EXPECT_EQ(Text(), R"({"messages":[],"store":{"a":1}})");
  EXPECT_EQ(state_.TakePatch().Dump(), "[]");
  EXPECT_THAT(notes_.Take(), ElementsAre(HasSubstr("events[7].changes[1]: not applied")));
}

TEST_F(InspectStateTest, RefusesWhatIsNoPatch) {
  constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
  EXPECT_THAT(Change(R"([7])"), StatusIs(kInvalid, HasSubstr("events[7].changes[0]: a number")));
  EXPECT_THAT(Change(R"([{"op":"grow","path":"/x"}])"),
              StatusIs(kInvalid, HasSubstr("events[7].changes[0]")));
  EXPECT_THAT(Change(R"([{"op":"replace","path":"","value":[]}])"),
              StatusIs(kInvalid, HasSubstr("no object")));
  EXPECT_THAT(Change(R"([{"op":"replace","path":"","value":[]}])", {.store = true}), IsOk());
  EXPECT_EQ(Text(), R"({"messages":[],"store":[]})");
}

TEST(InspectStateLimitsTest, AreNamedAndCanBeReached) {
  const Json initial = Parse(R"({"text":""})");  // 11 bytes
  const Json changes = Parse(R"([{"op":"add","path":"/text","value":"0123456789"}])");
  Notes notes;
  InspectState fits(initial, {.state_bytes_max = 21});
  EXPECT_THAT(fits.Change(changes, {}, "e", &notes), IsOk());
  InspectState large(initial, {.state_bytes_max = 20});
  EXPECT_THAT(large.Change(changes, {}, "e", &notes),
              StatusIs(absl::StatusCode::kResourceExhausted));
  // What a change replaces is kept while a span that began before it is open.
  const Json replacing = Parse(R"([{"op":"remove","path":"/text"}])");
  const size_t bytes = replacing.Dump().size() + 9;  // "text":"" with what separates it
  for (const size_t kept : {bytes - 1, bytes}) {
    InspectState keeps(initial, {.kept_bytes_max = kept, .open_spans_max = 1});
    ASSERT_THAT(keeps.OpenSpan("s"), IsOk());
    EXPECT_THAT(keeps.OpenSpan("t"), StatusIs(absl::StatusCode::kResourceExhausted));
    EXPECT_EQ(keeps.Change(replacing, {}, "e", &notes).ok(), kept == bytes) << kept;
  }
  InspectState forgets(initial, {.kept_bytes_max = 0});
  EXPECT_THAT(forgets.Change(replacing, {}, "e", &notes), IsOk());
}

TEST(NotesTest, AreTheFirstAndHowManyMore) {
  Notes notes;
  for (size_t i = 0; i < Notes::kNotesMax; ++i) notes.Add("n");
  EXPECT_EQ(notes.Take().size(), Notes::kNotesMax);
  for (size_t i = 0; i < Notes::kNotesMax + 3; ++i) notes.Add("n");
  const std::vector<std::string> taken = notes.Take();
  ASSERT_EQ(taken.size(), Notes::kNotesMax + 1);
  EXPECT_EQ(taken.back(), "and 3 more of the kind");
  EXPECT_THAT(notes.Take(), IsEmpty());
}

}  // namespace
}  // namespace nimbus::tools::import
