// Text that reads and compresses like an agent's: prose, code, listings, logs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace nimbus::test {

// SplitMix64 (Steele, Lea, Flood, OOPSLA 2014): the same numbers everywhere,
// which the distributions of <random> don't promise.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  uint64_t Next();
  uint64_t Below(uint64_t limit) { return Next() % limit; }

 private:
  uint64_t state_;
};

// Appends `pattern`, each %x in it replaced by something new: %w a word, %i an
// identifier, %d a directory, %p a path, %n a number below 1000, %2 two digits,
// %h twelve hex digits, %s the state of a pod, %c a command line, %% a percent
// sign. Replaced from left to right, so that every compiler makes the same text.
void AppendPattern(Random& random, std::string_view pattern, std::string* out);
std::string Pattern(Random& random, std::string_view pattern);

// Appends exactly `bytes` bytes of the inside of a JSON string (ASCII, escaped).
void AppendProse(Random& random, size_t bytes, std::string* out);
void AppendToolOutput(Random& random, size_t bytes, std::string* out);

std::string_view Word(Random& random);

}  // namespace nimbus::test
