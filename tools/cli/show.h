// How values look: to people, and as JSON. JSON members have the names of the
// columns they come from; times are ISO 8601 in UTC; columns that hold JSON are
// nested, not quoted.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "nimbus/journal/reader.h"
#include "nimbus/projections/history.h"
#include "nimbus/schema/json.h"
#include "tools/cli/terminal.h"

namespace nimbus::tools::cli {

std::string ShowDuration(std::optional<int64_t> ms);   // "12 ms", "3.4 s", "2 m 05 s", "-"
std::string ShowCents(std::optional<int64_t> cents);   // "$0.14", "-"
std::string ShowNumber(std::optional<int64_t> value);  // "-" when absent
std::string ShowBytes(uint64_t bytes);                 // "1.4 MiB"
std::string ShowTime(std::optional<int64_t> micros);   // "2026-01-10 21:39:35", "-"
Style StyleOf(journal::Lifecycle status);

// The text worth a line of a JSON value: a string's own text, the first long
// string of an object, else the compact JSON.
std::string Summary(std::string_view json);

schema::Json ToJson(const projections::Session& session);
schema::Json ToJson(const projections::Operation& operation);
schema::Json ToJson(const projections::OperationStep& step);
schema::Json ToJson(const projections::Checkpoint& checkpoint);

// One record of the journal, without its body; times and ids in text.
schema::Json ToJson(const journal::RecordView& view);

// A null where absent; an ISO 8601 time; JSON text parsed (as a string if it is none).
schema::Json JsonOrNull(const std::optional<std::string>& text);
schema::Json JsonTime(std::optional<int64_t> micros);
schema::Json JsonInt(std::optional<int64_t> value);
schema::Json JsonText(const std::optional<std::string>& text);

// Prints a JSON document: indented on a terminal, on one line when piped.
void PrintJson(const schema::Json& value);

}  // namespace nimbus::tools::cli
