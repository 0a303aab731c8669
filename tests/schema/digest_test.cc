#include "nimbus/schema/digest.h"

#include <gtest/gtest.h>

namespace nimbus::schema {
namespace {

// Known answers: BLAKE2b-256 of "" and "abc" (computed with two other programs).
TEST(DigestTest, IsBlake2bWith256Bits) {
  EXPECT_EQ(ToHex(Blake2b256("")),
            "0e5751c026e543b2e8ab2eb06099daa1d1e5df47778f7787faab45cdf12fe3a8");
  EXPECT_EQ(ToHex(Blake2b256("abc")),
            "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319");
}

TEST(DigestTest, AKeyChangesIt) {
  const std::array<uint8_t, 16> key{1};
  EXPECT_NE(KeyedBlake2b256("abc", key), Blake2b256("abc"));
  EXPECT_EQ(KeyedBlake2b256("abc", {}), Blake2b256("abc"));
}

TEST(DigestTest, OfAStateDependsOnItsValueNotItsText) {
  const Json a = *Json::Parse(R"({"b":1.0,"a":[true,"é"]})");
  const Json b = *Json::Parse("{ \"a\" : [true, \"\\u00e9\"], \"b\" : 1 }");
  EXPECT_EQ(StateDigest(a), StateDigest(b));
  EXPECT_NE(StateDigest(a), StateDigest(*Json::Parse(R"({"b":2,"a":[true,"é"]})")));
  EXPECT_EQ(FromFb(ToFb(StateDigest(a))), StateDigest(a));
}

}  // namespace
}  // namespace nimbus::schema
