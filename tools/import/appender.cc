#include "tools/import/appender.h"

#include <utility>

#include "nimbus/schema/status.h"

namespace nimbus::tools::import {
namespace {

using schema::Event;

// A batch is one frame of the journal: large enough that what a frame costs
// does not show, no larger than what the journal groups anyway.
constexpr size_t kBatchEvents = 500;
constexpr size_t kBatchBytes = 2u << 20;

bool IsRefusal(const absl::Status& status) {
  return absl::IsAborted(status) || absl::IsAlreadyExists(status) ||
         absl::IsFailedPrecondition(status);
}

}  // namespace

void Appender::Add(Event event) {
  batch_bytes_ += schema::TextBytes(event.body);
  event.imported = true;
  batch_.push_back(std::move(event));
}

absl::Status Appender::Flush(bool now) {
  const bool full = batch_.size() >= kBatchEvents || batch_bytes_ >= kBatchBytes;
  if (batch_.empty() || (!full && !now)) return absl::OkStatus();
  if (stop_ != nullptr && stop_->load())
    return absl::CancelledError("interrupted; the same command goes on from here");
  const schema::Uuid& stream = batch_.front().stream;
  const absl::StatusOr<journal::Appended> appended =
      journal_.Append(batch_, {.expected_version = versions_[stream]});
  if (!appended.ok()) {
    refused_ = IsRefusal(appended.status());
    return appended.status();
  }
  for (const Event& event : batch_) ++versions_[event.stream];
  events_ += batch_.size();
  batch_.clear();
  batch_bytes_ = 0;
  return absl::OkStatus();
}

}  // namespace nimbus::tools::import
