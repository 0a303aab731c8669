#include "tools/nimbus-replay/point.h"

#include <algorithm>
#include <charconv>
#include <vector>

#include "nimbus/replay/pointer.h"
#include "nimbus/schema/json.h"
#include "nimbus/schema/status.h"
#include "tools/cli/nearest.h"
#include "tools/cli/select.h"

namespace nimbus::tools {

using replay::Point;
using schema::Error;
using schema::fb::EntityKind;
using Code = absl::StatusCode;

namespace {

const std::vector<std::string> kWords = {"start", "end", "last-failure"};

// Digits without a leading zero.
bool IsNumber(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos &&
         (text == "0" || text.front() != '0');
}

absl::StatusOr<Point> StepPoint(std::string_view text) {
  uint32_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size()) {
    return Error(Code::kNotFound, "no step {}", text);
  }
  return Point{.kind = Point::Kind::kStep, .step = number};
}

}  // namespace

absl::StatusOr<Point> SelectPoint(const journal::Journal& journal, std::string_view text) {
  if (text == "start") return Point{.kind = Point::Kind::kStart};
  if (text == "end") return Point{.kind = Point::Kind::kEnd};
  if (text == "last-failure") return Point{.kind = Point::Kind::kLastFailure};
  if (IsNumber(text)) return StepPoint(text);
  const absl::StatusOr<schema::Uuid> checkpoint =
      cli::SelectEntity(journal, EntityKind::checkpoint, text);
  if (checkpoint.ok()) return Point{.kind = Point::Kind::kCheckpoint, .checkpoint = *checkpoint};
  if (!absl::IsNotFound(checkpoint.status())) return checkpoint.status();
  const std::string near = cli::DidYouMean(text, kWords);
  if (near.empty()) return checkpoint.status();
  return Error(Code::kNotFound, "no step and no checkpoint '{}'{}", text, near);
}

absl::Status CheckPointer(std::string_view text) {
  std::string quoted;
  schema::AppendJsonString(text, &quoted);
  if (!schema::ValidateJson(quoted).ok()) {
    return Error(Code::kInvalidArgument, "the JSON Pointer is not valid UTF-8");
  }
  return schema::Annotate(replay::ParsePointer(text).status(),
                          fmt::format("the JSON Pointer '{}'", text));
}

CLI::Option* AddAtOption(CLI::App* command, std::string* at) {
  return command
      ->add_option("--at", *at,
                   "Where: start, end, last-failure (before the last step that failed), a step by "
                   "its number, or a checkpoint by its id or the beginning of it")
      ->type_name("POINT");
}

CLI::Option* AddOperationArgument(CLI::App* command, std::string* id) {
  return command->add_option("ID", *id, "Operation: its id or the beginning of it, @, @-, …")
      ->required();
}

}  // namespace nimbus::tools
