// Power cuts. A journal promises that what it acknowledged is on stable storage;
// killing the process can't show whether it is, because the kernel still writes
// what it was given. So power cuts are simulated:
//
//   workload.cc   a program appends to a journal, in threads and processes, that
//                 open it, create it, and are killed; recorder.h, linked into it,
//                 records every call that changes files or syncs them, and what
//                 was acknowledged when, in one trace
//   disk.h        plays the trace to a disk up to any moment and makes images of
//                 what it may hold then: what was synced, and of the rest any
//                 sectors, sizes and names, in any order
//   cases.h       chooses moments and images: every moment of a small trace, with
//                 every write missing and alone; by chance of larger ones
//   check.h       opens an image for reading, then for writing, and finds every
//                 acknowledged event in its place, a prefix of what was written
//                 beyond that, and that the journal verifies, takes appends, and
//                 verifies again
//   judge.cc      does these for a trace, in a process of its own
//
// A judge that finds nothing is worth what it can find: the same traces with the
// syncs taken out, with those of one file, and with acknowledgements that came
// too early have to be found bad.
//
// NIMBUS_TEST_SEED repeats the workloads' events and the choice of images, but
// not how the threads ran: a trace with a bad image is kept, and named with the
// command that judges it again.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <functional>

#include "simulation/cases.h"
#include "simulation/claims.h"
#include "simulation/disk.h"
#include "simulation/mapped.h"
#include "simulation/trial.h"
#include "testing/random.h"
#include "testing/status_matchers.h"

namespace nimbus::simulation {
namespace {
namespace fs = std::filesystem;

#if defined(__has_feature)  // clang's
#define NIMBUS_HAS_FEATURE(name) __has_feature(name)
#else
#define NIMBUS_HAS_FEATURE(name) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || NIMBUS_HAS_FEATURE(thread_sanitizer)
constexpr uint64_t kSlower = 5;
#else
constexpr uint64_t kSlower = 1;
#endif
constexpr uint64_t kTraces = NIMBUS_LONG_TESTS ? 4 : 1;
constexpr uint64_t kImages = (NIMBUS_LONG_TESTS ? 500 : 200) / kSlower;

class PowerCutTest : public ::testing::Test {
 protected:
  Process Writer(std::vector<std::string> arguments, uint64_t calls = 0) {
    arguments.push_back(fmt::format("seed={}", random_()));
    return {.arguments = std::move(arguments), .calls = calls, .slow_ms = 0};
  }
  static Process Follower(int64_t ms) {
    return {.arguments = {fmt::format("follow_ms={}", ms)}, .calls = 0, .slow_ms = 0};
  }

  // Judges images by chance of traces that `record` makes.
  void ExpectSurvives(uint64_t count, const std::function<void(Trial*)>& record) {
    for (uint64_t i = 0; i < kTraces && !HasFailure(); ++i) {
      Trial trial;
      record(&trial);
      const std::string cases = fmt::format("some={},{}", count, random_.seed() + i);
      const Verdict verdict = Judge(trial.trace(), count, cases);
      std::printf("%lu images, %zu bad\n", verdict.judged, verdict.bad.size());
      EXPECT_EQ(verdict.judged, count);
      ExpectHolds(verdict, trial, cases);
    }
  }

  // That the journal would be found bad if it were one as `option` says, and for
  // one reason at least that says `why`.
  void ExpectCaught(const Trial& trial, const std::string& option, const std::string& why,
                    uint64_t count = 200) {
    const Verdict verdict =
        Judge(trial.trace(), count, fmt::format("some={},{}", count, random_.seed()), {option});
    const auto says_why = [&](const std::string& bad) { return bad.find(why) != bad.npos; };
    const auto example = std::find_if(verdict.bad.begin(), verdict.bad.end(), says_why);
    std::printf("%s: %zu of %lu images bad\n", option.c_str(), verdict.bad.size(), verdict.judged);
    ASSERT_NE(example, verdict.bad.end()) << option << ": none " << why;
    std::printf("  %s\n", example->c_str());
  }

  // Processes that are killed after some calls, with one or two at a time, and two
  // that go on where those ended.
  void RunAndKill(Trial* trial) {
    for (int i = 0; i < 10; ++i) {
      std::vector<Process> processes;
      for (int n = 0; n <= i % 2; ++n) {
        processes.push_back(Writer({"threads=2", "appends=8", "rounds=2"},
                                   static_cast<uint64_t>(random_.Between(5, 150))));
      }
      trial->Run(processes);
    }
    const std::vector<std::string> arguments = {"threads=2", "appends=5", "rounds=2"};
    trial->Run({Writer(arguments), Writer(arguments)});
  }

  test::SeededRandom random_;
};

// The recorder misses nothing: what the trace makes of the files is what is there.
TEST_F(PowerCutTest, TheTraceTellsOfAllFiles) {
  Trial trial;
  RunAndKill(&trial);
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Trace trace, ReadTrace(trial.trace()));
  EXPECT_THAT(trace.unsupported, ::testing::IsEmpty());
  Disk disk(trace);
  disk.AdvanceTo(trace.records());
  const Image image = disk.MakeImage([](const Slot&) { return true; });
  size_t files = 0;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(trial.root())) {
    const std::string path = fs::relative(entry.path(), trial.root()).string();
    if (entry.is_directory()) {
      EXPECT_TRUE(image.directories.contains(path)) << path;
      continue;
    }
    ++files;
    ASSERT_TRUE(image.files.contains(path)) << path;
    EXPECT_EQ(image.files.at(path).size(), entry.file_size()) << path;
    if (!IsMapped(path)) {
      EXPECT_TRUE(image.files.at(path).ToString() == test::ReadFile(entry.path())) << path;
    }
  }
  EXPECT_EQ(image.files.size(), files);
}

