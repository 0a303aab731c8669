#include "nimbus/replay/blame.h"

#include <charconv>

#include "nimbus/replay/forks.h"
#include "replay/fixture.h"
#include "testing/random.h"

namespace nimbus::replay {
namespace {

class BlameTest : public ReplayTest {
 protected:
  void StartWith(std::string_view state) {
    Begin();
    NIMBUS_ASSERT_OK_AND_ASSIGN(Json initial, Json::Parse(state));
    NIMBUS_ASSERT_OK_AND_ASSIGN(State made, State::Make(std::move(initial), options_));
    state_.emplace(std::move(made));
    schema::Event event = journal::OperationEvent<schema::fb::OperationStartedT>(operation_);
    event.body.state = state_->Text();
    event.body.digest = ToPtr(state_->Digest());
    start_ = Append(std::move(event));
  }

  // A step with this patch; a checkpoint where the rule wants one.
  void Patch(const Json& patch) {
    const schema::Uuid step = AddStep();
    auto event = journal::StepEvent<schema::fb::StepCompletedT>(operation_, step);
    absl::StatusOr<StateChange> change = state_->Record(patch);
    ASSERT_THAT(change, IsOk()) << patch.Dump();
    event.body.patch = change->patch;
    event.body.digest = ToPtr(*change->digest);
    ended_.push_back(Append(std::move(event)));
    if (change->checkpoint_due) Append(Checkpoint(step));
  }

  void Patch(std::string_view text) {
    NIMBUS_ASSERT_OK_AND_ASSIGN(const Json patch, Json::Parse(text));
    Patch(patch);
  }

  BlameReport Blamed(std::string_view pointer, const BlameOptions& options = {}) {
    absl::StatusOr<BlameReport> report = BlameValue(*journal_, operation_, pointer, options);
    EXPECT_THAT(report, IsOk()) << pointer;
    return report.value_or(BlameReport());
  }

  // "STEP BEFORE AFTER" of each change, the last first.
  std::vector<std::string> History(std::string_view pointer) {
    std::vector<std::string> lines;
    for (const ValueChange& change : Blamed(pointer, {.history = true}).changes) {
      lines.push_back(fmt::format("{} {} {}", change.step,
                                  change.before.has_value() ? change.before->Dump() : "-",
                                  change.after.has_value() ? change.after->Dump() : "-"));
    }
    return lines;
  }

