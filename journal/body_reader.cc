#include "body_reader.h"

#include <utility>
#include <vector>

#include "nimbus/schema/status.h"

namespace nimbus::journal {

const PlainBody* BodyCache::Find(uint64_t sequence) {
  const auto it = slots_.find(sequence);
  if (it == slots_.end()) return nullptr;
  uses_.splice(uses_.begin(), uses_, it->second.use);
  return &it->second.body;
}

void BodyCache::Insert(uint64_t sequence, PlainBody body) {
  if (slots_.contains(sequence)) return;
  bytes_ += body.bytes->size();
  uses_.push_front(sequence);
  slots_.emplace(sequence, Slot{std::move(body), uses_.begin()});
  while (bytes_ > bytes_max_) {
    const auto oldest = slots_.find(uses_.back());
    bytes_ -= oldest->second.body.bytes->size();
    slots_.erase(oldest);
    uses_.pop_back();
  }
}

absl::StatusOr<std::optional<PlainBody>> BodyReader::Read(uint64_t sequence) {
  struct Link {
    BodyEntry entry;
    Bytes stored;
  };
  std::vector<Link> chain;  // from `sequence` down to what needs no base, or is cached
  PlainBody plain;
  for (std::optional<uint64_t> next = sequence; next.has_value();) {
    if (const PlainBody* cached = cache_.Find(*next)) {
      plain = *cached;
      break;
    }
    Link link;
    NIMBUS_ASSIGN_OR_RETURN(const std::optional<BodyEntry> entry,
                            environment_.ReadStoredBody(*next, &link.stored));
    if (!entry.has_value()) {
      if (chain.empty()) return std::optional<PlainBody>();
      return schema::Error(absl::StatusCode::kDataLoss, "body {}: its base {} is missing", sequence,
                           *next);
    }
    link.entry = *entry;
    next = entry->base;
    chain.push_back(std::move(link));
    if (chain.size() > size_t{kBodyDepthMax} + 1) {
      return schema::Error(absl::StatusCode::kDataLoss, "body {}: too many bases", sequence);
    }
  }
  for (; !chain.empty(); chain.pop_back()) {
    const Link& link = chain.back();
    const std::span<const uint8_t> base = link.entry.base.has_value()
                                              ? std::span<const uint8_t>(*plain.bytes)
                                              : std::span<const uint8_t>();
    absl::StatusOr<Bytes> bytes = DecodeStored(link.entry.codec, link.stored, base);
    if (!bytes.ok()) {
      return schema::Annotate(bytes.status(), fmt::format("body {}", link.entry.sequence));
    }
    plain = {.bytes = std::make_shared<const Bytes>(*std::move(bytes)),
             .nonce = link.entry.nonce,
             .depth = link.entry.depth};
    cache_.Insert(link.entry.sequence, plain);
  }
  return std::optional<PlainBody>(std::move(plain));
}

}  // namespace nimbus::journal