TEST_F(PowerCutTest, LosesNothingAtAnyMomentOfASmallTrace) {
  for (uint64_t i = 0; i < kTraces && !HasFailure(); ++i) {
    Trial trial;
    trial.Run({Writer({"threads=1", "appends=4"})});
    NIMBUS_ASSERT_OK_AND_ASSIGN(const Trace trace, ReadTrace(trial.trace()));
    const size_t count = EveryCase(trace, nullptr, random_.seed()).size();
    const std::string cases = fmt::format("every={}", random_.seed());
    const Verdict verdict = Judge(trial.trace(), count, cases);
    std::printf("%zu moments, %lu images, %zu bad\n", trace.records(), verdict.judged,
                verdict.bad.size());
    EXPECT_GT(verdict.judged, trace.records());
    ExpectHolds(verdict, trial, cases);
  }
}

TEST_F(PowerCutTest, LosesNothingThatThreadsAppend) {
  ExpectSurvives(kImages, [&](Trial* trial) {
    trial->Run({Writer({"threads=6", "appends=12", "rounds=3", "pause_ms=800"})});
  });
}

TEST_F(PowerCutTest, LosesNothingOfLargeBodies) {
  ExpectSurvives(kImages / 4, [&](Trial* trial) {
    trial->Run({Writer({"threads=3", "appends=12", "large=1", "rounds=2"})});
  });
}

// More than a log holds, in one go, and faster than LMDB takes it.
TEST_F(PowerCutTest, LosesNothingOfMuchAtOnce) {
  ExpectSurvives(kImages / 8, [&](Trial* trial) {
    Process writer = Writer({"threads=4", "appends=150"});
    writer.slow_ms = 300;
    trial->Run({writer});
  });
}

TEST_F(PowerCutTest, LosesNothingThatProcessesAppendOrSee) {
  ExpectSurvives(kImages, [&](Trial* trial) {
    const std::vector<std::string> arguments = {"threads=2", "appends=20", "rounds=2"};
    trial->Run({Writer(arguments), Writer(arguments), Writer(arguments), Follower(500)});
  });
}

TEST_F(PowerCutTest, LosesNothingWhenProcessesWereKilledBefore) {
  ExpectSurvives(kImages, [&](Trial* trial) { RunAndKill(trial); });
}

// What opening makes of the files that a power cut left must survive one too.
TEST_F(PowerCutTest, LosesNothingWhenThePowerIsCutAgain) {
  Trial first;
  first.Run({Writer({"threads=4", "appends=15", "rounds=2"})});
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Trace trace, ReadTrace(first.trace()));
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Claims claims, ParseClaims(trace));
  Disk disk(trace);
  for (const Case& power_cut : SomeCases(trace, kTraces * 10, random_.seed())) {
    if (HasFailure()) return;
    disk.AdvanceTo(power_cut.cut);
    Image image = disk.MakeImage([&](const Slot& slot) { return IsThere(power_cut, slot); });
    GuessMapped(trace, power_cut.cut, power_cut.seed, &image);
    Trial second(image, NeededAt(trace, claims, power_cut.cut).records);
    second.Run({Writer({"threads=2", "appends=2"})});
    const std::string cases = fmt::format("some={},{}", kImages / 10, power_cut.seed);
    const Verdict verdict = Judge(second.trace(), kImages / 10, cases);
    std::printf("%s: %lu images, %zu bad\n", power_cut.ToString().c_str(), verdict.judged,
                verdict.bad.size());
    EXPECT_EQ(verdict.judged, kImages / 10);
    ExpectHolds(verdict, second, cases);
  }
}

TEST_F(PowerCutTest, CatchesAJournalThatDoesNotSync) {
  Trial trial;
  trial.Run({Writer({"threads=3", "appends=20"})});
  ExpectCaught(trial, "ignore=all", "were acknowledged");
  ExpectCaught(trial, "forget=all", "were acknowledged");
  ExpectCaught(trial, "ignore=data.mdb", "");
  ExpectCaught(trial, "ignore=store", "no CURRENT");
  ExpectCaught(trial, "ignore=journal-1", "data.mdb: missing");
}

// Records move from a log to LMDB: it is no use that only one of them is synced.
TEST_F(PowerCutTest, CatchesALogOrTablesThatAreNotSynced) {
  Trial trial;
  trial.Run({Writer({"threads=4", "appends=150"})});
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Trace trace, ReadTrace(trial.trace()));
  const auto is_of_log = [](const Op& op) { return op.path.ends_with("/wal"); };
  if (std::none_of(trace.ops.begin(), trace.ops.end(), is_of_log)) {
    GTEST_SKIP() << "this journal has no log";
  }
  ExpectCaught(trial, "forget=wal", "were acknowledged", 60);
  ExpectCaught(trial, "forget=data.mdb", "", 120);
}

TEST_F(PowerCutTest, CatchesAJournalThatAcknowledgesTooEarly) {
  Trial trial;
  trial.Run({Writer({"threads=3", "appends=20"})});
  ExpectCaught(trial, "early=6", "were acknowledged");
}

}  // namespace
}  // namespace nimbus::simulation
