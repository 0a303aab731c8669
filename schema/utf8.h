// Strict UTF-8 (no surrogates, no overlong forms), as simdjson checks it.
#pragma once

#include <string_view>

namespace nimbus::schema {

bool IsUtf8(std::string_view text);

}  // namespace nimbus::schema
