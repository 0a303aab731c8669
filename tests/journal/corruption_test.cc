// Damage to data.mdb while the journal is closed: found and named, or without
// effect; never a wrong record or body.
//
// LMDB trusts its pages. A damaged page header or node can make it abort or
// fault, which a caller can't prevent; so the damaged store is read by a child,
// and its death is counted. What lies within our own values is checked by our
// own code, and may kill nobody.
#include <algorithm>
#include <csignal>
#include <filesystem>
#include <optional>
#include <sstream>

#include "child.h"
#include "damage.h"
#include "environment.h"

namespace nimbus::journal {
namespace {

namespace fs = std::filesystem;
using ::testing::AnyOf;
using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr int kRounds = NIMBUS_LONG_TESTS ? 4000 : 100;
constexpr size_t kPageBytes = 4096;

class CorruptionTest : public JournalTest {
 protected:
  void SetUp() override {
    JournalTest::SetUp();
    MakeContent();
    journal_.reset();
    files_.emplace(store());
    data_ = (*files_)["data.mdb"];
    const test::Finished run = *RunChild({"read", store()});
    ASSERT_EQ(run.exit_code, 0) << run.out;
    known_ = RecordLines(run.out);
    ASSERT_EQ(known_.size(), size_);
  }
  // Frames of several sizes, chains, pieces, and full tiles.
  void MakeContent() {
    ASSERT_THAT(journal_->Append(SessionStarted(session_)), IsOk());
    for (uint64_t n = 0; n < 40; ++n) {
      ASSERT_THAT(journal_->Append(SessionUpdated(session_, n)), IsOk());
      ASSERT_THAT(journal_->ApplyLog(), IsOk());
      std::vector<Event> entries(n % 20 + 1);
      for (Event& entry : entries) entry = SessionUpdated(session_, n);
      ASSERT_THAT(journal_->Append(entries), IsOk());
      ASSERT_THAT(journal_->ApplyLog(), IsOk());
    }
    small_bytes_ = fs::file_size(Data());
    Event large = SessionUpdated(session_, 0);
    for (uint64_t x = 1; large.body.name.size() < 2'500'000;) {
      x = x * 6364136223846793005u + 1442695040888963407u;
      large.body.name += fmt::format("{:016x}", x);
    }
    ASSERT_THAT(journal_->Append(large), IsOk());
    size_ = *journal_->Size();
  }
  fs::path Data() const { return fs::path(store()) / "journal-1" / "data.mdb"; }

  // Where in data.mdb the frames, bodies and pieces lie: offset and size.
  std::vector<std::pair<size_t, size_t>> OurValues() {
    std::vector<std::pair<size_t, size_t>> found;
    const std::unique_ptr<Environment> environment = *Environment::Open(store(), {});
    const lmdb::Transaction txn = *environment->BeginRead();
    const Tables& tables = environment->tables();
    for (const lmdb::Table table : {tables.frames, tables.chunks}) {
      lmdb::Cursor cursor = *txn.OpenCursor(table);
      for (auto entry = cursor.First(); entry->has_value(); entry = cursor.Next()) {
        const std::string value((*entry)->value.begin(), (*entry)->value.end());
        for (size_t at = 0; (at = data_.find(value, at)) != std::string::npos; ++at) {
          found.emplace_back(at, value.size());
        }
      }
    }
    return found;
  }

  bool BeginsWithAllKnown(const std::vector<std::string>& lines) const {
    return lines.size() >= known_.size() && std::equal(known_.begin(), known_.end(), lines.begin());
  }

  // Whether what a reader of the damaged store said is true as far as it goes,
  // and complete unless it said that something is wrong.
  void ExpectHonest(const test::Finished& run, const std::string& damage) {
    EXPECT_THAT(run.err, Not(HasSubstr("check failed"))) << damage;
    const std::vector<std::string> lines = RecordLines(run.out);
    for (const std::string& line : lines) {
      std::istringstream words(line);
      std::string word, leaf, body;
      size_t sequence = known_.size();
      words >> word >> sequence >> leaf >> body;
      ASSERT_LT(sequence, known_.size()) << damage;
      const std::string expected = fmt::format("record {} {} ", sequence, leaf);
      EXPECT_TRUE(known_[sequence] == line ||
                  (body == "damaged" && known_[sequence].starts_with(expected)))
          << damage << ": " << line << "\nnot " << known_[sequence];
    }
    if (run.exit_code != 0) return;
    // An older meta page may have taken over: the journal as it was before.
    for (size_t i = 0; i < lines.size(); ++i) EXPECT_EQ(lines[i], known_[i]) << damage;
  }

