#include "nimbus/replay/compare.h"

#include "nimbus/replay/forks.h"
#include "replay/fixture.h"

namespace nimbus::replay {
namespace {

using Kind = StepPair::Kind;

class CompareTest : public ReplayTest {
 protected:
  struct Call {
    std::string tool, input, output;
    std::string patch = {};
    bool fails = false;
  };

  void SetUp() override {
    ReplayTest::SetUp();
    ASSERT_THAT(journal_->Append(journal::SessionStarted(session_)), IsOk());
  }

  schema::Uuid Recorded(const std::vector<Call>& calls, const std::string& state = "{}") {
    const schema::Uuid operation = schema::NewUuid();
    std::vector<schema::Event> events;
    events.push_back(journal::OperationCreated(operation, session_));
    events.push_back(journal::OperationEvent<schema::fb::OperationStartedT>(operation));
    events.back().body.state = state;
    for (const Call& call : calls) {
      const schema::Uuid step = schema::NewUuid();
      events.push_back(journal::StepAdded(operation, step, call.input));
      events.back().payload.AsStepAdded()->tool_name = call.tool;
      events.push_back(
          call.fails
              ? journal::StepEvent<schema::fb::StepFailedT>(operation, step, call.output)
              : journal::StepEvent<schema::fb::StepCompletedT>(operation, step, call.output));
      events.back().body.patch = call.patch;
    }
    EXPECT_THAT(journal_->Append(events), IsOk());
    return operation;
  }

  Comparison Compared(const schema::Uuid& a, const schema::Uuid& b,
                      const CompareOptions& options = {}) {
    absl::StatusOr<Comparison> found = CompareOperations(*journal_, a, b, options);
    EXPECT_THAT(found, IsOk());
    return found.value_or(Comparison());
  }

  static std::string Lines(const Comparison& found) {
    std::string lines;
    for (const StepPair& pair : found.differences) {
      lines += fmt::format("{} {} {}\n", KindText(pair.kind), pair.a, pair.b);
    }
    return lines;
  }
};

TEST_F(CompareTest, FindsNoDifferenceWhereThereIsNone) {
  const std::vector<Call> calls = {
      {"ls", R"({"a":1,"b":2})", "1", R"([{"op":"add","path":"/x","value":1}])"},
      {"cat", "{}", "2"}};
  std::vector<Call> respelled = calls;
  respelled[0].input = R"({ "b": 2.0, "a": 1e0 })";
  const Comparison found = Compared(Recorded(calls), Recorded(respelled));
  EXPECT_TRUE(found.same());
  EXPECT_EQ(found.pairs_same, 2u);
  EXPECT_EQ(found.first, std::nullopt);
  EXPECT_EQ(found.state_in_the_end->Dump(), "[]");
  const schema::Uuid one = Recorded(calls);
  EXPECT_TRUE(Compared(one, one).same());
  EXPECT_TRUE(Compared(Recorded({}), Recorded({})).same());
}

TEST_F(CompareTest, TellsWhatKindEachDifferenceIs) {
  const std::vector<Call> a = {{"ls", "1", "1"},
                               {"cat", R"({"file":"x"})", "2"},
                               {"rm", "1", "3", R"([{"op":"add","path":"/gone","value":1}])"},
                               {"ok", "1", "1"},
                               {"only", "1", "1"},
                               {"end", "1", "1"}};
  std::vector<Call> b = a;
  b[1].input = R"({"file":"y"})";
  b[2].patch = R"([{"op":"add","path":"/gone","value":2}])";
  b[3].output = "2";
  b[4] = {"other", "1", "1"};
  b.push_back({"more", "1", "1"});
  const schema::Uuid first = Recorded(a), second = Recorded(b);
  const Comparison found = Compared(first, second);
  EXPECT_EQ(Lines(found), "input 2 2\nstate 3 3\nresult 4 4\nonly_a 5 0\nonly_b 0 5\nonly_b 0 7\n");
  EXPECT_EQ(found.pairs_same, 2u);
  EXPECT_EQ(found.pairs_input, 1u);
  EXPECT_EQ(found.pairs_state, 1u);
  EXPECT_EQ(found.pairs_result, 1u);
  EXPECT_EQ(found.only_a, 1u);
  EXPECT_EQ(found.only_b, 2u);
  EXPECT_EQ(found.first->a, 2u);
  EXPECT_EQ(found.state_there->Dump(), "[]");
  EXPECT_EQ(found.state_in_the_end->Dump(), R"([{"op":"replace","path":"/gone","value":2}])");
  EXPECT_THAT(found.ToJson().Dump(), HasSubstr(R"("first":{"kind":"input","a":2,"b":2})"));

  NIMBUS_ASSERT_OK_AND_ASSIGN(PairReader reader, PairReader::Open(*journal_, first, second));
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Json input, reader.Read(found.differences[0]));
  EXPECT_EQ(input.Find("input")->Dump(), R"([{"op":"replace","path":"/file","value":"y"}])");
  EXPECT_EQ(input.StringOr("tool_name"), "cat");
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Json result, reader.Read(found.differences[2]));
  EXPECT_EQ(result.Find("output")->Dump(), R"([{"op":"replace","path":"","value":2}])");
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Json alone, reader.Read(found.differences[4]));
  EXPECT_EQ(alone.StringOr("tool_name"), "other");
  EXPECT_TRUE(alone.Find("a")->IsNull());
}

