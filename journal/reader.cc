#include "nimbus/journal/reader.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "body_reader.h"
#include "environment.h"
#include "nimbus/schema/status.h"
#include "read_ahead.h"

namespace nimbus::journal {

using schema::Error;
using Code = absl::StatusCode;

// A stream's records lie in several frames; going back along it visits few.
constexpr size_t kFramesKept = 4;

class Reader::Impl {
 public:
  Impl(const Environment& environment, const ReaderOptions& options)
      : environment_(environment), bodies_(environment, options.body_cache_bytes_max) {
    if (options.read_ahead_bodies) ahead_.WantBodies();
  }

  absl::StatusOr<const RecordView*> Next();
  absl::StatusOr<const RecordView*> Read(uint64_t sequence);
  absl::StatusOr<const schema::fb::Body*> Body(const RecordView& view);

  uint64_t position = 0;

 private:
  absl::Status FindFrame(uint64_t sequence, ReadAhead* ahead);  // to the front of frames_
  absl::StatusOr<const RecordView*> ReadWith(uint64_t sequence, ReadAhead* ahead);

  const Environment& environment_;
  BodyReader bodies_;
  std::vector<Frame> frames_;  // the front was used last
  RecordView view_;
  ReadAhead ahead_;          // of Next
  uint64_t generation_ = 0;  // that ahead_ is of
  PlainBody body_;           // keeps alive what Body returned
};

absl::Status Reader::Impl::FindFrame(uint64_t sequence, ReadAhead* ahead) {
  const auto held = std::find_if(frames_.begin(), frames_.end(),
                                 [&](const Frame& frame) { return frame.Holds(sequence); });
  if (held != frames_.end()) {
    std::rotate(frames_.begin(), held, held + 1);
    return absl::OkStatus();
  }
  NIMBUS_ASSIGN_OR_RETURN(const Snapshot snapshot, environment_.TakeSnapshot());
  // Another generation is mapped somewhere else, or where an earlier one was.
  const uint64_t generation = environment_.generation()->number;
  if (std::exchange(generation_, generation) != generation) ahead_.Forget();
  NIMBUS_ASSIGN_OR_RETURN(Frame frame, environment_.ReadFrame(snapshot, sequence, ahead));
  if (frames_.size() == kFramesKept) frames_.pop_back();
  frames_.insert(frames_.begin(), std::move(frame));
  return absl::OkStatus();
}

absl::StatusOr<const RecordView*> Reader::Impl::Read(uint64_t sequence) {
  return ReadWith(sequence, nullptr);
}

absl::StatusOr<const RecordView*> Reader::Impl::ReadWith(uint64_t sequence, ReadAhead* ahead) {
  NIMBUS_RETURN_IF_ERROR(FindFrame(sequence, ahead));
  const Frame& frame = frames_.front();
  const std::span<const uint8_t> bytes = frame.record(sequence - frame.first_sequence());
  absl::StatusOr<const schema::fb::Record*> record = schema::VerifyRecord(bytes);
  if (!record.ok()) return schema::Annotate(record.status(), fmt::format("record {}", sequence));
  if ((*record)->envelope()->sequence() != sequence) {
    return Error(Code::kDataLoss, "record {} says it is {}", sequence,
                 (*record)->envelope()->sequence());
  }
  view_ = {.sequence = sequence, .bytes = bytes, .record = *record};
  return &view_;
}

absl::StatusOr<const RecordView*> Reader::Impl::Next() {
  absl::StatusOr<const RecordView*> view = ReadWith(position, &ahead_);
  if (absl::IsOutOfRange(view.status())) return nullptr;
  if (view.ok()) ++position;
  return view;
}

absl::StatusOr<const schema::fb::Body*> Reader::Impl::Body(const RecordView& view) {
  const schema::fb::Envelope& envelope = view.envelope();
  if (envelope.body_size() == 0) return nullptr;
  ahead_.WantBodies();
  NIMBUS_ASSIGN_OR_RETURN(std::optional<PlainBody> plain, bodies_.Read(view.sequence));
  if (!plain.has_value()) {
    return Error(Code::kDataLoss, "the body of record {} is missing", view.sequence);
  }
  body_ = *std::move(plain);
  if (body_.bytes.size() != envelope.body_size() ||
      BodyCommitment(body_.bytes, body_.nonce) != schema::FromFb(envelope.body_commitment())) {
    return Error(Code::kDataLoss, "the body of record {} is not the one it commits to",
                 view.sequence);
  }
  absl::StatusOr<const schema::fb::Body*> body = schema::VerifyBody(body_.bytes);
  if (!body.ok()) return schema::Annotate(body.status(), fmt::format("record {}", view.sequence));
  return body;
}

Reader::Reader(const Journal& journal, const ReaderOptions& options)
    : impl_(std::make_unique<Impl>(*journal.environment_, options)) {}
Reader::~Reader() = default;
Reader::Reader(Reader&&) noexcept = default;

void Reader::Seek(uint64_t sequence) { impl_->position = sequence; }
uint64_t Reader::position() const { return impl_->position; }
absl::StatusOr<const RecordView*> Reader::Next() { return impl_->Next(); }
absl::StatusOr<const RecordView*> Reader::Read(uint64_t sequence) { return impl_->Read(sequence); }

absl::StatusOr<const schema::fb::Body*> Reader::Body(const RecordView& record) {
  return impl_->Body(record);
}

}  // namespace nimbus::journal
