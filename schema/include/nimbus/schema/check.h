// NIMBUS_CHECK(condition): what must hold, checked in every build. A failure is
// a bug in Nimbus, never bad input; it prints the place and aborts.
#pragma once

namespace nimbus::schema {

[[noreturn]] void CheckFailed(const char* condition, const char* file, int line);

}  // namespace nimbus::schema

#define NIMBUS_CHECK(condition)                        \
  (static_cast<bool>(condition) ? static_cast<void>(0) \
                                : ::nimbus::schema::CheckFailed(#condition, __FILE__, __LINE__))
