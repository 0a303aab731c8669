#include "semver.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include "nimbus/schema/status.h"

namespace nimbus::projections {
namespace {

using schema::Error;
using Code = absl::StatusCode;

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

bool IsNumber(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), IsDigit);
}

bool IsIdentifier(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return IsDigit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-';
  });
}

bool HasLeadingZero(std::string_view number) { return number.size() > 1 && number[0] == '0'; }

// Splits `text` at each `separator`; "" is one empty part.
std::vector<std::string_view> Split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (;;) {
    const size_t end = text.find(separator);
    parts.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

std::optional<uint64_t> ParseNumber(std::string_view text) {
  uint64_t number = 0;
  if (!IsNumber(text) || HasLeadingZero(text)) return std::nullopt;
  const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || rest != text.data() + text.size()) return std::nullopt;
  return number;
}

bool ParsePrerelease(std::string_view text, Semver* version) {
  for (const std::string_view part : Split(text, '.')) {
    if (!IsIdentifier(part) || (IsNumber(part) && HasLeadingZero(part))) return false;
    version->prerelease.emplace_back(part);
  }
  return true;
}

// A version of one to three numbers; how many there were in `parts`.
std::optional<Semver> ParseParts(std::string_view text, int* parts) {
  Semver version;
  if (const size_t plus = text.find('+'); plus != std::string_view::npos) {
    for (const std::string_view part : Split(text.substr(plus + 1), '.')) {
      if (!IsIdentifier(part)) return std::nullopt;
    }
    text = text.substr(0, plus);
  }
  const size_t hyphen = text.find('-');
  const std::vector<std::string_view> numbers = Split(text.substr(0, hyphen), '.');
  if (numbers.size() > version.numbers.size()) return std::nullopt;
  for (size_t i = 0; i < numbers.size(); ++i) {
    const std::optional<uint64_t> number = ParseNumber(numbers[i]);
    if (!number) return std::nullopt;
    version.numbers[i] = *number;
  }
  *parts = static_cast<int>(numbers.size());
  if (hyphen == std::string_view::npos) return version;
  if (*parts != 3 || !ParsePrerelease(text.substr(hyphen + 1), &version)) return std::nullopt;
  return version;
}

// Numeric identifiers by value (of any length), below all others, which go by ASCII.
std::strong_ordering CompareIdentifiers(const std::string& a, const std::string& b) {
  const bool a_number = IsNumber(a), b_number = IsNumber(b);
  if (a_number != b_number) {
    return a_number ? std::strong_ordering::less : std::strong_ordering::greater;
  }
  if (a_number && a.size() != b.size()) return a.size() <=> b.size();
  return a.compare(b) <=> 0;
}

struct Operator {
  std::string_view sign;
  Comparison comparison;
};

constexpr Operator kOperators[] = {  // longer ones first
    {">=", Comparison::kGreaterOrEqual},
    {"<=", Comparison::kLessOrEqual},
    {">", Comparison::kGreater},
    {"<", Comparison::kLess},
    {"=", Comparison::kEqual},
    {"^", Comparison::kCaret},
    {"~", Comparison::kTilde}};

// The numbers of the first version that ^ and ~ leave out.
std::array<uint64_t, 3> EndOf(const Constraint& constraint) {
  std::array<uint64_t, 3> end = constraint.version.numbers;
  size_t raised = 0;
  if (constraint.comparison == Comparison::kTilde) {
    raised = constraint.parts == 1 ? 0 : 1;
  } else {
    while (raised + 1 < static_cast<size_t>(constraint.parts) && end[raised] == 0) ++raised;
  }
  ++end[raised];
  std::fill(end.begin() + static_cast<std::ptrdiff_t>(raised) + 1, end.end(), 0);
  return end;
}

bool Holds(const Constraint& constraint, const Semver& version) {
  switch (constraint.comparison) {
    case Comparison::kEqual:
      return version == constraint.version;
    case Comparison::kLess:
      return version < constraint.version;
    case Comparison::kLessOrEqual:
      return version <= constraint.version;
    case Comparison::kGreater:
      return version > constraint.version;
    case Comparison::kGreaterOrEqual:
      return version >= constraint.version;
    case Comparison::kCaret:
    case Comparison::kTilde:
      return version >= constraint.version && version.numbers < EndOf(constraint);
  }
  return false;
}

std::optional<Constraint> ParseConstraint(std::string_view text) {
  for (const auto& [sign, comparison] : kOperators) {
    if (!text.starts_with(sign)) continue;
    Constraint constraint{.comparison = comparison};
    const std::optional<Semver> version = ParseParts(text.substr(sign.size()), &constraint.parts);
    // The largest number has none after it, for the end of ^ and ~.
    if (!version ||
        *std::max_element(version->numbers.begin(), version->numbers.end()) == UINT64_MAX) {
      return std::nullopt;
    }
    constraint.version = *version;
    return constraint;
  }
  return std::nullopt;
}

}  // namespace

std::strong_ordering operator<=>(const Semver& a, const Semver& b) {
  if (const auto numbers = a.numbers <=> b.numbers; numbers != 0) return numbers;
  if (a.prerelease.empty() || b.prerelease.empty()) {
    return b.prerelease.size() <=> a.prerelease.size();  // the release comes last
  }
  const size_t common = std::min(a.prerelease.size(), b.prerelease.size());
  for (size_t i = 0; i < common; ++i) {
    const auto order = CompareIdentifiers(a.prerelease[i], b.prerelease[i]);
    if (order != 0) return order;
  }
  return a.prerelease.size() <=> b.prerelease.size();
}

absl::StatusOr<Semver> ParseSemver(std::string_view text) {
  int parts = 0;
  const std::optional<Semver> version = ParseParts(text, &parts);
  if (version && parts == 3) return *version;
  return Error(Code::kInvalidArgument, "'{}' is no semantic version, such as 1.2.3", text);
}

absl::StatusOr<Dependency> ParseDependency(std::string_view text) {
  const size_t space = text.find(' ');
  Dependency dependency{.name = std::string(text.substr(0, space))};
  if (dependency.name.empty()) {
    return Error(Code::kInvalidArgument, "dependency '{}' begins with no plugin's name", text);
  }
  if (dependency.name.find_first_of("<>=^~") != std::string::npos) {
    return Error(Code::kInvalidArgument, "dependency '{}': a space goes before a constraint", text);
  }
  if (space == std::string_view::npos) return dependency;
  dependency.constraint_text = text.substr(space + 1);
  for (const std::string_view part : Split(dependency.constraint_text, ' ')) {
    const std::optional<Constraint> constraint = ParseConstraint(part);
    if (!constraint) {
      return Error(Code::kInvalidArgument,
                   "dependency '{}': '{}' is no constraint, such as >=1.2, ^1.2, ~1.2 or =1.2.3",
                   text, part);
    }
    dependency.constraints.push_back(*constraint);
  }
  return dependency;
}

bool Satisfies(const Dependency& dependency, const Semver& version) {
  return std::all_of(dependency.constraints.begin(), dependency.constraints.end(),
                     [&](const Constraint& constraint) { return Holds(constraint, version); });
}

}  // namespace nimbus::projections
