#include "bench/result.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <utility>

#include "nimbus/schema/check.h"
#include "nimbus/schema/status.h"

namespace nimbus::bench {
namespace {

using schema::Json;

constexpr std::array<std::string_view, 4> kMeasureNames = {"ratio", "inverse", "difference",
                                                           "value"};
constexpr std::array<std::string_view, 3> kAimNames = {"none", "at_least", "at_most"};

double Measured(Measure measure, double ours, double theirs) {
  switch (measure) {
    case Measure::kRatio:
      return ours / theirs;
    case Measure::kInverse:
      return theirs / ours;
    case Measure::kDifference:
      return ours - theirs;
    case Measure::kValue:
      break;
  }
  return ours;
}

// Three digits that count, thousands apart.
std::string Figure(double value) {
  const double size = std::abs(value);
  if (size < 0.0005) return "0";
  if (size < 1) return fmt::format("{:.3f}", value);
  if (size < 10) return fmt::format("{:.2f}", value);
  if (size < 100) return fmt::format("{:.1f}", value);
  std::string digits = fmt::format("{:.0f}", value);
  for (size_t at = digits.size(); at > 3 + (value < 0 ? 1 : 0);) {
    at -= 3;
    digits.insert(at, ",");
  }
  return digits;
}

std::string MeasuredText(const Row& row) {
  const std::string range = fmt::format("{} to {}", Figure(row.least), Figure(row.most));
  switch (row.measure) {
    case Measure::kDifference:
      return fmt::format("{}{} {} ({})", row.median < 0 ? "" : "+", Figure(row.median), row.unit,
                         range);
    case Measure::kValue:
      return fmt::format("{} ({})", row.unit, range);
    case Measure::kRatio:
    case Measure::kInverse:
      break;
  }
  return fmt::format("{:.2f}x ({:.2f} to {:.2f})", row.median, row.least, row.most);
}

std::string AimText(const Row& row) {
  if (row.aim.kind == Aim::Kind::kNone) return "";
  return fmt::format("{} {:g}", row.aim.kind == Aim::Kind::kAtLeast ? "≥" : "≤", row.aim.value);
}

std::string VerdictText(const Row& row) {
  if (row.aim.kind == Aim::Kind::kNone) return "";
  return IsMet(row) ? "met" : "MISSED";
}

Json RowJson(const Row& row) {
  const auto measure = static_cast<size_t>(row.measure);
  const auto aim = static_cast<size_t>(row.aim.kind);
  return Json::MakeObject({{"question", Json::String(row.question)},
                           {"unit", Json::String(row.unit)},
                           {"nimbus", Json::Double(row.nimbus)},
                           {"peer", Json::String(row.peer)},
                           {"peer_value", Json::Double(row.peer_value)},
                           {"measure", Json::String(std::string(kMeasureNames[measure]))},
                           {"median", Json::Double(row.median)},
                           {"least", Json::Double(row.least)},
                           {"most", Json::Double(row.most)},
                           {"aim", Json::String(std::string(kAimNames[aim]))},
                           {"aim_value", Json::Double(row.aim.value)},
                           {"met", Json::Bool(IsMet(row))}});
}

double NumberOr0(const Json& object, std::string_view key) {
  const Json* value = object.Find(key);
  return value == nullptr ? 0 : value->AsDouble().value_or(0);
}

template <size_t kCount>
absl::StatusOr<size_t> IndexOf(const std::array<std::string_view, kCount>& names,
                               std::string_view name) {
  const auto* found = std::find(names.begin(), names.end(), name);
  if (found == names.end()) {
    return schema::Error(absl::StatusCode::kInvalidArgument, "unknown word '{}'", name);
  }
  return static_cast<size_t>(found - names.begin());
}

absl::StatusOr<Row> ParseRow(const Json& json) {
  Row row;
  row.question = json.StringOr("question");
  row.unit = json.StringOr("unit");
  row.peer = json.StringOr("peer");
  NIMBUS_ASSIGN_OR_RETURN(const size_t measure, IndexOf(kMeasureNames, json.StringOr("measure")));
  row.measure = static_cast<Measure>(measure);
  NIMBUS_ASSIGN_OR_RETURN(const size_t aim, IndexOf(kAimNames, json.StringOr("aim")));
  row.aim = {static_cast<Aim::Kind>(aim), NumberOr0(json, "aim_value")};
  row.nimbus = NumberOr0(json, "nimbus");
  row.peer_value = NumberOr0(json, "peer_value");
  row.median = NumberOr0(json, "median");
  row.least = NumberOr0(json, "least");
  row.most = NumberOr0(json, "most");
  return row;
}

}  // namespace

Row MakeRow(Row row, std::span<const double> ours, std::span<const double> theirs) {
  NIMBUS_CHECK(!ours.empty());
  NIMBUS_CHECK(theirs.size() == (row.measure == Measure::kValue ? 0 : ours.size()));
  std::vector<double> measured;
  for (size_t round = 0; round < ours.size(); ++round) {
    measured.push_back(Measured(row.measure, ours[round], theirs.empty() ? 0.0 : theirs[round]));
  }
  row.nimbus = Median(ours);
  row.peer_value = theirs.empty() ? 0 : Median(theirs);
  row.median = Median(measured);
  row.least = *std::min_element(measured.begin(), measured.end());
  row.most = *std::max_element(measured.begin(), measured.end());
  return row;
}

bool IsMet(const Row& row) {
  switch (row.aim.kind) {
    case Aim::Kind::kNone:
      return true;
    case Aim::Kind::kAtLeast:
      return row.median >= row.aim.value;
    case Aim::Kind::kAtMost:
      break;
  }
  return row.median <= row.aim.value;
}

std::string RowsToText(std::span<const Row> rows) {
  std::string text = fmt::format("{:<44} {:>10} {:>10}  {:<14} {:<29} {:<8} {}\n", "question",
                                 "Nimbus", "peer", "", "measured (least to most)", "aim", "");
  for (const Row& row : rows) {
    text += fmt::format("{:<44} {:>10} {:>10}  {:<14} {:<29} {:<8} {}\n", row.question,
                        Figure(row.nimbus), row.peer.empty() ? "" : Figure(row.peer_value),
                        row.peer, MeasuredText(row), AimText(row), VerdictText(row));
  }
  return text;
}

std::string RowsToMarkdown(std::span<const Row> rows) {
  std::string text =
      "| question | Nimbus | peer | measured (least to most) | aim | |\n"
      "|---|---:|---:|---:|---:|---|\n";
  for (const Row& row : rows) {
    const std::string peer =
        row.peer.empty() ? "" : fmt::format("{} {}", row.peer, Figure(row.peer_value));
    text += fmt::format("| {} | {} | {} | {} | {} | {} |\n", row.question, Figure(row.nimbus), peer,
                        MeasuredText(row), AimText(row), VerdictText(row));
  }
  return text;
}

std::string ToText(const Results& results) {
  std::string text = fmt::format("{}: directory {}, seed {}; medians of {} rounds\n",
                                 results.program, results.directory, results.seed, results.rounds);
  if (!results.flush_us.empty()) {
    text += fmt::format("flush of 4 KiB: {:.0f} us ({:.0f} to {:.0f})\n", Median(results.flush_us),
                        Percentile(results.flush_us, 0.0), Percentile(results.flush_us, 1.0));
  }
  if (!results.text.empty()) text += "\n" + results.text;
  return text + "\n" + RowsToText(results.rows);
}

Json ToJson(const Results& results) {
  Json::Array flushes, rows;
  for (const double flush : results.flush_us) flushes.push_back(Json::Double(flush));
  for (const Row& row : results.rows) rows.push_back(RowJson(row));
  return Json::MakeObject({{"program", Json::String(results.program)},
                           {"directory", Json::String(results.directory)},
                           {"seed", Json::Uint(results.seed)},
                           {"rounds", Json::Uint(results.rounds)},
                           {"flush_us", Json::MakeArray(std::move(flushes))},
                           {"rows", Json::MakeArray(std::move(rows))},
                           {"detail", results.detail}});
}

absl::StatusOr<Results> ParseResults(std::string_view json) {
  NIMBUS_ASSIGN_OR_RETURN(const Json parsed, Json::Parse(json));
  const Json* rows = parsed.Find("rows");
  const Json* flushes = parsed.Find("flush_us");
  if (rows == nullptr || !rows->IsArray()) return absl::InvalidArgumentError("there are no rows");
  Results results;
  results.program = parsed.StringOr("program");
  for (const Json& row : rows->array()) {
    NIMBUS_ASSIGN_OR_RETURN(Row one, ParseRow(row));
    results.rows.push_back(std::move(one));
  }
  if (flushes != nullptr && flushes->IsArray()) {
    for (const Json& flush : flushes->array()) {
      results.flush_us.push_back(flush.AsDouble().value_or(0));
    }
  }
  return results;
}

double Percentile(std::vector<double> values, double fraction) {
  NIMBUS_CHECK(!values.empty());
  const double rank = std::ceil(fraction * static_cast<double>(values.size()));
  const auto nth =
      values.begin() + std::max<std::ptrdiff_t>(static_cast<std::ptrdiff_t>(rank), 1) - 1;
  std::nth_element(values.begin(), nth, values.end());
  return *nth;
}

double Median(std::span<const double> values) {
  return Percentile({values.begin(), values.end()}, 0.5);
}

}  // namespace nimbus::bench
