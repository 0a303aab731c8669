#include "bench/bare_loop.h"

#include <gtest/gtest.h>

#include "testing/workload.h"

namespace nimbus::bench {
namespace {

TEST(BareLoopTest, CompressesAllBodiesTogether) {
  const test::Workload workload(1);
  BareLoop loop;
  size_t bytes = 0;
  for (uint64_t number = 0; number < 10; ++number) {
    for (const schema::Event& event : workload.Operation(number).Events(workload.SessionId(0))) {
      loop.Add(event);
      bytes += schema::EncodeBody(event).size();
    }
  }
  EXPECT_GT(loop.Finish(), loop.compressed_bytes());
  // As text of agents does in blocks of 64 KiB, see workload.h.
  EXPECT_GT(loop.compressed_bytes() * 5, bytes);
  EXPECT_LT(loop.compressed_bytes() * 2, bytes);
}

TEST(BareLoopTest, NothingIsCompressedToNothing) {
  BareLoop loop;
  EXPECT_EQ(loop.Finish(), 0u);
  EXPECT_EQ(loop.compressed_bytes(), 0u);
}

}  // namespace
}  // namespace nimbus::bench
