#include "tools/import/inspect_state.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "nimbus/replay/patch.h"
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

// Whether the document has at the operation's path what it is said to replace.
bool Replaces(const Json& operation, const Json* replaced, Json* document) {
  const std::string_view op = operation.StringOr("op");
  if (replaced == nullptr || replaced->IsNull() || (op != "replace" && op != "remove")) return true;
  const Json test =
      Json::MakeObject({{"op", Json::String("test")},
                        {"path", Json::String(std::string(operation.StringOr("path")))},
                        {"value", *replaced}});
  return !absl::IsFailedPrecondition(
      replay::ApplyPatch(Json::MakeArray({test}), document).status());
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
    : limits_(limits), kept_bytes_(std::make_shared<size_t>(0)) {
  const size_t bytes = initial.Dump().size();
  current_ = Keep(std::move(initial), bytes);
}

// Counted as kept until the last span that began with it has ended.
InspectState::Document InspectState::Keep(Json state, size_t bytes) {
  *kept_bytes_ += bytes;
  return {new Json(std::move(state)), [kept = kept_bytes_, bytes](const Json* document) {
            *kept -= bytes;
            delete document;
          }};
}

absl::Status InspectState::OpenSpan(std::string id) {
  if (spans_.size() >= limits_.open_spans_max)
    return Error(StatusCode::kResourceExhausted, "more than {} spans are open",
                 limits_.open_spans_max);
  spans_.push_back({std::move(id), current_});
  return absl::OkStatus();
}

void InspectState::CloseSpan(std::string_view id) {
  const auto at =
      std::find_if(spans_.rbegin(), spans_.rend(), [&](const Span& span) { return span.id == id; });
  if (at != spans_.rend()) spans_.erase(std::next(at).base());
}

InspectState::Document InspectState::BaseOf(std::string_view id) const {
  const auto at =
      std::find_if(spans_.rbegin(), spans_.rend(), [&](const Span& span) { return span.id == id; });
  return at == spans_.rend() ? current_ : at->began_with;
}

absl::Status InspectState::Change(const Json& changes, const Place& place, const std::string& path,
                                  Notes* notes) {
  Json state = *BaseOf(place.span);
  if (place.store && state.Find(kStore) == nullptr) state.Set(kStore, Json::MakeObject());
  const replay::PatchLimits limits{.growth_bytes_max = limits_.state_bytes_max,
                                   .depth_max = kDepthMax};
  for (size_t i = 0; i < changes.array().size(); ++i) {
    const Json& change = changes.array()[i];
    const std::string where = ItemPath(MemberPath(path, "changes"), i);
    NIMBUS_RETURN_IF_ERROR(Fields::Of(change, where).status());
    const Json operation = OperationOf(change, place.store);
    if (!Replaces(operation, change.Find("replaced"), &state))
      notes->Add(fmt::format("{}: replaces something else than it says", where));
    const absl::Status status =
        replay::ApplyPatch(Json::MakeArray({operation}), &state, limits).status();
    if (absl::IsNotFound(status)) {
      notes->Add(fmt::format("{}: not applied, {}", where, std::string(status.message())));
      return absl::OkStatus();
    }
    if (!status.ok()) return schema::Annotate(status, where);
  }
  if (!state.IsObject())
    return Error(StatusCode::kInvalidArgument, "{}: leaves a state that is no object", path);
  // A store event tells nothing of what is beside the store.
  if (place.store) {
    const Json* store = state.Find(kStore);
    Json next = *current_;
    next.Set(kStore, store == nullptr ? Json::MakeObject() : *store);
    state = std::move(next);
  }
  const size_t bytes = state.Dump().size();
  if (bytes > limits_.state_bytes_max || *kept_bytes_ + bytes > limits_.kept_bytes_max)
    return Error(StatusCode::kResourceExhausted,
                 "{}: a state of {} bytes, {} kept, {} and {} are "
                 "allowed",
                 path, bytes, *kept_bytes_, limits_.state_bytes_max, limits_.kept_bytes_max);
  current_ = Keep(std::move(state), bytes);
  return absl::OkStatus();
}

}  // namespace nimbus::tools::import
