// JSON Pointers (RFC 6901): the place of a value in a document.
//
//   NIMBUS_ASSIGN_OR_RETURN(const Pointer pointer, ParsePointer("/messages/3/content"));
//   const Json* content = FindValue(document, pointer);    // nullptr when there is no such value
//
// Thread-compatible: plain functions over values.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "nimbus/schema/json.h"

namespace nimbus::replay {

// The reference tokens, unescaped; none of them names the whole document.
using Pointer = std::vector<std::string>;

// InvalidArgument: it does not begin with '/', or has a '~' that escapes nothing.
absl::StatusOr<Pointer> ParsePointer(std::string_view text);

// The text that ParsePointer reads back.
std::string PointerText(const Pointer& pointer);

// Appends "/" and `token`, escaped as RFC 6901 says.
void AppendPointerToken(std::string_view token, std::string* pointer);

// The array index `token` stands for: digits without a leading zero; nullopt
// when it is no index.
std::optional<size_t> ParseIndex(std::string_view token);

// The value at `pointer`; nullptr when the document has none there. "-", the place
// behind an array's last item, never has one.
const schema::Json* FindValue(const schema::Json& document, const Pointer& pointer);

}  // namespace nimbus::replay