  StateOptions options_{.checkpoint_floor_bytes = 64};
  uint64_t start_ = 0;
};

using ::testing::ElementsAre;

TEST_F(BlameTest, NamesTheStepThatLastSetAValue) {
  StartWith(R"({"a":1,"b":{"c":1}})");
  Patch(R"([{"op":"replace","path":"/a","value":2}])");
  Patch(R"([{"op":"replace","path":"/b/c","value":2}])");
  Patch(R"([{"op":"add","path":"/b/d","value":3}])");
  Patch(R"([{"op":"replace","path":"/a","value":2}])");  // changes nothing
  const BlameReport report = Blamed("/a");
  EXPECT_EQ(report.value->Dump(), "2");
  EXPECT_EQ(report.step, 4u);
  ASSERT_EQ(report.changes.size(), 1u);
  EXPECT_EQ(report.changes[0].step, 1u);
  EXPECT_EQ(report.changes[0].sequence, ended_[0]);
  EXPECT_EQ(report.changes[0].before->Dump(), "1");
  EXPECT_EQ(report.changes[0].after->Dump(), "2");
  EXPECT_THAT(History("/a"), ElementsAre("1 1 2", "0 - 1"));
  EXPECT_THAT(History("/b"),
              ElementsAre(R"(3 {"c":2} {"c":2,"d":3})", R"(2 {"c":1} {"c":2})", R"(0 - {"c":1})"));
  EXPECT_THAT(History("/b/d"), ElementsAre("3 - 3"));
  EXPECT_EQ(Blamed("").changes[0].step, 3u);
}

TEST_F(BlameTest, FollowsItemsThroughTheShiftsOfTheirArray) {
  StartWith(R"({"l":["x"]})");
  Patch(R"([{"op":"add","path":"/l/-","value":"y"}])");
  Patch(R"([{"op":"add","path":"/l/0","value":"w"}])");
  Patch(R"([{"op":"remove","path":"/l/1"}])");
  Patch(R"([{"op":"add","path":"/l/1","value":"z"},{"op":"add","path":"/l/-","value":"e"}])");
  // w z y e
  EXPECT_THAT(History("/l/2"), ElementsAre(R"(1 - "y")"));
  EXPECT_THAT(History("/l/0"), ElementsAre(R"(2 - "w")"));
  EXPECT_THAT(History("/l/1"), ElementsAre(R"(4 - "z")"));
  EXPECT_THAT(History("/l/3"), ElementsAre(R"(4 - "e")"));
  Patch(R"([{"op":"replace","path":"/l/2","value":"Y"}])");
  EXPECT_THAT(History("/l/2"), ElementsAre(R"(5 "y" "Y")", R"(1 - "y")"));
  EXPECT_EQ(Blamed("/l").changes[0].step, 5u);
  const BlameReport before = Blamed("/l/1", {.at = {.kind = Point::Kind::kStep, .step = 3}});
  EXPECT_EQ(before.value->Dump(), R"("y")");
  EXPECT_EQ(before.changes[0].step, 1u);
  EXPECT_EQ(before.step, 3u);
}

TEST_F(BlameTest, FollowsMovesAndStopsAtCopies) {
  StartWith(R"({"a":{"v":1},"l":[0]})");
  Patch(R"([{"op":"replace","path":"/a/v","value":2}])");
  Patch(R"([{"op":"move","from":"/a","path":"/b"}])");
  Patch(R"([{"op":"move","from":"/b/v","path":"/l/0"}])");
  EXPECT_THAT(History("/l/0"), ElementsAre("1 1 2", "0 - 1"));
  EXPECT_EQ(Blamed("/l/0", {.history = true}).changes[1].pointer, "/a/v");
  Patch(R"([{"op":"copy","from":"/l/0","path":"/c"}])");
  EXPECT_THAT(History("/c"), ElementsAre("4 - 2"));
  EXPECT_THAT(History("/l/1"), ElementsAre("0 - 0"));
  Patch(R"([{"op":"move","from":"/l/0","path":"/l/-"}])");
  EXPECT_THAT(History("/l/1"), ElementsAre("1 1 2", "0 - 1"));
  EXPECT_THAT(History("/l/0"), ElementsAre("0 - 0"));
}

TEST_F(BlameTest, NamesTheStepThatRemovedAValue) {
  StartWith(R"({"a":{"b":1}})");
  Patch(R"([{"op":"add","path":"/c","value":2}])");
  Patch(R"([{"op":"remove","path":"/a"}])");
  EXPECT_THAT(History("/a/b"), ElementsAre("2 1 -", "0 - 1"));
  const BlameReport report = Blamed("/a/b");
  EXPECT_EQ(report.value, std::nullopt);
  EXPECT_EQ(report.changes[0].pointer_before, "/a/b");
  EXPECT_THAT(report.ToJson().Dump(), HasSubstr(R"("exists":false)"));
  Patch(R"([{"op":"add","path":"/a","value":{"b":3}}])");
  EXPECT_THAT(History("/a/b"), ElementsAre("3 - 3", "2 1 -", "0 - 1"));
  EXPECT_THAT(BlameValue(*journal_, operation_, "/x", {}).status(),
              StatusIs(Code::kNotFound, HasSubstr("there is no /x after step 3")));
  EXPECT_THAT(BlameValue(*journal_, operation_, "/a/9", {}).status(), StatusIs(Code::kNotFound));
}

TEST_F(BlameTest, SaysWhatItCannotDo) {
  StartWith(R"({"a":0})");
  for (int i = 1; i <= 5; ++i) {
    Patch(fmt::format(R"([{{"op":"replace","path":"/a","value":{}}}])", i));
  }
  EXPECT_THAT(BlameValue(*journal_, operation_, "a", {}).status(),
              StatusIs(Code::kInvalidArgument));
  EXPECT_THAT(BlameValue(*journal_, session_, "/a", {}).status(), StatusIs(Code::kNotFound));
  const BlameOptions beyond{.at = {.kind = Point::Kind::kStep, .step = 6}};
  EXPECT_THAT(BlameValue(*journal_, operation_, "/a", beyond).status(), StatusIs(Code::kNotFound));
  EXPECT_FALSE(Blamed("/a", {.history = true, .changes_max = 6}).truncated);
  const BlameReport cut = Blamed("/a", {.history = true, .changes_max = 2});
  EXPECT_TRUE(cut.truncated);
  EXPECT_EQ(cut.changes.size(), 2u);
  EXPECT_EQ(cut.changes[1].step, 4u);

  schema::Event bad = journal::StepEvent<schema::fb::StepCompletedT>(operation_, AddStep());
  bad.body.patch = R"([{"op":"remove","path":"/nowhere"}])";
  Append(std::move(bad));
  EXPECT_THAT(BlameValue(*journal_, operation_, "/a", {}).status(), StatusIs(Code::kDataLoss));
}

TEST_F(BlameTest, FollowsWhatAForkBeganWithIntoItsParent) {
  StartWith(R"({"a":0,"b":0,"c":0})");
  Patch(R"([{"op":"replace","path":"/a","value":1}])");
  Patch(R"([{"op":"replace","path":"/b","value":2}])");
  Patch(R"([{"op":"replace","path":"/a","value":3}])");
  NIMBUS_ASSERT_OK_AND_ASSIGN(
      const ForkPlan plan,
      PlanFork(*journal_, operation_, {.kind = Point::Kind::kStep, .step = 2}));
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Forked child, ForkOperation(journal_.get(), plan));
  const schema::Uuid step = schema::NewUuid();
  Append(journal::StepAdded(child.operation, step));
  auto event = journal::StepEvent<schema::fb::StepCompletedT>(child.operation, step);
  event.body.patch = R"([{"op":"replace","path":"/b","value":9}])";
  Append(std::move(event));

