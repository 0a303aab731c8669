// How a person names a point of an operation, and a value in its state.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "nimbus/journal/journal.h"
#include "nimbus/replay/point.h"
#include "nimbus/replay/pointer.h"

namespace nimbus::tools {

// "start", "end", "last-failure", a step by its number, or a checkpoint by its id or
// the beginning of it. What looks like a number is one: an id may be given to its
// hyphen to tell it apart. NotFound: none of these; the message says which word is near.
absl::StatusOr<replay::Point> SelectPoint(const journal::Journal& journal, std::string_view text);

// InvalidArgument: `text` is no JSON Pointer in UTF-8.
absl::Status CheckPointer(std::string_view text);

// --at of a command: where.
CLI::Option* AddAtOption(CLI::App* command, std::string* at);

// The operation that a command is about.
CLI::Option* AddOperationArgument(CLI::App* command, std::string* id);

}  // namespace nimbus::tools
