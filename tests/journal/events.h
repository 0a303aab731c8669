// Events to put into a journal, for the tests and for the child they start.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>
#include <utility>

#include "nimbus/journal/journal.h"
#include "nimbus/schema/event.h"

namespace nimbus::journal {

using schema::Event;
using schema::MakeEvent;
using schema::Uuid;
using schema::fb::EntityKind;

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

// The n-th update of a session, by which the child and those who check on it
// know what was to be written.
inline std::string UpdateName(uint64_t n) {
  return fmt::format("update {} of a name long enough that zstd finds something to do, {}", n,
                     n * 7919);
}

inline Event SessionUpdated(const Uuid& session, uint64_t n) {
  Event event = MakeEvent(EntityKind::session, session, schema::fb::SessionUpdatedT());
  event.body.name = UpdateName(n);
  return event;
}

inline AppendId AppendIdOf(const Uuid& session, uint64_t n) {
  AppendId id;
  std::copy(session.bytes.begin() + 8, session.bytes.end(), id.begin());
  std::memcpy(id.data() + 8, &n, sizeof(n));
  return id;
}

}  // namespace nimbus::journal
