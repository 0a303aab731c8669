#include "nimbus/schema/check.h"

#include <cstdio>
#include <cstdlib>

namespace nimbus::schema {

void CheckFailed(const char* condition, const char* file, int line) {
  std::fprintf(stderr, "%s:%d: check failed: %s\n", file, line, condition);
  std::abort();
}

}  // namespace nimbus::schema