TEST_F(CompareTest, PairsWhatFollowsAnInsertion) {
  std::vector<Call> a, b;
  for (int i = 0; i < 50; ++i) a.push_back({"t", fmt::format("{}", i), "1"});
  b = a;
  b.insert(b.begin() + 10, {"new", "1", "1"});
  b.erase(b.begin() + 30);
  const Comparison found = Compared(Recorded(a), Recorded(b));
  EXPECT_EQ(Lines(found), "only_b 0 11\nonly_a 30 0\n");
  EXPECT_TRUE(found.shortest);
  EXPECT_EQ(found.first->b, 11u);
}

TEST_F(CompareTest, AFailureAndItsErrorAreAResult) {
  const Comparison found =
      Compared(Recorded({{"t", "1", "1"}}), Recorded({{"t", "1", "1", "", true}}));
  EXPECT_EQ(Lines(found), "result 1 1\n");
}

TEST_F(CompareTest, SeesThatTheyBeginDifferently) {
  const Comparison found = Compared(Recorded({{"t", "1", "1"}}, R"({"a":1})"),
                                    Recorded({{"t", "1", "1"}}, R"({"a":2})"));
  EXPECT_TRUE(found.start_differs);
  EXPECT_FALSE(found.same());
  EXPECT_TRUE(found.differences.empty());
  EXPECT_EQ(found.state_there->Dump(), R"([{"op":"replace","path":"/a","value":2}])");
  EXPECT_THAT(found.ToJson().Dump(), HasSubstr(R"("first":{"kind":"start","a":null,"b":null})"));
}

class CompareForksTest : public CompareTest {
 protected:
  static Call Counting(int number) {
    return {"t", fmt::format("{}", number), "1",
            fmt::format(R"([{{"op":"add","path":"/n","value":{}}}])", number)};
  }

  schema::Uuid Forked(const schema::Uuid& parent, uint32_t step, const std::vector<Call>& calls) {
    const absl::StatusOr<ForkPlan> plan =
        PlanFork(*journal_, parent, {.kind = Point::Kind::kStep, .step = step});
    EXPECT_THAT(plan, IsOk());
    const absl::StatusOr<replay::Forked> forked = ForkOperation(journal_.get(), *plan);
    EXPECT_THAT(forked, IsOk());
    for (const Call& call : calls) AddStep(forked->operation, call);
    return forked->operation;
  }

  void AddStep(const schema::Uuid& operation, const Call& call) {
    const schema::Uuid step = schema::NewUuid();
    schema::Event added = journal::StepAdded(operation, step, call.input);
    added.payload.AsStepAdded()->tool_name = call.tool;
    Append(std::move(added));
    schema::Event ended =
        journal::StepEvent<schema::fb::StepCompletedT>(operation, step, call.output);
    ended.body.patch = call.patch;
    Append(std::move(ended));
  }

  void ExpectShared(const Comparison& found, const schema::Uuid& operation, uint32_t step) {
    ASSERT_TRUE(found.shared.has_value());
    EXPECT_EQ(found.shared->operation, operation);
    EXPECT_EQ(found.shared->step, step);
    EXPECT_EQ(found.shared->steps, step);
    EXPECT_FALSE(found.start_differs);
  }
};

