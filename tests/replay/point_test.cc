#include "nimbus/replay/point.h"

#include "nimbus/replay/pointer.h"
#include "replay/fixture.h"

namespace nimbus::replay {
namespace {

class PointTest : public ReplayTest {
 protected:
  void FailStep() {
    const schema::Uuid step = AddStep();
    auto event = journal::StepEvent<schema::fb::StepFailedT>(operation_, step);
    event.body.error = "no";
    Append(std::move(event));
    states_.push_back(state_->document());
  }

  Session Opened() {
    absl::StatusOr<Session> session = Session::Open(*journal_, operation_);
    EXPECT_THAT(session, IsOk());
    return *std::move(session);
  }
};

TEST_F(PointTest, IsWhereItsNameSays) {
  Record(30);
  ASSERT_GE(checkpoints_.size(), 1u);
  Session session = Opened();
  NIMBUS_ASSERT_OK(SeekTo(*journal_, {.kind = Point::Kind::kEnd}, &session));
  EXPECT_EQ(session.state().document(), states_.back());
  NIMBUS_ASSERT_OK(SeekTo(*journal_, {.kind = Point::Kind::kStart}, &session));
  EXPECT_EQ(session.step(), 0u);
  NIMBUS_ASSERT_OK(SeekTo(*journal_, {.kind = Point::Kind::kStep, .step = 7}, &session));
  EXPECT_EQ(session.state().document(), states_[6]);
  NIMBUS_ASSERT_OK(SeekTo(
      *journal_, {.kind = Point::Kind::kCheckpoint, .checkpoint = checkpoints_[0]}, &session));
  EXPECT_EQ(session.state().document(), states_[session.step() - 1]);
}

TEST_F(PointTest, BeforeTheLastFailureIsWhatThatStepBeganWith) {
  Record(3);
  Session none = Opened();
  EXPECT_THAT(SeekTo(*journal_, {.kind = Point::Kind::kLastFailure}, &none),
              StatusIs(Code::kNotFound, HasSubstr("no step")));
  FailStep();
  RecordStep(5);
  FailStep();
  RecordStep(7);
  Session session = Opened();
  NIMBUS_ASSERT_OK(SeekTo(*journal_, {.kind = Point::Kind::kLastFailure}, &session));
  EXPECT_EQ(session.step(), 5u);
  EXPECT_EQ(session.state().document(), states_[4]);
}

TEST_F(PointTest, BeforeAFailureOfTheFirstStepIsTheStart) {
  StartOperation();
  FailStep();
  Session session = Opened();
  NIMBUS_ASSERT_OK(SeekTo(*journal_, {.kind = Point::Kind::kLastFailure}, &session));
  EXPECT_EQ(session.step(), 0u);
}

TEST(Pointer, LeadsToValues) {
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Json document,
                              Json::Parse(R"({"a":[1,{"b/c":"x"}],"":2,"~":null})"));
  const auto text_at = [&](std::string_view text) -> std::string {
    const absl::StatusOr<Pointer> pointer = ParsePointer(text);
    EXPECT_THAT(pointer, IsOk());
    EXPECT_EQ(PointerText(*pointer), text);
    const Json* value = FindValue(document, *pointer);
    return value == nullptr ? "none" : value->Dump();
  };
  EXPECT_EQ(text_at(""), document.Dump());
  EXPECT_EQ(text_at("/a/1/b~1c"), R"("x")");
  EXPECT_EQ(text_at("/"), "2");
  EXPECT_EQ(text_at("/~0"), "null");
  for (const char* none : {"/a/2", "/a/-", "/a/01", "/b", "/a/0/x", "/a/x"}) {
    EXPECT_EQ(text_at(none), "none") << none;
  }
  EXPECT_THAT(ParsePointer("a").status(), StatusIs(Code::kInvalidArgument));
  EXPECT_THAT(ParsePointer("/~2").status(), StatusIs(Code::kInvalidArgument));
}

}  // namespace
}  // namespace nimbus::replay
