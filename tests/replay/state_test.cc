#include "nimbus/replay/state.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "nimbus/replay/patch.h"
#include "replay/random_json.h"
#include "testing/status_matchers.h"

namespace nimbus::replay {
namespace {

using schema::Json;
using test::IsOk;
using test::StatusIs;
using testing::HasSubstr;

Json Conversation() { return Json::MakeObject({{"messages", Json::MakeArray()}}); }

Json Message(size_t bytes) { return Json::String(std::string(bytes, 'm')); }

TEST(State, RecordsAPatchAndADigestThatReplayReproduces) {
  constexpr unsigned kSeed = 7;
  std::mt19937 random(kSeed);
  NIMBUS_ASSERT_OK_AND_ASSIGN(State recorded, State::Make(RandomJson(random, 4)));
  NIMBUS_ASSERT_OK_AND_ASSIGN(State replayed, State::Make(recorded.document()));
  for (int i = 0; i < 500; ++i) {
    const Json next = Mutated(recorded.document(), random);
    NIMBUS_ASSERT_OK_AND_ASSIGN(const StateChange change, recorded.RecordNext(next));
    EXPECT_EQ(recorded.document(), next);
    EXPECT_EQ(recorded.bytes(), recorded.Text().size());
    ASSERT_EQ(change.digest, schema::StateDigest(next));
    if (!change.patch.empty()) {
      NIMBUS_ASSERT_OK(replayed.Fold(change.patch));
    }
    ASSERT_EQ(replayed.Digest(), *change.digest) << "change " << i << ", seed " << kSeed;
  }
}

TEST(State, AnUnchangedStateHasNoPatch) {
  NIMBUS_ASSERT_OK_AND_ASSIGN(State state, State::Make(Conversation()));
  NIMBUS_ASSERT_OK_AND_ASSIGN(const StateChange change, state.RecordNext(Conversation()));
  EXPECT_EQ(change.patch, "");
  EXPECT_EQ(change.digest, state.Digest());
  EXPECT_FALSE(change.checkpoint_due);
}

TEST(State, EachStepHasADigestUpToTheirFloor) {
  const size_t floor = 16u << 10;
  EXPECT_EQ(StateOptions{}.digest_floor_bytes, floor);
  for (const int over : {-1, 0, 1}) {
    const size_t text = floor + static_cast<size_t>(over + 1) - 1;
    NIMBUS_ASSERT_OK_AND_ASSIGN(State state, State::Make(Message(text - 2)));
    EXPECT_EQ(state.bytes(), text);
    NIMBUS_ASSERT_OK_AND_ASSIGN(const StateChange change, state.Record(Json::MakeArray()));
    EXPECT_EQ(change.digest.has_value(), over <= 0) << over;
  }
}

TEST(State, DigestsOfALargeStateStayLinearInThePatches) {
  const size_t large = 100'000;
  NIMBUS_ASSERT_OK_AND_ASSIGN(
      State recorded,
      State::Make(Json::MakeObject({{"text", Message(large)}, {"messages", Json::MakeArray()}})));
  State replayed = recorded;
  size_t since = 0, digests = 0;
  for (int step = 0; step < 500; ++step) {
    NIMBUS_ASSERT_OK_AND_ASSIGN(const StateChange change,
                                recorded.Record(AppendPatch("/messages", {Message(300)})));
    since += change.patch.size();
    ASSERT_EQ(change.digest.has_value(), since > recorded.bytes() / 16) << step;
    if (change.digest.has_value()) {
      EXPECT_EQ(*change.digest, recorded.Digest());
      since = 0;
      ++digests;
    }
    if (step % 2 == 0) {
      NIMBUS_ASSERT_OK(replayed.Fold(change.patch));
    } else {
      NIMBUS_ASSERT_OK_AND_ASSIGN(const StateChange again,
                                  replayed.Record(AppendPatch("/messages", {Message(300)})));
      ASSERT_EQ(again.digest, change.digest) << step;
    }
    if (change.checkpoint_due) {
      recorded.MarkCheckpoint();
      replayed.MarkCheckpoint();
      since = 0;
    }
  }
  EXPECT_GT(digests, 10u);
  EXPECT_LT(digests, 40u);
}

TEST(State, ACheckpointIsDueOncePatchesExceedTheLast) {
  NIMBUS_ASSERT_OK_AND_ASSIGN(State state,
                              State::Make(Conversation(), {.checkpoint_floor_bytes = 1000}));
  size_t patches = 0, steps = 0;
  for (StateChange change; !change.checkpoint_due; ++steps) {
    EXPECT_LE(patches, 1000u);
    NIMBUS_ASSERT_OK_AND_ASSIGN(change, state.Record(AppendPatch("/messages", {Message(100)})));
    patches += change.patch.size();
  }
  EXPECT_GT(patches, 1000u);
  state.MarkCheckpoint();
  const size_t checkpoint = state.bytes();
  EXPECT_GT(checkpoint, 500u);

  // From here the checkpoint's own size is what counts, once it is larger.
  NIMBUS_ASSERT_OK(state.Record(AppendPatch("/messages", {Message(5000)})).status());
  state.MarkCheckpoint();
  patches = 0;
  for (StateChange change; !change.checkpoint_due;) {
    EXPECT_LE(patches, checkpoint + 5003);
    NIMBUS_ASSERT_OK_AND_ASSIGN(change, state.Record(AppendPatch("/messages", {Message(100)})));
    patches += change.patch.size();
  }
  EXPECT_GT(patches, checkpoint + 5003);
}

TEST(State, StepsThatChangeNothingBringACheckpoint) {
  const StateOptions options{.checkpoint_floor_bytes = 640, .step_bytes_min = 64};
  NIMBUS_ASSERT_OK_AND_ASSIGN(State recorded, State::Make(Conversation(), options));
  State replayed = recorded;
  for (int step = 1; step <= 10; ++step) {
    NIMBUS_ASSERT_OK_AND_ASSIGN(const StateChange change, recorded.Record(Json::MakeArray()));
    EXPECT_EQ(change.patch, "");
    EXPECT_FALSE(change.checkpoint_due) << step;
    replayed.FoldUnchanged();
  }
  NIMBUS_ASSERT_OK_AND_ASSIGN(const StateChange change, recorded.Record(Json::MakeArray()));
  EXPECT_TRUE(change.checkpoint_due);
  NIMBUS_ASSERT_OK_AND_ASSIGN(const StateChange again, replayed.Record(Json::MakeArray()));
  EXPECT_TRUE(again.checkpoint_due);
  // A patch counts as it is once it is longer.
  recorded.MarkCheckpoint();
  NIMBUS_ASSERT_OK_AND_ASSIGN(const StateChange large,
                              recorded.Record(AppendPatch("/messages", {Message(700)})));
  EXPECT_TRUE(large.checkpoint_due);
}

TEST(State, CheckpointsStayLinearInThePatches) {
  NIMBUS_ASSERT_OK_AND_ASSIGN(State state, State::Make(Conversation()));
  size_t patches = 0, checkpoints = 0;
  for (int i = 0; i < 3000; ++i) {
    NIMBUS_ASSERT_OK_AND_ASSIGN(const StateChange change,
                                state.Record(AppendPatch("/messages", {Message(300)})));
    patches += change.patch.size();
    if (change.checkpoint_due) {
      checkpoints += state.bytes();
      state.MarkCheckpoint();
    }
  }
  EXPECT_GT(checkpoints, 0u);
  EXPECT_LT(checkpoints, 2 * patches);
}

TEST(State, FoldingKeepsTheAccountOfPatches) {
  NIMBUS_ASSERT_OK_AND_ASSIGN(State recorded, State::Make(Conversation()));
  NIMBUS_ASSERT_OK_AND_ASSIGN(State resumed, State::Make(Conversation()));
  for (int i = 0; i < 100; ++i) {
    NIMBUS_ASSERT_OK_AND_ASSIGN(const StateChange change,
                                recorded.Record(AppendPatch("/messages", {Message(150)})));
    if (i < 50) {
      NIMBUS_ASSERT_OK(resumed.Fold(change.patch));
    } else {
      NIMBUS_ASSERT_OK_AND_ASSIGN(const StateChange again,
                                  resumed.Record(AppendPatch("/messages", {Message(150)})));
      ASSERT_EQ(again.checkpoint_due, change.checkpoint_due) << i;
      ASSERT_EQ(again.patch, change.patch);
    }
    if (change.checkpoint_due) {
      recorded.MarkCheckpoint();
      resumed.MarkCheckpoint();
    }
  }
  EXPECT_EQ(resumed.Text(), recorded.Text());
}

TEST(State, RefusesWhatExceedsItsLimits) {
  const StateOptions options{.limits = {.bytes_max = 100, .depth_max = 4}};
  EXPECT_THAT(State::Make(Message(98), options), IsOk());
  EXPECT_THAT(State::Make(Message(99), options),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("101 bytes")));
  NIMBUS_ASSERT_OK_AND_ASSIGN(State state, State::Make(Conversation(), options));  // 15 bytes
  const std::string before = state.Text();
  EXPECT_THAT(state.Record(AppendPatch("/messages", {Message(84)})),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("85 bytes")));
  EXPECT_EQ(state.Text(), before);
  EXPECT_THAT(state.Record(AppendPatch("/messages", {Message(83)})), IsOk());
  EXPECT_EQ(state.bytes(), 100u);
  EXPECT_THAT(state.Restore(*Json::Parse("[[]]")), IsOk());
  EXPECT_THAT(state.Restore(*Json::Parse("[[[]]]")),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("deeper than 2")));
  EXPECT_THAT(state.RecordNext(*Json::Parse("[[[]]]")),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("deeper than 2")));
  NIMBUS_ASSERT_OK(state.Restore(Message(98)));
  EXPECT_THAT(state.Restore(Json::MakeArray({Message(200)})),
              StatusIs(absl::StatusCode::kResourceExhausted));
  EXPECT_THAT(state.Fold("[{"), StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(state.Fold(R"([{"op":"remove","path":"/x"}])"),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("operation 0 (remove /x)")));
  EXPECT_EQ(state.bytes(), 100u);
}

}  // namespace
}  // namespace nimbus::replay
