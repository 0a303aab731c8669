#include "tools/import/inspect_state.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "nimbus/replay/patch.h"
#include "nimbus/replay/pointer.h"
#include "nimbus/schema/status.h"
#include "tools/import/document.h"

namespace nimbus::tools::import {
namespace {

using absl::StatusCode;
using schema::Error;
using schema::Json;

constexpr std::string_view kStore = "store";
constexpr size_t kDepthMax = 500;  // as of a source's records

// One change as RFC 6902 has it, its paths below the store's where it is one of that.
Json OperationOf(const Json& change, bool store) {
  Json operation = Json::MakeObject();
  for (const std::string_view key : {"op", "path", "from", "value"}) {
    const Json* member = change.Find(key);
    if (member == nullptr || (key == "from" && member->IsNull())) continue;
    const bool pointer = key == "path" || key == "from";
    if (store && pointer && member->IsString()) {
      operation.Set(key, Json::String(fmt::format("/{}{}", kStore, member->string())));
    } else {
      operation.Set(key, *member);
    }
  }
  return operation;
}

// What the operation's path names; null when that is nothing yet, or no path.
const Json* Target(const Json& operation, const Json& document) {
  const Json* path = operation.Find("path");
  if (path == nullptr || !path->IsString()) return nullptr;
  const absl::StatusOr<replay::Pointer> pointer = replay::ParsePointer(path->string());
  return pointer.ok() ? replay::FindValue(document, *pointer) : nullptr;
}

// Whether the document has at the operation's path what it is said to replace.
bool Replaces(const Json& operation, const Json* replaced, const Json& document) {
  const std::string_view op = operation.StringOr("op");
  if (replaced == nullptr || replaced->IsNull() || (op != "replace" && op != "remove")) return true;
  const Json* target = Target(operation, document);
  return target == nullptr || *target == *replaced;
}

// A patch of the operation alone; of a replacement, what differs in it.
Json PatchOf(Json operation, const Json& document) {
  const Json* value = operation.Find("value");
  const Json* target = Target(operation, document);
  if (operation.StringOr("op") != "replace" || value == nullptr || target == nullptr)
    return Json::MakeArray({std::move(operation)});
  Json patch = replay::Diff(*target, *value);
  const std::string place(operation.StringOr("path"));
  for (Json& change : patch.array())
    change.Set("path", Json::String(place + std::string(change.StringOr("path"))));
  return patch;
}

replay::PatchLimits PatchLimitsOf(const InspectStateLimits& limits) {
  return {.growth_bytes_max = limits.state_bytes_max, .depth_max = kDepthMax};
}

absl::Status AtChange(const absl::Status& status, const std::string& where) {
  return schema::Annotate(status, absl::IsNotFound(status) ? where + ": not applied" : where);
}

// Where there is no such place, the event changes nothing, and it is told.
absl::Status NoteOrError(const absl::Status& status, Notes* notes) {
  if (!absl::IsNotFound(status)) return status;
  notes->Add(std::string(status.message()));
  return absl::OkStatus();
}

// A change as an operation on the document.
absl::StatusOr<Json> OperationAt(const Json& change, bool store, const std::string& where,
                                 const Json& document, Notes* notes) {
  NIMBUS_RETURN_IF_ERROR(Fields::Of(change, where).status());
  Json operation = OperationOf(change, store);
  if (!Replaces(operation, change.Find("replaced"), document))
    notes->Add(fmt::format("{}: replaces something else than it says", where));
  return operation;
}

absl::Status NoObject(const std::string& path) {
  return Error(StatusCode::kInvalidArgument, "{}: leaves a state that is no object", path);
}

}  // namespace

void Notes::Add(std::string note) {
  if (notes_.size() < kNotesMax) {
    notes_.push_back(std::move(note));
  } else {
    ++more_;
  }
}

std::vector<std::string> Notes::Take() {
  if (more_ > 0) notes_.push_back(fmt::format("and {} more of the kind", std::exchange(more_, 0)));
  return std::exchange(notes_, {});
}

InspectState::InspectState(Json initial, const InspectStateLimits& limits)
    : limits_(limits), current_(std::move(initial)), bytes_(current_.Dump().size()) {}

Json InspectState::TakePatch() { return Json::MakeArray(std::exchange(pending_, {})); }

absl::Status InspectState::OpenSpan(std::string id) {
  if (spans_.size() >= limits_.open_spans_max)
    return Error(StatusCode::kResourceExhausted, "more than {} spans are open",
                 limits_.open_spans_max);
  spans_.push_back({std::move(id), version()});
  return absl::OkStatus();
}

void InspectState::CloseSpan(std::string_view id) {
  const auto at =
      std::find_if(spans_.rbegin(), spans_.rend(), [&](const Span& span) { return span.id == id; });
  if (at == spans_.rend()) return;
  spans_.erase(std::next(at).base());
  Forget();
}

// Nobody goes back behind the oldest open span.
void InspectState::Forget() {
  const uint64_t oldest = spans_.empty() ? version() : spans_.front().version;
  for (; forgotten_ < oldest; ++forgotten_) {
    past_bytes_ -= past_.front().bytes;
    past_.pop_front();
  }
}

uint64_t InspectState::VersionOf(std::string_view id) const {
  const auto at =
      std::find_if(spans_.rbegin(), spans_.rend(), [&](const Span& span) { return span.id == id; });
  return at == spans_.rend() ? version() : at->version;
}

absl::Status InspectState::Change(const Json& changes, const Place& place, const std::string& path,
                                  Notes* notes) {
  const uint64_t base = VersionOf(place.span);
  return base == version() ? ApplyInPlace(changes, place, path, notes)
                           : ApplyToBase(base, changes, place, path, notes);
}

absl::Status InspectState::Apply(const Json& patch, std::vector<Past>* done) {
  if (patch.array().empty()) return absl::OkStatus();
  const auto text = static_cast<std::ptrdiff_t>(patch.Dump().size());
  replay::Undo undo;
  NIMBUS_ASSIGN_OR_RETURN(const std::ptrdiff_t growth,
                          replay::ApplyPatch(patch, &current_, PatchLimitsOf(limits_), &undo));
  bytes_ += static_cast<size_t>(growth);
  const auto replaced = static_cast<size_t>(std::max<std::ptrdiff_t>(0, text - growth));
  done->push_back({std::move(undo), replaced});
  for (const Json& operation : patch.array()) {
    if (operation.StringOr("op") != "test") pending_.push_back(operation);
  }
  return absl::OkStatus();
}

absl::Status InspectState::ApplyAll(const Json& changes, const Place& place,
                                    const std::string& path, Notes* notes,
                                    std::vector<Past>* done) {
  if (place.store && current_.Find(kStore) == nullptr) {
    const Json store = Json::MakeObject({{"op", Json::String("add")},
                                         {"path", Json::String(fmt::format("/{}", kStore))},
                                         {"value", Json::MakeObject()}});
    NIMBUS_RETURN_IF_ERROR(Apply(Json::MakeArray({store}), done));
  }
  for (size_t i = 0; i < changes.array().size(); ++i) {
    const std::string where = ItemPath(MemberPath(path, "changes"), i);
    NIMBUS_ASSIGN_OR_RETURN(Json operation,
                            OperationAt(changes.array()[i], place.store, where, current_, notes));
    const absl::Status status = Apply(PatchOf(std::move(operation), current_), done);
    if (!status.ok()) return AtChange(status, where);
  }
  return current_.IsObject() ? absl::OkStatus() : NoObject(path);
}

// The span holds no changes yet: it began with the state as it is.
absl::Status InspectState::ApplyInPlace(const Json& changes, const Place& place,
                                        const std::string& path, Notes* notes) {
  std::vector<Past> done;
  const size_t bytes = bytes_, pending = pending_.size();
  const absl::Status status = ApplyAll(changes, place, path, notes, &done);
  if (status.ok()) return Keep(std::move(done), path);
  for (; !done.empty(); done.pop_back()) done.back().undo.Apply(&current_);
  bytes_ = bytes;
  pending_.resize(pending);
  return NoteOrError(status, notes);
}

// The span's changes tell those again that it holds: makes the state that it began with,
// applies them there, and then what that differs in from the state as it is.
absl::Status InspectState::ApplyToBase(uint64_t base, const Json& changes, const Place& place,
                                       const std::string& path, Notes* notes) {
  Json state = current_;
  for (uint64_t at = version(); at > base; --at) past_[at - 1 - forgotten_].undo.Apply(&state);
  if (place.store && state.Find(kStore) == nullptr) state.Set(kStore, Json::MakeObject());
  for (size_t i = 0; i < changes.array().size(); ++i) {
    const std::string where = ItemPath(MemberPath(path, "changes"), i);
    NIMBUS_ASSIGN_OR_RETURN(const Json operation,
                            OperationAt(changes.array()[i], place.store, where, state, notes));
    const absl::Status status =
        replay::ApplyPatch(Json::MakeArray({operation}), &state, PatchLimitsOf(limits_)).status();
    if (!status.ok()) return NoteOrError(AtChange(status, where), notes);
  }
  if (!state.IsObject()) return NoObject(path);
  // A store event tells nothing of what is beside the store.
  if (place.store) {
    const Json* store = state.Find(kStore);
    Json next = current_;
    next.Set(kStore, store == nullptr ? Json::MakeObject() : *store);
    state = std::move(next);
  }
  std::vector<Past> done;
  NIMBUS_RETURN_IF_ERROR(Apply(replay::Diff(current_, state), &done));
  return Keep(std::move(done), path);
}

absl::Status InspectState::Keep(std::vector<Past> done, const std::string& path) {
  for (Past& past : done) {
    past_bytes_ += past.bytes;
    past_.push_back(std::move(past));
  }
  Forget();
  if (bytes_ <= limits_.state_bytes_max && past_bytes_ <= limits_.kept_bytes_max)
    return absl::OkStatus();
  return Error(StatusCode::kResourceExhausted,
               "{}: a state of {} bytes, {} kept of earlier ones, {} and {} are allowed", path,
               bytes_, past_bytes_, limits_.state_bytes_max, limits_.kept_bytes_max);
}

}  // namespace nimbus::tools::import
