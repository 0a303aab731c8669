// What a disk may hold after a power cut, by traces small enough to know.
#include "simulation/disk.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <utility>

#include "simulation/cases.h"
#include "simulation/script.h"

namespace nimbus::simulation {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::UnorderedElementsAre;

const std::string kA(512, 'a'), kB(512, 'b'), kC(512, 'c'), kZeros(512, '\0');
constexpr const char* kAbsent = "(absent)";

bool All(const Slot&) { return true; }
bool None(const Slot&) { return false; }

Image ImageOf(const Script& script, const Choice& choice, size_t cut,
              const Disk::Ignored& ignored = nullptr) {
  Disk disk(script.trace(), ignored);
  disk.AdvanceTo(cut);
  return disk.MakeImage(choice);
}

Image ImageOf(const Script& script, const Choice& choice) {
  return ImageOf(script, choice, script.records());
}

// "aaab" as "a*3 b*1 ": to be read when a test fails.
std::string Runs(const std::string& text) {
  std::string runs;
  for (size_t from = 0; from < text.size();) {
    const size_t to = std::min(text.find_first_not_of(text[from], from), text.size());
    runs += fmt::format("{}*{} ", text[from] == '\0' ? '0' : text[from], to - from);
    from = to;
  }
  return runs;
}

std::string FileIn(const Image& image, const std::string& path) {
  const auto file = image.files.find(path);
  return file == image.files.end() ? kAbsent : Runs(file->second.ToString());
}

testing::Matcher<std::string> Is(const std::string& text) {
  return testing::Eq(text == kAbsent ? text : Runs(text));
}

// What "f" is in all images after the whole trace: every choice of the parts.
std::set<std::string> Possible(const Script& script, const std::string& path = "f") {
  std::map<std::pair<size_t, uint64_t>, size_t> parts;
  ImageOf(script, [&](const Slot& slot) {
    parts.emplace(std::pair(slot.change, slot.part), parts.size());
    return true;
  });
  std::set<std::string> possible;
  for (uint64_t choice = 0; choice < (uint64_t{1} << parts.size()); ++choice) {
    const auto is_there = [&](const Slot& slot) {
      return (choice >> parts.at({slot.change, slot.part}) & 1) != 0;
    };
    possible.insert(FileIn(ImageOf(script, is_there), path));
  }
  return possible;
}

// A file "f", inode 1, that is there.
Script WithFile() {
  Script script;
  script.Create("f", 1).SyncPath("");
  return script;
}

TEST(DiskTest, KeepsAWriteOnceASyncReturned) {
  Script script = WithFile();
  script.Write(1, 0, kA).Sync(1);
  const size_t end = script.records();
  EXPECT_THAT(FileIn(ImageOf(script, None, end), "f"), Is(kA));
  EXPECT_THAT(FileIn(ImageOf(script, None, end - 1), "f"), Is(""));
  EXPECT_THAT(FileIn(ImageOf(script, All, end - 1), "f"), Is(kA));
  EXPECT_THAT(FileIn(ImageOf(script, All, end - 4), "f"), Is(""));  // the write has not begun
}

TEST(DiskTest, NeverMissesAWriteThatWasSynced) {
  Script script = WithFile();
  script.Write(1, 0, kA + kB).Sync(1);
  EXPECT_THAT(Possible(script), ElementsAre(Is(kA + kB)));
}

TEST(DiskTest, DoesNotCountASyncThatBeganBeforeTheWriteReturned) {
  Script script = WithFile();
  script.Begin({.call = Call::kWrite, .inode = 1, .data = kA});
  script.Begin({.call = Call::kSync, .inode = 1});
  script.Return().Return();
  EXPECT_THAT(Possible(script), Contains(Is("")));
  script.Sync(1);
  EXPECT_THAT(Possible(script), ElementsAre(Is(kA)));
}

TEST(DiskTest, DoesNotCountASyncOfAnotherFile) {
  Script script = WithFile();
  script.Create("g", 2).Write(1, 0, kA).Sync(2).SyncPath("");
  EXPECT_THAT(Possible(script), Contains(Is("")));
}

TEST(DiskTest, TearsAWriteAtItsSectorsAndKeepsItsSizeApart) {
  Script script = WithFile();
  script.Write(1, 0, kA + kB);
  EXPECT_THAT(Possible(script), UnorderedElementsAre(Is(""), Is(kZeros + kZeros), Is(kA + kZeros),
                                                     Is(kZeros + kB), Is(kA + kB)));
}

TEST(DiskTest, TearsAWriteInPlace) {
  Script script = WithFile();
  script.Write(1, 0, kA + kA + kA).Sync(1).Write(1, 256, kB + kB);
  const std::string left = kA.substr(256) + kB.substr(256), right = kB.substr(256) + kA.substr(256);
  EXPECT_THAT(Possible(script),
              UnorderedElementsAre(Is(kA + kA + kA), Is(left + kA + kA), Is(kA + kB + kA),
                                   Is(kA + kA + right), Is(left + kB + kA), Is(left + kA + right),
                                   Is(kA + kB + right), Is(left + kB + right)));
}

TEST(DiskTest, HoldsInASectorWhatItHeldAfterOneOfItsWrites) {
  Script script = WithFile();
  script.Write(1, 0, kC).Sync(1).Write(1, 0, "1").Write(1, 1, "2").Write(1, 0, "3");
  const std::string rest = kC.substr(2);
  // 2 without 1 never was.
  EXPECT_THAT(Possible(script),
              UnorderedElementsAre(Is(kC), Is("1c" + rest), Is("12" + rest), Is("32" + rest)));
}

TEST(DiskTest, ReordersWritesOfDifferentSectors) {
  Script script = WithFile();
  script.Write(1, 0, kC + kC).Sync(1).Write(1, 0, kA).Write(1, 512, kB);
  EXPECT_THAT(Possible(script),
              UnorderedElementsAre(Is(kC + kC), Is(kA + kC), Is(kC + kB), Is(kA + kB)));
}

TEST(DiskTest, CountsAThroughWriteAsASyncOfItselfOnly) {
  Script script = WithFile();
  script.Write(1, 0, kC + kC).Sync(1).Write(1, 0, kA).Write(1, 512, kB, kThrough);
  EXPECT_THAT(Possible(script), UnorderedElementsAre(Is(kC + kB), Is(kA + kB)));
  Script unreturned = WithFile();
  unreturned.Begin({.call = Call::kWrite, .flags = kThrough, .inode = 1, .data = kA});
  EXPECT_THAT(Possible(unreturned), Contains(Is("")));
}

TEST(DiskTest, AThroughWriteHasTheBytesBeforeItInItsSector) {
  Script script = WithFile();
  script.Write(1, 0, kC).Sync(1).Write(1, 0, "1").Write(1, 1, "2", kThrough);
  EXPECT_THAT(Possible(script), ElementsAre(Is("12" + kC.substr(2))));
}

TEST(DiskTest, MayUndoATruncateAndThenHasNothingAfterIt) {
  Script script = WithFile();
  script.Write(1, 0, kA + kB).Sync(1).Truncate(1, 0).Write(1, 0, kC);
  EXPECT_THAT(Possible(script), UnorderedElementsAre(Is(kA + kB), Is(""), Is(kZeros), Is(kC)));
  script.Sync(1);
  EXPECT_THAT(Possible(script), ElementsAre(Is(kC)));
}

TEST(DiskTest, ShowsZerosWhereAFileShrankAndGrew) {
  Script script = WithFile();
  script.Write(1, 0, kA + kB).Truncate(1, 512).Truncate(1, 1024).Sync(1);
  EXPECT_THAT(Possible(script), ElementsAre(Is(kA + kZeros)));
  Script open = WithFile();
  open.Create("f", 1, kTruncates).Write(1, 0, kA).Sync(1);
  EXPECT_THAT(Possible(open), ElementsAre(Is(kA)));
}

TEST(DiskTest, ExtendsAFileWithZeros) {
  Script script = WithFile();
  script.Write(1, 0, kA).Sync(1).Extend(1, 1024).Extend(1, 512);
  EXPECT_THAT(Possible(script), UnorderedElementsAre(Is(kA), Is(kA + kZeros)));
  script.Sync(1);
  EXPECT_THAT(Possible(script), ElementsAre(Is(kA + kZeros)));
}

TEST(DiskTest, ANewFileNeedsASyncOfItsDirectory) {
  Script script;
  script.Create("f", 1).Write(1, 0, kA).Sync(1);
  EXPECT_THAT(Possible(script), UnorderedElementsAre(Is(kAbsent), Is(kA)));
  script.SyncPath("");
  EXPECT_THAT(Possible(script), ElementsAre(Is(kA)));
}

TEST(DiskTest, ANewDirectoryNeedsASyncOfTheOneAbove) {
  Script script;
  script.MakeDirectory("d").Create("d/f", 1).Write(1, 0, kA).Sync(1).SyncPath("d");
  EXPECT_THAT(Possible(script, "d/f"), UnorderedElementsAre(Is(kAbsent), Is(kA)));
  script.SyncPath("");
  EXPECT_THAT(Possible(script, "d/f"), ElementsAre(Is(kA)));
}

TEST(DiskTest, MayUndoARenameUntilItsDirectoryIsSynced) {
  Script script = WithFile();
  script.Write(1, 0, kA).Sync(1).Create("n", 2).SyncPath("");
  script.Write(2, 0, kB).Sync(2).Rename("n", "f");
  EXPECT_THAT(Possible(script), UnorderedElementsAre(Is(kA), Is(kB)));
  EXPECT_THAT(Possible(script, "n"), UnorderedElementsAre(Is(kB), Is(kAbsent)));
  // It is atomic.
  for (const Choice& choice : {Choice(All), Choice(None)}) {
    const Image image = ImageOf(script, choice);
    EXPECT_EQ(FileIn(image, "f") == Runs(kB), FileIn(image, "n") == kAbsent);
  }
  script.SyncPath("");
  EXPECT_THAT(Possible(script), ElementsAre(Is(kB)));
  EXPECT_THAT(Possible(script, "n"), ElementsAre(Is(kAbsent)));
}

TEST(DiskTest, ARenameMayBeThereAheadOfTheData) {
  Script script = WithFile();
  script.Write(1, 0, kA).Sync(1).Create("n", 2).Write(2, 0, kB).Rename("n", "f").SyncPath("");
  EXPECT_THAT(Possible(script), UnorderedElementsAre(Is(""), Is(kZeros), Is(kB)));
}

TEST(DiskTest, MayUndoAnUnlink) {
  Script script = WithFile();
  script.Unlink("f");
  EXPECT_THAT(Possible(script), UnorderedElementsAre(Is(""), Is(kAbsent)));
  script.SyncPath("");
  EXPECT_THAT(Possible(script), ElementsAre(Is(kAbsent)));
}

TEST(DiskTest, ANewFileMayHaveTheInodeOfOneThatIsGone) {
  Script script = WithFile();
  script.Write(1, 0, kA).Sync(1).Unlink("f").Create("g", 1).Write(1, 0, kB).Sync(1);
  EXPECT_THAT(Possible(script), UnorderedElementsAre(Is(kA), Is(kAbsent)));
  EXPECT_THAT(Possible(script, "g"), UnorderedElementsAre(Is(kB), Is(kAbsent)));
}

TEST(DiskTest, ASyncOfEverythingCoversNamesAndData) {
  Script script;
  script.Create("f", 1).Write(1, 0, kA);
  script.Begin({.call = Call::kSyncAll}).Return();
  EXPECT_THAT(Possible(script), ElementsAre(Is(kA)));
}

TEST(DiskTest, TakesOutSyncs) {
  Script script;
  script.Create("f", 1).SyncPath("").Write(1, 0, kA);
  script.Begin({.call = Call::kSync, .inode = 1, .path = "f"}).Return();
  const auto without = [&](std::string_view file) {
    return FileIn(
        ImageOf(script, None, script.records(), [=](const Op& op) { return op.path == file; }),
        "f");
  };
  EXPECT_THAT(without("other"), Is(kA));
  EXPECT_THAT(without("f"), Is(""));
  EXPECT_THAT(without(""), Is(kAbsent));
}

TEST(DiskTest, TellsTheMomentsOfATraceApart) {
  Script script = WithFile();
  for (char c = 'A'; c <= 'Z'; ++c) script.Write(1, 0, std::string(512, c)).Sync(1);
  Disk disk(script.trace());
  for (char c = 'A'; c <= 'Z'; ++c) {  // one disk, played on
    disk.AdvanceTo(4 + 4 * static_cast<size_t>(c - 'A') + 4);
    EXPECT_EQ(disk.pending(), 0u);
    EXPECT_THAT(FileIn(disk.MakeImage(None), "f"), Is(std::string(512, c)));
  }
}

TEST(CasesTest, EveryCaseHasEachChangeMissingAndAlone) {
  Script script = WithFile();
  script.Write(1, 0, kC + kC + kC).Sync(1).Write(1, 0, kA).Write(1, 512, kA).Write(1, 1024, kA);
  std::set<std::string> seen;
  Disk disk(script.trace());
  size_t cut = 0;
  for (const Case& power_cut : EveryCase(script.trace(), nullptr, 1)) {
    EXPECT_GE(power_cut.cut, cut);
    cut = power_cut.cut;
    disk.AdvanceTo(cut);
    if (cut != script.records()) continue;
    seen.insert(
        FileIn(disk.MakeImage([&](const Slot& slot) { return IsThere(power_cut, slot); }), "f"));
  }
  EXPECT_EQ(cut, script.records());
  for (const std::string& image : {kC + kC + kC, kA + kA + kA, kA + kC + kC, kC + kA + kC,
                                   kC + kC + kA, kC + kA + kA, kA + kC + kA, kA + kA + kC}) {
    EXPECT_THAT(seen, Contains(Is(image)));
  }
}

TEST(CasesTest, SomeCasesAreTheSameForTheSameSeed) {
  Script script = WithFile();
  for (int i = 0; i < 20; ++i) script.Write(1, 0, kA).Sync(1).Mark("ack");
  const auto text = [&](uint64_t seed) {
    std::string all;
    for (const Case& power_cut : SomeCases(script.trace(), 100, seed)) all += power_cut.ToString();
    return all;
  };
  EXPECT_EQ(text(1), text(1));
  EXPECT_NE(text(1), text(2));
  size_t cut = 0;
  std::set<Kind> kinds;
  for (const Case& power_cut : SomeCases(script.trace(), 500, 3)) {
    EXPECT_GE(power_cut.cut, cut);
    EXPECT_LE(power_cut.cut, script.records());
    cut = power_cut.cut;
    kinds.insert(power_cut.kind);
  }
  EXPECT_EQ(kinds.size(), static_cast<size_t>(kKinds));
}

}  // namespace
}  // namespace nimbus::simulation
