// parts_bench: what each part of an append costs by itself, in a loop that keeps
// everything in the caches. The sum is the least that CPU per event can be.
//
//   parts_bench [--benchmark_filter=REGEX]
#include <benchmark/benchmark.h>

#include <cstddef>
#include <cstdint>
#include <vector>

#include "bench/peer.h"
#include "body.h"
#include "frame.h"
#include "merkle.h"
#include "nimbus/schema/event.h"
#include "stream_marks.h"
#include "testing/workload.h"

namespace nimbus::bench {
namespace {

constexpr uint64_t kSeed = 1;
constexpr uint64_t kOperations = 100;
constexpr size_t kBlockBytes = 64u << 10;
constexpr size_t kFrameRecords = 64;

// The events of some operations, and what they are encoded to.
struct Events {
  std::vector<test::WorkloadOperation> operations;
  schema::Uuid session;
  std::vector<schema::Event> events;
  std::vector<Bytes> records, bodies;
  std::vector<journal::Hash> leaves;
};

const Events& AllEvents() {
  static const Events all = [] {
    Events made;
    const test::Workload workload(kSeed);
    made.session = workload.SessionId(0);
    for (uint64_t number = 0; number < kOperations; ++number) {
      made.operations.push_back(workload.Operation(number));
      for (size_t index = 0; index < test::kWorkloadEvents; ++index) {
        made.events.push_back(made.operations.back().Event(index, made.session));
        made.records.push_back(schema::EncodeRecord(made.events.back()));
        made.bodies.push_back(schema::EncodeBody(made.events.back()));
        made.leaves.push_back(journal::LeafHashOf(made.records.back()));
      }
    }
    return made;
  }();
  return all;
}

// Measures `part`, which is called with the indexes of all events in turn.
template <typename Part>
void PerEvent(benchmark::State& state, const Part& part) {
  const size_t count = AllEvents().events.size();
  size_t index = 0;
  for (auto _ : state) {
    part(index);
    index = (index + 1) % count;
  }
}

void BM_MakeEvent(benchmark::State& state) {
  const Events& all = AllEvents();
  PerEvent(state, [&](size_t i) {
    benchmark::DoNotOptimize(
        all.operations[i / test::kWorkloadEvents].Event(i % test::kWorkloadEvents, all.session));
  });
}
BENCHMARK(BM_MakeEvent);

void BM_ValidateEvent(benchmark::State& state) {
  PerEvent(state, [](size_t i) {
    benchmark::DoNotOptimize(schema::ValidateEvent(AllEvents().events[i]).ok());
  });
}
BENCHMARK(BM_ValidateEvent);

void BM_EncodeRecord(benchmark::State& state) {
  PerEvent(state,
           [](size_t i) { benchmark::DoNotOptimize(schema::EncodeRecord(AllEvents().events[i])); });
}
BENCHMARK(BM_EncodeRecord);

void BM_EncodeBody(benchmark::State& state) {
  PerEvent(state,
           [](size_t i) { benchmark::DoNotOptimize(schema::EncodeBody(AllEvents().events[i])); });
}
BENCHMARK(BM_EncodeBody);

void BM_Nonce(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(journal::NewNonce());
}
BENCHMARK(BM_Nonce);

void BM_BodyCommitment(benchmark::State& state) {
  const journal::Nonce nonce = journal::NewNonce();
  PerEvent(state, [&](size_t i) {
    benchmark::DoNotOptimize(journal::BodyCommitment(AllEvents().bodies[i], nonce));
  });
}
BENCHMARK(BM_BodyCommitment);

void BM_LeafHash(benchmark::State& state) {
  PerEvent(state,
           [](size_t i) { benchmark::DoNotOptimize(journal::LeafHashOf(AllEvents().records[i])); });
}
BENCHMARK(BM_LeafHash);

void BM_FrontierAppend(benchmark::State& state) {
  journal::Frontier frontier;
  PerEvent(state, [&](size_t i) { frontier.Append(AllEvents().leaves[i]); });
  benchmark::DoNotOptimize(frontier.Root());
}
BENCHMARK(BM_FrontierAppend);

void BM_StreamMarks(benchmark::State& state) {
  PerEvent(state, [](size_t i) {
    const schema::fb::Envelope* envelope = journal::FindEnvelope(AllEvents().records[i]);
    benchmark::DoNotOptimize(journal::StreamMarks(*envelope));
  });
}
BENCHMARK(BM_StreamMarks);

void BM_RecordFrame(benchmark::State& state) {
  const Events& all = AllEvents();
  size_t next = 0;
  for (auto _ : state) {
    journal::FrameBuilder frame(all.session, 0, 0);
    for (size_t i = 0; i < kFrameRecords; ++i) {
      frame.Add(all.records[next]);
      next = (next + 1) % all.records.size();
    }
    benchmark::DoNotOptimize(frame.Finish());
  }
  state.counters["per_event"] = benchmark::Counter(
      static_cast<double>(state.iterations() * static_cast<int64_t>(kFrameRecords)),
      benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}
BENCHMARK(BM_RecordFrame);

// Bodies by themselves at zstd level `range(0)`.
void BM_CompressAlone(benchmark::State& state) {
  PerEvent(state, [&](size_t i) {
    benchmark::DoNotOptimize(
        journal::EncodeStored(AllEvents().bodies[i], {}, static_cast<int>(state.range(0))));
  });
}
BENCHMARK(BM_CompressAlone)->Arg(1)->Arg(3);

// Bodies gathered up to 64 KiB.
void BM_CompressBlocks(benchmark::State& state) {
  size_t next = 0, events = 0, plain_bytes = 0, stored_bytes = 0;
  for (auto _ : state) {
    Bytes block;
    while (block.size() < kBlockBytes) {
      const Bytes& body = AllEvents().bodies[next];
      block.insert(block.end(), body.begin(), body.end());
      block.resize(journal::Padded(block.size()));
      next = (next + 1) % AllEvents().bodies.size();
      ++events;
    }
    plain_bytes += block.size();
    stored_bytes += journal::EncodeStored(block, {}, static_cast<int>(state.range(0))).bytes.size();
  }
  state.counters["per_event"] = benchmark::Counter(
      static_cast<double>(events), benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
  state.counters["compressed_to"] =
      static_cast<double>(stored_bytes) / static_cast<double>(plain_bytes);
}
BENCHMARK(BM_CompressBlocks)->Arg(1)->Arg(3);

}  // namespace
}  // namespace nimbus::bench

BENCHMARK_MAIN();
