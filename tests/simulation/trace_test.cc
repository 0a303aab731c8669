// What a trace says of the calls that were made.
#include "simulation/trace.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "testing/status_matchers.h"

namespace nimbus::simulation {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class TraceTest : public ::testing::Test {
 protected:
  void Add(RecordHeader header, const std::string& path = "", const std::string& data = "") {
    header.path_bytes = static_cast<uint32_t>(path.size());
    header.data_bytes = static_cast<uint32_t>(data.size());
    bytes_ += std::string(reinterpret_cast<const char*>(&header), sizeof(header)) + path + data;
  }
  std::string bytes_;
};

TEST_F(TraceTest, PairsCallsWithTheirReturns) {
  Add({.call = Call::kWrite, .id = 1, .inode = 7, .offset = 512}, "f", "one");
  Add({.call = Call::kSync, .id = 2, .inode = 7}, "f");
  Add({.call = Call::kReturned, .id = 1, .offset = 3});
  Add({.call = Call::kCreate, .id = 3}, "g");
  Add({.call = Call::kReturned, .id = 3, .inode = 8, .offset = 5});
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Trace trace, ParseTrace(bytes_));
  ASSERT_THAT(trace.ops, SizeIs(3));
  EXPECT_EQ(trace.ops[0].data, "one");
  EXPECT_EQ(trace.ops[0].offset, 512u);
  EXPECT_EQ(trace.ops[0].begin, 0u);
  EXPECT_EQ(trace.ops[0].end, 2u);
  EXPECT_EQ(trace.ops[1].end, kNever);
  EXPECT_EQ(trace.ops[2].inode, 8u);
  EXPECT_EQ(trace.records(), 5u);
}

TEST_F(TraceTest, LeavesOutCallsThatFailed) {
  Add({.call = Call::kWrite, .id = 1, .inode = 7}, "f", "one");
  Add({.call = Call::kSync, .id = 2, .inode = 7}, "f");
  Add({.call = Call::kReturned, .id = 1, .offset = -1});
  Add({.call = Call::kReturned, .id = 2, .offset = -1});
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Trace trace, ParseTrace(bytes_));
  EXPECT_THAT(trace.ops, IsEmpty());
  EXPECT_EQ(trace.records(), 4u);
}

TEST_F(TraceTest, KeepsOfAShortWriteWhatWasWritten) {
  Add({.call = Call::kWrite, .id = 1, .inode = 7}, "f", "one two");
  Add({.call = Call::kReturned, .id = 1, .offset = 3});
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Trace trace, ParseTrace(bytes_));
  ASSERT_THAT(trace.ops, SizeIs(1));
  EXPECT_EQ(trace.ops[0].data, "one");
}

TEST_F(TraceTest, HasWhatTheProgramSaid) {
  Add({.call = Call::kMark}, "", "begun");
  Add({.call = Call::kMark, .micros = 5}, "", "opened 1");
  Add({.call = Call::kSnapshot, .micros = 6}, "wal.state", "1234");
  Add({.call = Call::kUnsupported, .micros = 7}, "", "splice");
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Trace trace, ParseTrace(bytes_));
  EXPECT_EQ(trace.begun, 1u);
  ASSERT_THAT(trace.marks, SizeIs(2));
  EXPECT_EQ(trace.marks[1].at, 1u);
  EXPECT_EQ(trace.marks[1].text, "opened 1");
  ASSERT_THAT(trace.snapshots, SizeIs(1));
  EXPECT_EQ(trace.snapshots[0].path, "wal.state");
  EXPECT_THAT(trace.unsupported, ElementsAre("splice"));
  EXPECT_THAT(trace.micros, ElementsAre(0, 5, 6, 7));
}

TEST_F(TraceTest, RefusesOneThatIsCutOff) {
  Add({.call = Call::kWrite, .id = 1, .inode = 7}, "f", "one");
  EXPECT_TRUE(ParseTrace(bytes_).ok());
  for (size_t size = 1; size < bytes_.size(); ++size) {
    EXPECT_THAT(ParseTrace(std::string_view(bytes_).substr(0, size)),
                test::StatusIs(absl::StatusCode::kDataLoss))
        << size;
  }
}

}  // namespace
}  // namespace nimbus::simulation
