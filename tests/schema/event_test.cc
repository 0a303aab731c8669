#include "nimbus/schema/event.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "testing/status_matchers.h"

namespace nimbus::schema {
namespace {

using test::IsOk;
using test::StatusIs;
using ::testing::HasSubstr;

const Uuid kOperation = DeriveUuid("test", "operation");
const Uuid kStep = DeriveUuid("test", "step");

Event StepAdded(std::string tool, std::string input) {
  fb::StepAddedT added;
  added.step = std::make_unique<fb::Id>(kStep.ToFb());
  added.type = fb::StepType::tool_call;
  added.tool_name = std::move(tool);
  Event event = MakeEvent(fb::EntityKind::operation, kOperation, std::move(added));
  event.body.input = std::move(input);
  return event;
}

absl::Status Invalid(const Event& event) { return ValidateEvent(event); }

TEST(EventTest, RecordAndBodyReadBackWhatTheEventSaid) {
  Event event = StepAdded("bash", R"({"command":"ls"})");
  event.occurred_at_us = 42;
  ASSERT_THAT(ValidateEvent(event), IsOk());
  std::vector<uint8_t> bytes = EncodeRecord(event);
  const fb::Record* record = *VerifyRecord(bytes);
  EXPECT_EQ(Uuid::FromFb(record->envelope()->stream()), kOperation);
  EXPECT_EQ(record->event_as_StepAdded()->tool_name()->string_view(), "bash");
  EXPECT_EQ(OccurredAt(*record), 42);
  const std::vector<uint8_t> body_bytes = EncodeBody(event);
  const fb::Body* body = *VerifyBody(body_bytes);
  EXPECT_EQ(body->input()->string_view(), R"({"command":"ls"})");
  EXPECT_EQ(body->output(), nullptr);

  MutableEnvelope(bytes)->mutate_sequence(7);
  EXPECT_EQ((*VerifyRecord(bytes))->envelope()->sequence(), 7u);
}

TEST(EventTest, AnEventWithoutTextsHasNoBody) {
  EXPECT_TRUE(EncodeBody(StepAdded("bash", "")).empty());
}

TEST(EventTest, AnImportedEventWithoutTimeHasNone) {
  Event event = StepAdded("bash", "{}");
  std::vector<uint8_t> bytes = EncodeRecord(event);
  MutableEnvelope(bytes)->mutate_time_us(5);
  EXPECT_EQ(OccurredAt(**VerifyRecord(bytes)), 5);
  event.imported = true;
  bytes = EncodeRecord(event);
  MutableEnvelope(bytes)->mutate_time_us(5);
  EXPECT_EQ(OccurredAt(**VerifyRecord(bytes)), std::nullopt);
}

TEST(EventTest, RefusesWhatIsMissing) {
  EXPECT_THAT(Invalid(Event()), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("event")));
  Event event = StepAdded("bash", "{}");
  event.stream = Uuid();
  EXPECT_THAT(Invalid(event), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("stream")));
  event = StepAdded("bash", "{}");
  event.payload.AsStepAdded()->step.reset();
  EXPECT_THAT(Invalid(event), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("step")));
}

TEST(EventTest, RefusesTextThatIsNoJsonOrNoUtf8AndNamesTheField) {
  EXPECT_THAT(Invalid(StepAdded("bash", "{")),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("input")));
  Event event = StepAdded("bash", "{}");
  event.body.error = "\xc3\x28";
  EXPECT_THAT(Invalid(event), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("error")));
}

TEST(EventTest, TakesANameUpToItsLimit) {
  EXPECT_THAT(Invalid(StepAdded(std::string(kNameBytesMax - 1, 'x'), "{}")), IsOk());
  EXPECT_THAT(Invalid(StepAdded(std::string(kNameBytesMax, 'x'), "{}")), IsOk());
  EXPECT_THAT(Invalid(StepAdded(std::string(kNameBytesMax + 1, 'x'), "{}")),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("255")));
  EXPECT_THAT(Invalid(StepAdded("a\nb", "{}")), StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST(EventTest, NoDamagedRecordPassesForAValidOneOutOfBounds) {
  const std::vector<uint8_t> bytes = EncodeRecord(StepAdded("bash", "{}"));
  for (size_t length = 0; length < bytes.size(); length += 8) {
    const std::vector<uint8_t> cut(bytes.begin(), bytes.begin() + static_cast<long>(length));
    EXPECT_THAT(VerifyRecord(cut), StatusIs(absl::StatusCode::kDataLoss)) << length;
  }
  size_t refused = 0;
  for (size_t i = 0; i < bytes.size(); ++i) {
    std::vector<uint8_t> flipped = bytes;
    flipped[i] ^= 0x80;
    // Whatever verifies can be read without leaving the buffer (under asan).
    const absl::StatusOr<const fb::Record*> record = VerifyRecord(flipped);
    if (!record.ok()) {
      ++refused;
    } else if (const auto* added = (*record)->event_as_StepAdded()) {
      EXPECT_LE(added->tool_name() == nullptr ? 0 : added->tool_name()->size(), bytes.size());
    }
  }
  EXPECT_GT(refused, 0u);
}

}  // namespace
}  // namespace nimbus::schema