  const auto blamed = [&](std::string_view pointer) {
    absl::StatusOr<BlameReport> report = BlameValue(*journal_, child.operation, pointer, {});
    EXPECT_THAT(report, IsOk());
    return report->changes.at(0);
  };
  EXPECT_EQ(blamed("/b").operation, child.operation);
  EXPECT_EQ(blamed("/b").step, 1u);
  EXPECT_EQ(blamed("/b").before->Dump(), "2");
  EXPECT_EQ(blamed("/a").operation, operation_);
  EXPECT_EQ(blamed("/a").step, 1u) << "not the third, which came after the fork";
  EXPECT_EQ(blamed("/c").step, 0u);
  EXPECT_EQ(blamed("/c").sequence, start_);
}

// Pointers of all values, and of all containers among them.
void Collect(const Json& value, const std::string& pointer, std::vector<std::string>* all,
             std::vector<std::string>* containers) {
  all->push_back(pointer);
  if (value.IsArray() || value.IsObject()) containers->push_back(pointer);
  if (value.IsArray()) {
    for (size_t i = 0; i < value.array().size(); ++i) {
      Collect(value.array()[i], fmt::format("{}/{}", pointer, i), all, containers);
    }
  } else if (value.IsObject()) {
    for (const Json::Member& member : value.object()) {
      Collect(member.second, pointer + "/" + member.first, all, containers);
    }
  }
}

// Each string that is ever set is "STEP.N", so that the values themselves say who set
// them, wherever they have got to.
class RandomBlame {
 public:
  explicit RandomBlame(test::SeededRandom* random) : random_(*random) {}

  // An operation that applies to `document`, which it changes.
  Json Operation(int step, Json* document) {
    for (;;) {
      Json operation = Draw(step, *document);
      if (ApplyPatch(Json::MakeArray({operation}), document).ok()) return operation;
    }
  }

 private:
  std::string Pick(const std::vector<std::string>& from) {
    return from[random_.Below(from.size())];
  }

  Json Value(int step) {
    Json text = Json::String(fmt::format("{}.{}", step, ++made_));
    switch (random_.Below(4)) {
      case 0:
        return Json::MakeArray({std::move(text)});
      case 1:
        return Json::MakeObject({{"k", std::move(text)}});
      default:
        return text;
    }
  }

  std::string PlaceIn(const Json& document, const std::string& container) {
    const Json* at = FindValue(document, *ParsePointer(container));
    if (at->IsObject()) {
      return container + "/" + std::string(1, static_cast<char>('a' + random_.Below(5)));
    }
    const size_t index = random_.Below(at->array().size() + 2);
    if (index > at->array().size()) return container + "/-";
    return fmt::format("{}/{}", container, index);
  }

  Json Draw(int step, const Json& document) {
    std::vector<std::string> all, containers;
    Collect(document, "", &all, &containers);
    const auto make = [](const char* op, std::string path) {
      return Json::MakeObject({{"op", Json::String(op)}, {"path", Json::String(std::move(path))}});
    };
    Json operation;
    switch (random_.Below(8)) {
      case 0:
        return make("remove", Pick(all));
      case 1:
        operation = make("replace", Pick(all));
        if (operation.StringOr("path").empty()) return operation;  // no value: does not apply
        break;
      case 2:
        operation = make("move", PlaceIn(document, Pick(containers)));
        operation.Set("from", Json::String(Pick(all)));
        return operation;
      default:
        operation = make("add", PlaceIn(document, Pick(containers)));
        break;
    }
    operation.Set("value", Value(step));
    return operation;
  }

  test::SeededRandom& random_;
  int made_ = 0;
};

TEST_F(BlameTest, NamesWhoSetEveryValueOfRandomHistories) {
  test::SeededRandom random;
  StartWith(R"({"list":[],"map":{},"deep":[{"l":[]},{"l":[]}]})");
  RandomBlame changes(&random);
  for (int step = 1; step <= 60; ++step) {
    Json document = state_->document();
    Json::Array patch;
    for (size_t n = 1 + random.Below(3); n > 0; --n) {
      patch.push_back(changes.Operation(step, &document));
    }
    Patch(Json::MakeArray(std::move(patch)));
  }
  EXPECT_GT(checkpoints_.size(), 2u);
  std::vector<std::string> all, containers;
  Collect(state_->document(), "", &all, &containers);
  for (const std::string& pointer : all) {
    const Json* value = FindValue(state_->document(), *ParsePointer(pointer));
    if (!value->IsString()) continue;
    uint32_t step = 0;
    std::from_chars(value->string().data(), value->string().data() + value->string().size(), step);
    const BlameReport report = Blamed(pointer, {.history = true});
    ASSERT_FALSE(report.changes.empty()) << pointer;
    EXPECT_EQ(report.changes[0].step, step) << pointer << " " << value->Dump();
    EXPECT_EQ(report.changes[0].after, *value);
    EXPECT_EQ(Blamed(pointer).changes[0].step, step);
  }
}

}  // namespace
}  // namespace nimbus::replay
