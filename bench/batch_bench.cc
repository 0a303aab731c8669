// batch_bench: an operation of 24 events in one append, beside one transaction
// of each of the others. Method and last results: README.md.
#include <vector>

#include "bench/contest.h"
#include "bench/program.h"

namespace nimbus::bench {
namespace {

constexpr char kSetting[] = "1 writer, batches";

std::vector<Setting> Settings() {
  return {{kSetting,
           {.writers = 1, .whole_operations = true},
           {"nimbus", "sqlite-shared", "lmdb", "lmdb-by-hand", "rocksdb", "device"}}};
}

std::vector<Question> Questions() {
  return {
      {.text = "batches of 24: durable events/s",
       .setting = kSetting,
       .peers = {"sqlite-shared"},
       .aim = AtLeast(2)},
      {.text = "batches of 24: durable events/s", .setting = kSetting, .peers = {"lmdb"}},
      {.text = "batches of 24: durable events/s", .setting = kSetting, .peers = {"rocksdb"}},
      {.text = "batches of 24: durable events/s", .setting = kSetting, .peers = {"device"}},
      {.text = "batches of 24: CPU per event, us",
       .setting = kSetting,
       .peers = {"lmdb-by-hand"},
       .metric = Metric::kCpu,
       .aim = AtMost(1.2)},
  };
}

int Main(int argc, char** argv) {
  Program program("batch_bench", "Operations of 24 events, each in one durable append.");
  const Contest contest(&program, Settings(), Questions());
  return program.Main(argc, argv, [&](const Setup& setup) { return contest.Measure(setup); });
}

}  // namespace
}  // namespace nimbus::bench

int main(int argc, char** argv) { return nimbus::bench::Main(argc, argv); }
