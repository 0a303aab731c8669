// Random choices of a test, others in each run. The seed is printed; a run with
// $NIMBUS_TEST_SEED set to it makes the same ones.
//
//   SeededRandom random;
//   const size_t offset = random.Below(bytes.size());
#pragma once

#include <cstddef>
#include <cstdint>
#include <random>

namespace nimbus::test {

// Printed; $NIMBUS_TEST_SEED where that is set.
uint64_t MakeSeed();

class SeededRandom {
 public:
  SeededRandom();

  uint64_t seed() const { return seed_; }
  uint64_t operator()() { return engine_(); }
  int64_t Between(int64_t from, int64_t to) {  // both included
    return std::uniform_int_distribution<int64_t>(from, to)(engine_);
  }
  size_t Below(size_t end) {  // end > 0
    return std::uniform_int_distribution<size_t>(0, end - 1)(engine_);
  }

 private:
  uint64_t seed_ = 0;
  std::mt19937_64 engine_;
};

}  // namespace nimbus::test
