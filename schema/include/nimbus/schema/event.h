// An event before it is journaled: what happened, to whom, when.
//
//   Event event = MakeEvent(fb::EntityKind::operation, operation_id, fb::StepAddedT{...});
//   event.body.input = R"({"command":"ls"})";
//   journal.Append({&event, 1});
//
// EncodeRecord and EncodeBody turn it into the two byte strings the journal
// stores: a Record, whose envelope the writer fills in later in place, and a Body.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "nimbus/schema/digest.h"
#include "nimbus/schema/events_generated.h"
#include "nimbus/schema/id.h"

namespace nimbus::schema {

inline constexpr size_t kRecordBytesMax = 64 * 1024 - 1;
inline constexpr size_t kNameBytesMax = 255;  // tool, type, provider, format and key strings

struct Event {
  fb::EntityKind stream_kind = fb::EntityKind::none;
  Uuid stream;
  fb::EventUnion payload;
  fb::BodyT body;                         // unset fields are not stored
  std::optional<int64_t> occurred_at_us;  // when not now
  bool imported = false;
};

template <typename Payload>
Event MakeEvent(fb::EntityKind stream_kind, const Uuid& stream, Payload payload) {
  Event event;
  event.stream_kind = stream_kind;
  event.stream = stream;
  event.payload.Set(std::move(payload));
  return event;
}

// Checks what can be checked without the journal: every JSON field is JSON
// within `json_limits`, every short name is valid UTF-8 without control
// characters and at most kNameBytesMax long, required fields are there, text
// fields are UTF-8. InvalidArgument names the field.
absl::Status ValidateEvent(const Event& event, const JsonLimits& json_limits = {});

// The event's Record with an envelope that holds only stream and stream_kind.
// Requires a valid event.
std::vector<uint8_t> EncodeRecord(const Event& event);
// The same, after what `out` holds, for which a multiple of 8 is required.
void AppendRecord(const Event& event, std::vector<uint8_t>* out);

// Of all texts of a body; its encoding takes a little more.
size_t TextBytes(const fb::BodyT& body);

// The event's Body; empty when no field of it is set.
std::vector<uint8_t> EncodeBody(const Event& event);
// The same, after what `out` holds, for which a multiple of 8 is required.
void AppendBody(const Event& event, std::vector<uint8_t>* out);

// Verified views of stored bytes, which must be aligned to 8 and outlive the
// result. DataLoss when the bytes are no such FlatBuffer.
absl::StatusOr<const fb::Record*> VerifyRecord(std::span<const uint8_t> bytes);
absl::StatusOr<const fb::Body*> VerifyBody(std::span<const uint8_t> bytes);

// The envelope inside verified record bytes, to fill in.
fb::Envelope* MutableEnvelope(std::span<uint8_t> record);

// When the event happened: occurred_at; else, unless imported, the envelope's time.
std::optional<int64_t> OccurredAt(const fb::Record& record);

}  // namespace nimbus::schema