TEST_F(CompareForksTest, TheirPastIsSharedWithTheParent) {
  std::vector<Call> calls;
  for (int number = 1; number <= 6; ++number) calls.push_back(Counting(number));
  const schema::Uuid parent = Recorded(calls);
  // The fourth again, another fifth, and no sixth.
  const schema::Uuid fork = Forked(parent, 3, {Counting(4), Counting(50)});
  const Comparison found = Compared(parent, fork);
  ExpectShared(found, parent, 3);
  EXPECT_EQ(Lines(found), "input 5 2\nonly_a 6 0\n");
  EXPECT_EQ(found.pairs_same, 1u);
  EXPECT_EQ(found.state_there->Dump(), R"([{"op":"replace","path":"/n","value":50}])");
  NIMBUS_ASSERT_OK_AND_ASSIGN(Session session, Session::Open(*journal_, parent));
  NIMBUS_ASSERT_OK_AND_ASSIGN(const StepInfo third, session.FindStep(3));
  EXPECT_EQ(found.shared->sequence, third.ended);
  EXPECT_THAT(
      found.ToJson().Dump(),
      HasSubstr(fmt::format(R"("shared":{{"operation":"{}","step":3,"sequence":{},"steps":3}})",
                            parent.ToString(), *third.ended)));
  // The other way round.
  const Comparison turned = Compared(fork, parent);
  ExpectShared(turned, parent, 3);
  EXPECT_EQ(Lines(turned), "input 2 5\nonly_b 0 6\n");

  const schema::Uuid same = Forked(parent, 4, {Counting(5), Counting(6)});
  EXPECT_TRUE(Compared(parent, same).same());
  EXPECT_EQ(Compared(parent, same).state_in_the_end->Dump(), "[]");
  // Where the other one has no step of its own, its state is that of the shared past.
  const schema::Uuid bare = Forked(parent, 2, {});
  const Comparison shorter = Compared(parent, bare);
  ExpectShared(shorter, parent, 2);
  EXPECT_EQ(shorter.only_a, 4u);
  EXPECT_EQ(shorter.state_there->Dump(), R"([{"op":"replace","path":"/n","value":2}])");
  EXPECT_THAT(Compared(parent, Recorded(calls)).ToJson().Dump(), HasSubstr(R"("shared":null)"));
}

TEST_F(CompareForksTest, TwoForksFromOnePlaceShareItToo) {
  const schema::Uuid parent = Recorded({Counting(1), Counting(2), Counting(3)});
  const schema::Uuid one = Forked(parent, 2, {Counting(10)});
  const schema::Uuid other = Forked(parent, 2, {Counting(11)});
  const Comparison found = Compared(one, other);
  ExpectShared(found, parent, 2);
  EXPECT_EQ(Lines(found), "input 1 1\n");
  // A fork from the very start of a fork begins where that was forked.
  const Comparison again = Compared(other, Forked(one, 0, {Counting(11)}));
  ExpectShared(again, parent, 2);
  EXPECT_TRUE(again.same());
  // From different places they are two operations.
  EXPECT_FALSE(Compared(one, Forked(parent, 1, {Counting(2)})).shared.has_value());
  EXPECT_FALSE(Compared(one, one).shared.has_value());
}

TEST_F(CompareForksTest, StepsUnderWayAtTheForkAreNotShared) {
  const schema::Uuid parent = Recorded({Counting(1)});
  const schema::Uuid slow = schema::NewUuid();
  schema::Event added = journal::StepAdded(parent, slow, "2");
  added.payload.AsStepAdded()->tool_name = "t";
  Append(std::move(added));
  AddStep(parent, Counting(3));
  const schema::Uuid fork = Forked(parent, 3, {Counting(2)});
  Append(journal::StepEvent<schema::fb::StepCompletedT>(parent, slow, "1"));
  const Comparison found = Compared(parent, fork);
  ASSERT_TRUE(found.shared.has_value());
  EXPECT_EQ(found.shared->step, 3u);
  EXPECT_EQ(found.shared->steps, 2u);
  EXPECT_EQ(Lines(found), "state 2 1\n");
}

TEST_F(CompareTest, HasLimits) {
  std::vector<Call> a, b;
  for (int i = 0; i < 8; ++i) {
    a.push_back({"t" + std::to_string(i), "1", "1"});
    b.push_back({"u" + std::to_string(i), "1", "1"});
  }
  const schema::Uuid one = Recorded(a), other = Recorded(b);
  EXPECT_TRUE(Compared(one, other, {.edits_max = 16}).shortest);
  EXPECT_FALSE(Compared(one, other, {.edits_max = 15}).shortest);
  EXPECT_EQ(Compared(one, other, {.steps_max = 8}).only_a, 8u);
  EXPECT_THAT(CompareOperations(*journal_, one, other, {.steps_max = 7}).status(),
              StatusIs(Code::kResourceExhausted, HasSubstr("8 steps; 7 at most")));
  EXPECT_THAT(CompareOperations(*journal_, one, session_, {}).status(), StatusIs(Code::kNotFound));
}

}  // namespace
}  // namespace nimbus::replay
