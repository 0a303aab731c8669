// Pieces of the events that a Recorder appends, and of the ones that it compares with.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/statusor.h"
#include "nimbus/journal/prune.h"
#include "nimbus/schema/digest.h"
#include "nimbus/schema/event.h"
#include "nimbus/schema/json.h"
#include "nimbus/schema/status.h"

namespace nimbus::replay {

inline std::unique_ptr<schema::fb::Id> IdPtr(const schema::Uuid& id) {
  return std::make_unique<schema::fb::Id>(id.ToFb());
}

inline std::unique_ptr<schema::fb::Digest> DigestPtr(const schema::Digest& digest) {
  return std::make_unique<schema::fb::Digest>(schema::ToFb(digest));
}

template <typename Payload>
schema::Event OperationEvent(const schema::Uuid& operation, Payload payload) {
  return schema::MakeEvent(schema::fb::EntityKind::operation, operation, std::move(payload));
}

inline schema::Event StepStarted(const schema::Uuid& operation, const schema::Uuid& step,
                                 uint32_t attempt) {
  schema::fb::StepStartedT started;
  started.step = IdPtr(step);
  started.attempt = attempt;
  return OperationEvent(operation, std::move(started));
}

// An event that ends a step or an attempt, without its body.
template <typename Payload>
schema::Event StepEnded(const schema::Uuid& operation, const schema::Uuid& step,
                        const schema::fb::OutcomeT& outcome, Payload ended = {}) {
  ended.step = IdPtr(step);
  ended.outcome = std::make_unique<schema::fb::OutcomeT>(outcome);
  return OperationEvent(operation, std::move(ended));
}

// A body that should be there was erased, or is in an archive that is elsewhere.
inline bool IsAbsent(const absl::Status& status) {
  return absl::IsNotFound(status) || journal::IsArchiveAbsent(status);
}

// A JSON text; null when there is none.
inline absl::StatusOr<schema::Json> ParseGiven(std::string_view text, const std::string& what) {
  absl::StatusOr<schema::Json> value = schema::Json::Parse(text.empty() ? "null" : text);
  if (!value.ok()) return schema::Annotate(value.status(), what);
  return value;
}

inline absl::StatusOr<schema::Json> ParseRecorded(const flatbuffers::String* text) {
  if (text == nullptr) return schema::Json();
  absl::StatusOr<schema::Json> value = ParseGiven(text->string_view(), "recorded JSON");
  if (!value.ok()) return absl::DataLossError(value.status().message());
  return value;
}

}  // namespace nimbus::replay
