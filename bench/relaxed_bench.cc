// relaxed_bench: events that survive the end of the process at once and a power
// cut a little later, beside SQLite at NORMAL. Method and last results: README.md.
#include <vector>

#include "bench/contest.h"
#include "bench/program.h"

namespace nimbus::bench {
namespace {

constexpr char kSetting[] = "1 writer, relaxed";

std::vector<Setting> Settings() {
  return {{kSetting,
           {.writers = 1, .relaxed = true},
           {"nimbus", "sqlite-shared", "lmdb", "rocksdb", "log"}}};
}

std::vector<Question> Questions() {
  return {
      {.text = "1 writer, relaxed: events/s",
       .setting = kSetting,
       .peers = {"sqlite-shared"},
       .aim = AtLeast(1.5)},
      {.text = "1 writer, relaxed: events/s", .setting = kSetting, .peers = {"lmdb"}},
      {.text = "1 writer, relaxed: events/s", .setting = kSetting, .peers = {"rocksdb"}},
      {.text = "1 writer, relaxed: events/s", .setting = kSetting, .peers = {"log"}},
  };
}

int Main(int argc, char** argv) {
  Program program("relaxed_bench", "Appends that do not wait for the disk.");
  const Contest contest(&program, Settings(), Questions());
  return program.Main(argc, argv, [&](const Setup& setup) { return contest.Measure(setup); });
}

}  // namespace
}  // namespace nimbus::bench

int main(int argc, char** argv) { return nimbus::bench::Main(argc, argv); }
