#include "block_packer.h"

#include <utility>

#include "nimbus/schema/check.h"

namespace nimbus::journal {
namespace {

const ChainKey kAll{schema::Uuid{}, schema::fb::Event::NONE};

}  // namespace

BlockPacker::BlockPacker(PackerOptions options)
    : options_(std::move(options)), bases_(options_.base_cache_bytes_max) {}

bool BlockPacker::IsFull(size_t more) const {
  return !bodies_.empty() &&
         (bodies_.size() >= kRunRecordsMax || plain_.size() + more > options_.block_bytes_max);
}

void BlockPacker::Add(const schema::Uuid& stream, uint64_t sequence, const EntryBody& body) {
  NIMBUS_CHECK(!IsFull(body.bytes.size()));
  if (bodies_.empty() && body.bytes.size() >= options_.block_bytes_max / 4) {
    stream_.emplace(stream, schema::fb::Event::NONE);
  }
  bodies_.push_back({.sequence = sequence, .bytes = body.bytes.size(), .nonce = body.nonce});
  plain_.insert(plain_.end(), body.bytes.begin(), body.bytes.end());
  plain_.resize(BlockBytes(bodies_));  // each padded
}

// Compresses against the chain's next base, unless `best` is no larger already.
void BlockPacker::TryBase(const ChainKey& chain, const Bytes& plain, Candidate* best) {
  std::optional<Base> base = bases_.ForNext(chain);
  if (base.has_value() && (base->depth >= kBlockDepthMax ||
                           (options_.may_be_base && !options_.may_be_base(base->sequence)))) {
    base.reset();
  }
  if (!base.has_value() && !best->encoded.bytes.empty()) return;
  Encoded encoded = EncodeStored(
      plain, base.has_value() ? std::span<const uint8_t>(*base->bytes) : std::span<const uint8_t>(),
      options_.compression_level);
  if (!best->encoded.bytes.empty() && encoded.bytes.size() >= best->encoded.bytes.size()) return;
  if (encoded.codec == Codec::kRaw) base.reset();
  *best = {.encoded = std::move(encoded), .base = std::move(base)};
}

BlockPacker::Packed BlockPacker::Close() {
  NIMBUS_CHECK(!empty());
  const uint64_t sequence = first();
  const auto plain = std::make_shared<const Bytes>(std::exchange(plain_, {}));
  Candidate best;
  TryBase(kAll, *plain, &best);
  if (stream_.has_value()) TryBase(*stream_, *plain, &best);
  Packed packed{
      .block = {.codec = best.encoded.codec,
                .depth = static_cast<uint8_t>(best.base.has_value() ? best.base->depth + 1 : 0),
                .bodies = std::exchange(bodies_, {}),
                .stored = std::move(best.encoded.bytes)},
      .base = best.base.has_value() ? std::optional(best.base->sequence) : std::nullopt};
  const Base base{.sequence = sequence, .depth = packed.block.depth, .bytes = plain};
  bases_.Add(kAll, base);
  if (stream_.has_value()) bases_.Add(*std::exchange(stream_, std::nullopt), base);
  if (options_.note_block) options_.note_block(sequence, plain);
  return packed;
}

}  // namespace nimbus::journal
