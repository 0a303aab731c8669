// Small readings that several formats share.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "nimbus/schema/json.h"
#include "tools/import/run.h"

namespace nimbus::tools::import {

// A member that is a whole number of at least 0.
std::optional<uint64_t> UintMember(const schema::Json& object, std::string_view key);

// The first line that holds anything, cut at `bytes_max` without splitting a
// character: a name for what begins with `text`.
std::string Headline(std::string_view text, size_t bytes_max = 120);

// `name` as an event may carry it: at most 255 bytes, no control characters.
std::string ToolName(std::string_view name);

// 16 hex digits that tell two texts apart.
std::string ShortDigest(std::string_view text);

// Input, output, cache read and write added up; nullopt when none is known.
std::optional<uint64_t> SumOf(const Usage& usage);

// Adds what is known in `part` to `sum`.
void AddUsage(const Usage& part, Usage* sum);

}  // namespace nimbus::tools::import
