#include "testing/random.h"

#include <cstdio>
#include <cstdlib>

namespace nimbus::test {

uint64_t MakeSeed() {
  const char* given = std::getenv("NIMBUS_TEST_SEED");
  const uint64_t seed =
      given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device{}();
  std::printf("NIMBUS_TEST_SEED=%llu\n", static_cast<unsigned long long>(seed));
  return seed;
}

SeededRandom::SeededRandom() : seed_(MakeSeed()), engine_(seed_) {}

}  // namespace nimbus::test
