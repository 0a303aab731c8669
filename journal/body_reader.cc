#include "body_reader.h"

#include <algorithm>
#include <utility>

#include "nimbus/schema/check.h"
#include "nimbus/schema/status.h"

namespace nimbus::journal {
namespace {

bool Holds(const PlainBlock& block, uint64_t sequence) {
  return std::any_of(block.bodies.begin(), block.bodies.end(),
                     [&](const BodyExtent& body) { return body.sequence == sequence; });
}

}  // namespace

const PlainBlock* BlockCache::Find(uint64_t sequence) {
  auto it = slots_.upper_bound(sequence);
  if (it == slots_.begin() || !Holds((--it)->second.block, sequence)) return nullptr;
  uses_.splice(uses_.begin(), uses_, it->second.use);
  return &it->second.block;
}

void BlockCache::Insert(PlainBlock block) {
  const uint64_t first = block.first();
  if (const auto it = slots_.find(first); it != slots_.end()) {
    // The same block, or one that took it in when the log was applied.
    if (it->second.block.bodies.size() >= block.bodies.size()) return;
    bytes_ -= it->second.block.bytes->size();
    uses_.erase(it->second.use);
    slots_.erase(it);
  }
  bytes_ += block.bytes->size();
  uses_.push_front(first);
  slots_.emplace(first, Slot{std::move(block), uses_.begin()});
  while (bytes_ > bytes_max_) {
    const auto oldest = slots_.find(uses_.back());
    bytes_ -= oldest->second.block.bytes->size();
    slots_.erase(oldest);
    uses_.pop_back();
  }
}

void BlockCache::Clear() {
  slots_.clear();
  uses_.clear();
  bytes_ = 0;
}

BodyReader::BodyReader(const Environment& environment, size_t cache_bytes_max)
    : BodyReader([&environment](uint64_t sequence,
                                Bytes* bytes) { return environment.ReadBlock(sequence, bytes); },
                 cache_bytes_max) {
  environment_ = &environment;
}

uint64_t BodyReader::GenerationNow() const {
  return environment_ == nullptr ? 0 : environment_->generation()->number;
}

absl::StatusOr<std::optional<PlainBlock>> BodyReader::ReadBlock(uint64_t sequence) {
  for (;;) {
    // Another generation cuts blocks differently: none is a base across two.
    const uint64_t generation = GenerationNow();
    if (std::exchange(generation_, generation) != generation) cache_.Clear();
    absl::StatusOr<std::optional<PlainBlock>> block = ReadChain(sequence);
    if (GenerationNow() == generation) return block;
  }
}

absl::StatusOr<std::optional<PlainBlock>> BodyReader::ReadChain(uint64_t sequence) {
  struct Link {
    BlockEntry entry;
    Bytes stored;
  };
  std::vector<Link> chain;  // from `sequence` down to what needs no base, or is cached
  PlainBlock plain;
  for (std::optional<uint64_t> next = sequence; next.has_value();) {
    if (const PlainBlock* cached = cache_.Find(*next)) {
      plain = *cached;
      break;
    }
    Link link;
    NIMBUS_ASSIGN_OR_RETURN(std::optional<BlockEntry> entry, source_(*next, &link.stored));
    if (!entry.has_value()) {
      if (chain.empty()) return std::optional<PlainBlock>();
      return schema::Error(absl::StatusCode::kDataLoss, "body {}: its base {} is missing", sequence,
                           *next);
    }
    link.entry = *std::move(entry);
    next = link.entry.base;
    chain.push_back(std::move(link));
    if (chain.size() > size_t{kBlockDepthMax} + 1) {
      return schema::Error(absl::StatusCode::kDataLoss, "body {}: too many bases", sequence);
    }
  }
  for (; !chain.empty(); chain.pop_back()) {
    Link& link = chain.back();
    const std::span<const uint8_t> base = link.entry.base.has_value()
                                              ? std::span<const uint8_t>(*plain.bytes)
                                              : std::span<const uint8_t>();
    absl::StatusOr<Bytes> bytes =
        DecodeStored(link.entry.codec, link.stored, base, BlockBytes(link.entry.bodies));
    if (!bytes.ok()) {
      return schema::Annotate(bytes.status(), fmt::format("body {}", link.entry.first()));
    }
    plain = {.bytes = std::make_shared<const Bytes>(*std::move(bytes)),
             .bodies = std::move(link.entry.bodies),
             .depth = link.entry.depth};
    cache_.Insert(plain);
  }
  return std::optional<PlainBlock>(std::move(plain));
}

absl::StatusOr<std::optional<PlainBody>> BodyReader::Read(uint64_t sequence) {
  NIMBUS_ASSIGN_OR_RETURN(const std::optional<PlainBlock> block, ReadBlock(sequence));
  if (!block.has_value()) return std::optional<PlainBody>();
  const auto it = std::find_if(block->bodies.begin(), block->bodies.end(),
                               [&](const BodyExtent& b) { return b.sequence == sequence; });
  NIMBUS_CHECK(it != block->bodies.end());
  const size_t offset = BlockBytes({block->bodies.begin(), it});
  return std::optional<PlainBody>(
      PlainBody{.block = block->bytes,
                .bytes = std::span<const uint8_t>(*block->bytes).subspan(offset, it->bytes),
                .nonce = it->nonce});
}

}  // namespace nimbus::journal
