// Sums of figures that anyone may have written: where one does not fit, it is the
// nearest that does.
#pragma once

#include <concepts>
#include <limits>

namespace nimbus::schema {

template <std::integral Number>
Number SaturatedSum(Number a, Number b) {
  Number sum = 0;
  if (!__builtin_add_overflow(a, b, &sum)) return sum;
  return b < 0 ? std::numeric_limits<Number>::min() : std::numeric_limits<Number>::max();
}

}  // namespace nimbus::schema
