#include "tools/import/appender.h"

#include <algorithm>
#include <utility>

#include "nimbus/schema/status.h"

namespace nimbus::tools::import {
namespace {

using journal::BodyBase;
using schema::Event;

// A batch is one frame of the journal: large enough that what a frame costs
// does not show, no larger than what the journal groups anyway.
constexpr size_t kBatchEvents = 500;
constexpr size_t kBatchBytes = 2u << 20;

size_t BodyBytes(const schema::fb::BodyT& body) {
  return body.name.size() + body.description.size() + body.context.size() + body.input.size() +
         body.output.size() + body.plan.size() + body.error.size() + body.state.size() +
         body.patch.size() + body.source.size();
}

bool IsRefusal(const absl::Status& status) {
  return absl::IsAborted(status) || absl::IsAlreadyExists(status) ||
         absl::IsFailedPrecondition(status);
}

}  // namespace

void Appender::AddStoredParts(const std::vector<StoredPart>& parts) {
  for (const StoredPart& part : parts)
    parts_.push_back({part.first, part.end, true, part.sequence});
}

void Appender::AddPart(Event event, uint64_t first, uint64_t records) {
  parts_.push_back({first, first + std::max<uint64_t>(records, 1), false, batch_.size()});
  Push(std::move(event), {});
}

void Appender::Add(Event event, uint64_t record, double share) {
  const auto [begin, end] =
      std::equal_range(parts_.begin(), parts_.end(), Part{record, record + 1, false, 0},
                       [](const Part& a, const Part& b) { return a.end <= b.first; });
  BodyBase base;
  if (begin != end) {
    const auto pieces = static_cast<double>(end - begin);
    const auto index = static_cast<ptrdiff_t>(std::clamp(share * pieces, 0.0, pieces - 1));
    const Part& part = begin[index];
    base.kind = part.appended ? BodyBase::Kind::kSequence : BodyBase::Kind::kBatchIndex;
    base.value = part.at;
  }
  Push(std::move(event), base);
}

void Appender::Add(Event event) { Push(std::move(event), {}); }

void Appender::Push(Event event, BodyBase base) {
  batch_bytes_ += BodyBytes(event.body);
  event.imported = true;
  batch_.push_back({std::move(event), base});
}

absl::Status Appender::Flush(bool now) {
  const bool full = batch_.size() >= kBatchEvents || batch_bytes_ >= kBatchBytes;
  if (batch_.empty() || (!full && !now)) return absl::OkStatus();
  if (stop_ != nullptr && stop_->load())
    return absl::CancelledError("interrupted; the same command goes on from here");
  const schema::Uuid& stream = batch_.front().event.stream;
  const absl::StatusOr<journal::Appended> appended =
      journal_.Append(batch_, {.expected_version = versions_[stream]});
  if (!appended.ok()) {
    refused_ = IsRefusal(appended.status());
    return appended.status();
  }
  for (Part& part : parts_) {
    if (!part.appended) part = {part.first, part.end, true, appended->first + part.at};
  }
  for (const journal::Entry& entry : batch_) ++versions_[entry.event.stream];
  events_ += batch_.size();
  batch_.clear();
  batch_bytes_ = 0;
  return absl::OkStatus();
}

}  // namespace nimbus::tools::import
