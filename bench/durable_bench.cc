// durable_bench: how fast agents' events become durable when each writer waits
// for its own, and what CPU that takes. Method and last results: README.md.
#include <string>
#include <utility>
#include <vector>

#include "bench/contest.h"
#include "bench/program.h"

namespace nimbus::bench {
namespace {

std::vector<Setting> Settings() {
  const RunOptions single{.content = Content::kSingle, .writers = 1};
  const RunOptions single64{.content = Content::kSingle, .writers = 64};
  return {
      {"1 writer",
       {.writers = 1},
       {"nimbus", "sqlite-shared", "sqlite-own", "lmdb", "rocksdb", "device"}},
      {"8 writers",
       {.writers = 8},
       {"nimbus", "sqlite-shared", "sqlite-own", "lmdb", "rocksdb", "log"}},
      {"64 writers",
       {.writers = 64},
       {"nimbus", "sqlite-shared", "lmdb", "lmdb-by-hand", "rocksdb", "log", "log-growing"}},
      {"1 KB, 1 writer", single, {"nimbus", "sqlite-shared", "lmdb", "rocksdb", "device"}},
      {"1 KB, 64 writers", single64, {"nimbus", "sqlite-shared", "lmdb", "rocksdb", "log"}},
  };
}

std::vector<Question> Questions() {
  const std::vector<std::string> sqlite = {"sqlite-shared", "sqlite-own"};
  const auto rates = [](const std::string& setting, std::vector<std::string> peers, Aim aim) {
    return Question{.text = setting + ": durable events/s",
                    .setting = setting,
                    .peers = std::move(peers),
                    .aim = aim};
  };
  return {
      rates("64 writers", {"lmdb"}, AtLeast(2)),
      rates("64 writers", sqlite, AtLeast(15)),
      rates("64 writers", {"log"}, AtLeast(0.7)),
      rates("64 writers", {"log-growing"}, {}),
      rates("64 writers", {"rocksdb"}, {}),
      {.text = "64 writers: p99 latency, us",
       .setting = "64 writers",
       .peers = {"lmdb"},
       .metric = Metric::kP99,
       .aim = AtMost(1)},
      {.text = "64 writers: CPU per event, us",
       .setting = "64 writers",
       .peers = {"lmdb-by-hand"},
       .metric = Metric::kCpu,
       .aim = AtMost(1.2)},
      rates("8 writers", {"lmdb"}, {}),
      rates("8 writers", sqlite, {}),
      rates("8 writers", {"log"}, {}),
      rates("8 writers", {"rocksdb"}, {}),
      rates("1 writer", sqlite, AtLeast(1.2)),
      rates("1 writer", {"lmdb"}, AtLeast(3)),
      rates("1 writer", {"rocksdb"}, {}),
      {.text = "1 writer: p50 beyond a write and a flush",
       .setting = "1 writer",
       .peers = {"device"},
       .metric = Metric::kP50,
       .aim = AtMost(40),
       .measure = Measure::kDifference},
      rates("1 KB, 64 writers", {"lmdb"}, {}),
      rates("1 KB, 64 writers", sqlite, {}),
      rates("1 KB, 64 writers", {"log"}, {}),
      rates("1 KB, 64 writers", {"rocksdb"}, {}),
      rates("1 KB, 1 writer", sqlite, {}),
      rates("1 KB, 1 writer", {"lmdb"}, {}),
      rates("1 KB, 1 writer", {"rocksdb"}, {}),
  };
}

int Main(int argc, char** argv) {
  Program program("durable_bench", "Durable appends of events, side by side with other designs.");
  const Contest contest(&program, Settings(), Questions());
  return program.Main(argc, argv, [&](const Setup& setup) { return contest.Measure(setup); });
}

}  // namespace
}  // namespace nimbus::bench

int main(int argc, char** argv) { return nimbus::bench::Main(argc, argv); }
