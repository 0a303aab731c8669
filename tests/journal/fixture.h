// A journal in a temporary store, and events to put into it.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "nimbus/journal/journal.h"
#include "nimbus/journal/reader.h"
#include "nimbus/schema/event.h"
#include "testing/files.h"
#include "testing/status_matchers.h"

namespace nimbus::journal {

using ::nimbus::test::IsOk;
using ::nimbus::test::IsOkAndHolds;
using ::nimbus::test::StatusIs;
using schema::Event;
using schema::MakeEvent;
using schema::Uuid;
using schema::fb::EntityKind;
using Code = absl::StatusCode;

inline Event SessionStarted(const Uuid& session, std::string name = "a session") {
  Event event = MakeEvent(EntityKind::session, session, schema::fb::SessionStartedT());
  event.body.name = std::move(name);
  return event;
}

inline Event SessionEnded(const Uuid& session) {
  return MakeEvent(EntityKind::session, session, schema::fb::SessionEndedT());
}

inline Event OperationCreated(const Uuid& operation, const Uuid& session,
                              std::string input = R"({"prompt":"deploy it"})") {
  schema::fb::OperationCreatedT created;
  created.session = std::make_unique<schema::fb::Id>(session.ToFb());
  created.type = "chat";
  Event event = MakeEvent(EntityKind::operation, operation, std::move(created));
  event.body.input = std::move(input);
  return event;
}

template <typename Payload>
Event OperationEvent(const Uuid& operation, std::string output = "") {
  Event event = MakeEvent(EntityKind::operation, operation, Payload());
  event.body.output = std::move(output);
  return event;
}

template <typename Payload>
Event StepEvent(const Uuid& operation, const Uuid& step, std::string output = "") {
  Payload payload;
  payload.step = std::make_unique<schema::fb::Id>(step.ToFb());
  Event event = MakeEvent(EntityKind::operation, operation, std::move(payload));
  event.body.output = std::move(output);
  return event;
}

inline Event StepAdded(const Uuid& operation, const Uuid& step, std::string input = "{}") {
  schema::fb::StepAddedT added;
  added.step = std::make_unique<schema::fb::Id>(step.ToFb());
  added.type = schema::fb::StepType::tool_call;
  added.tool_name = "bash";
  Event event = MakeEvent(EntityKind::operation, operation, std::move(added));
  event.body.input = std::move(input);
  return event;
}

inline Event CheckpointCreated(const Uuid& operation, const Uuid& checkpoint, const Uuid& step,
                               std::string state = "{}") {
  schema::fb::CheckpointCreatedT created;
  created.checkpoint = std::make_unique<schema::fb::Id>(checkpoint.ToFb());
  created.step = std::make_unique<schema::fb::Id>(step.ToFb());
  Event event = MakeEvent(EntityKind::operation, operation, std::move(created));
  event.body.state = std::move(state);
  return event;
}

class JournalTest : public ::testing::Test {
 protected:
  void SetUp() override { Open(); }

  void Open(Options options = {}) {
    journal_.reset();
    absl::StatusOr<std::unique_ptr<Journal>> opened = Journal::Open(store(), options);
    ASSERT_THAT(opened, IsOk());
    journal_ = *std::move(opened);
  }

  std::string store() const { return (directory_ / "store").string(); }

  // A session, and an operation in it, both begun.
  void Begin() {
    ASSERT_THAT(journal_->Append(SessionStarted(session_)), IsOk());
    ASSERT_THAT(journal_->Append(OperationCreated(operation_, session_)), IsOk());
  }

  test::TempDir directory_;
  std::unique_ptr<Journal> journal_;
  const Uuid session_ = schema::NewUuid();
  const Uuid operation_ = schema::NewUuid();
};

}  // namespace nimbus::journal
