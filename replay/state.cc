#include "nimbus/replay/state.h"

#include <algorithm>
#include <utility>

#include "editor.h"
#include "nimbus/replay/patch.h"
#include "nimbus/schema/check.h"
#include "nimbus/schema/status.h"

namespace nimbus::replay {

using schema::Json;

namespace {

// A patch nests a value this much deeper than the document: [{"value":…}].
constexpr size_t kPatchDepth = 2;

// Of a state, that patches may change between two digests.
constexpr size_t kDigestShare = 16;

size_t DepthMax(const StateOptions& options) {
  return std::max(options.limits.depth_max, kPatchDepth) - kPatchDepth;
}

}  // namespace

State::State(Json document, const StateOptions& options)
    : options_(options), document_(std::move(document)), bytes_(TextSize(document_)) {
  MarkCheckpoint();
}

absl::StatusOr<State> State::Make(Json initial, const StateOptions& options) {
  State state(std::move(initial), options);
  NIMBUS_RETURN_IF_ERROR(state.CheckSize());
  return state;
}

absl::Status State::CheckSize() const {
  constexpr auto kExhausted = absl::StatusCode::kResourceExhausted;
  if (bytes_ > options_.limits.bytes_max) {
    return schema::Error(kExhausted, "a state of {} bytes exceeds the limit of {}", bytes_,
                         options_.limits.bytes_max);
  }
  if (Depth(document_) > DepthMax(options_)) {
    return schema::Error(kExhausted, "the state is nested deeper than {}", DepthMax(options_));
  }
  return absl::OkStatus();
}

absl::Status State::Restore(Json document) {
  State restored(std::move(document), options_);
  NIMBUS_RETURN_IF_ERROR(restored.CheckSize());
  *this = std::move(restored);
  return absl::OkStatus();
}

absl::Status State::Apply(Json patch, size_t patch_bytes) {
  const PatchLimits limits{.growth_bytes_max = options_.limits.bytes_max - bytes_,
                           .depth_max = DepthMax(options_)};
  NIMBUS_ASSIGN_OR_RETURN(const std::ptrdiff_t growth,
                          ApplyPatch(std::move(patch), &document_, limits));
  const std::ptrdiff_t bytes = static_cast<std::ptrdiff_t>(bytes_) + growth;
  NIMBUS_CHECK(bytes > 0);
  bytes_ = static_cast<size_t>(bytes);
  Count(patch_bytes);
  return absl::OkStatus();
}

void State::Count(size_t patch_bytes) {
  const size_t bytes = std::max(patch_bytes, options_.step_bytes_min);
  patch_bytes_ += bytes;
  undigested_bytes_ += bytes;
  if (DigestDue()) undigested_bytes_ = 0;
}

absl::StatusOr<StateChange> State::Record(const Json& patch) {
  StateChange change;
  change.patch = patch.Dump();
  if (patch.IsArray() && patch.array().empty()) change.patch.clear();
  NIMBUS_RETURN_IF_ERROR(Apply(patch, change.patch.size()));
  if (undigested_bytes_ == 0) change.digest = Digest();
  change.checkpoint_due = CheckpointDue();
  return change;
}

absl::StatusOr<StateChange> State::RecordNext(const Json& next) {
  return Record(Diff(document_, next));
}

absl::Status State::Fold(std::string_view patch) {
  NIMBUS_ASSIGN_OR_RETURN(Json parsed, Json::Parse(patch, options_.limits));
  return Apply(std::move(parsed), patch.size());
}

void State::FoldUnchanged() { Count(0); }

void State::MarkCheckpoint() {
  checkpoint_bytes_ = bytes_;
  patch_bytes_ = 0;
  undigested_bytes_ = 0;
}

bool State::DigestDue() const {
  return bytes_ <= options_.digest_floor_bytes || undigested_bytes_ > bytes_ / kDigestShare;
}

bool State::CheckpointDue() const {
  return patch_bytes_ > std::max(checkpoint_bytes_, options_.checkpoint_floor_bytes);
}

}  // namespace nimbus::replay