  test::SeededRandom random_;
  std::optional<ClosedFiles> files_;
  std::string data_;
  std::vector<std::string> known_;
  uint64_t size_ = 0;
  size_t small_bytes_ = 0;  // data.mdb before the large body, which comes last
};

TEST_F(CorruptionTest, IsFoundOrWithoutEffectWhereverItIs) {
  std::map<std::string, int> ends;
  for (int round = 0; round < kRounds && !HasFailure(); ++round) {
    std::string damaged = data_;
    const size_t offset = random_.Below(round % 4 == 0 ? data_.size() : small_bytes_);
    const std::string damage = Damage(&damaged, offset, data_.size(), kPageBytes, &random_);
    ASSERT_TRUE(files_->Restore({{"data.mdb", damaged}}));
    absl::StatusOr<test::Finished> run = RunChild({"read", store()});
    ASSERT_THAT(run, IsOk()) << damage << ": LMDB or we hang";
    ExpectHonest(*run, damage);
    absl::StatusOr<test::Finished> writer = RunChild({"append", store(), "2", "1"});
    ASSERT_THAT(writer, IsOk()) << damage << ": LMDB or we hang";
    EXPECT_THAT(writer->err, Not(HasSubstr("check failed"))) << damage;
    ++ends[run->signal != 0 ? fmt::format("killed by {}", strsignal(run->signal))
                            : absl::StatusCodeToString(static_cast<Code>(run->exit_code))];
    if (run->signal != 0) std::printf("%s: %s\n", damage.c_str(), strsignal(run->signal));
  }
  for (const auto& [end, count] : ends) std::printf("%4d %s\n", count, end.c_str());
}

TEST_F(CorruptionTest, WithinOurOwnValuesIsFoundAndKillsNobody) {
  const std::vector<std::pair<size_t, size_t>> values = OurValues();
  ASSERT_GT(values.size(), 80u);
  int found = 0;
  for (int round = 0; round < kRounds && !HasFailure(); ++round) {
    std::string damaged = data_;
    const auto& [begin, size] = values[random_.Below(values.size())];
    const size_t offset = begin + random_.Below(size);
    const std::string damage = FlipBit(&damaged, offset, &random_);
    ASSERT_TRUE(files_->Restore({{"data.mdb", damaged}}));
    absl::StatusOr<test::Finished> run = RunChild({"read", store()});
    ASSERT_THAT(run, IsOk()) << damage;
    EXPECT_EQ(run->signal, 0) << damage << run->err;
    ExpectHonest(*run, damage);
    if (run->exit_code == 0) {
      EXPECT_EQ(RecordLines(run->out), known_) << damage;  // of a value no longer in use
      continue;
    }
    ++found;
    // A changed version number is all a newer one would look like; a body whose
    // changed entry names another record is not found.
    EXPECT_THAT(static_cast<Code>(run->exit_code),
                AnyOf(Code::kDataLoss, Code::kUnimplemented, Code::kNotFound))
        << damage << run->out;
    EXPECT_THAT(run->out.substr(run->out.find("error")), ContainsRegex("(record|body) [0-9]+"))
        << damage;
  }
  EXPECT_GT(found, kRounds / 5);
  std::printf("%d of %d found, the others of no effect\n", found, kRounds);
}

TEST_F(CorruptionTest, ACutOffFileIsFoundAndKillsNobody) {
  for (int round = 0; round < 20 && !HasFailure(); ++round) {
    const size_t size = random_.Below(round % 2 == 0 ? data_.size() : small_bytes_);
    const std::string damage = fmt::format("cut off at {}", size);
    ASSERT_TRUE(files_->Restore({{"data.mdb", data_.substr(0, size)}}));
    NIMBUS_ASSERT_OK_AND_ASSIGN(const test::Finished run, RunChild({"read", store()}));
    EXPECT_EQ(run.exit_code, static_cast<int>(Code::kDataLoss)) << damage << run.out << run.signal;
    EXPECT_THAT(run.out, HasSubstr("data.mdb")) << damage;
    // A writer may have to complete the file. What is lost is lost all the same,
    // and only what no value reached into, as the end of the last page, is not.
    NIMBUS_ASSERT_OK_AND_ASSIGN(const test::Finished writer,
                                RunChild({"append", store(), "2", "1"}));
    EXPECT_EQ(writer.signal, 0) << damage << writer.err;
    NIMBUS_ASSERT_OK_AND_ASSIGN(const test::Finished again, RunChild({"read", store()}));
    EXPECT_EQ(again.signal, 0) << damage << again.err;
    EXPECT_TRUE(again.exit_code != 0 || BeginsWithAllKnown(RecordLines(again.out))) << damage;
    if (size < small_bytes_) {
      EXPECT_NE(again.exit_code, 0) << damage;
    }
  }
}

}  // namespace
}  // namespace nimbus::journal
