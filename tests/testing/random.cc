#include "testing/random.h"

#include <cstdio>
#include <cstdlib>

namespace nimbus::test {

SeededRandom::SeededRandom() {
  const char* given = std::getenv("NIMBUS_TEST_SEED");
  seed_ = given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device{}();
  std::printf("NIMBUS_TEST_SEED=%llu\n", static_cast<unsigned long long>(seed_));
  engine_.seed(seed_);
}

}  // namespace nimbus::test
