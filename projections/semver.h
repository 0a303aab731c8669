// Semantic versions (semver.org 2.0.0) and what one plugin asks of another.
//
//   NIMBUS_ASSIGN_OR_RETURN(const Dependency core, ParseDependency("core ^1.2"));
//   NIMBUS_ASSIGN_OR_RETURN(const Semver version, ParseSemver("1.4.0-rc.1"));
//   Satisfies(core, version);   // true
//
// A dependency is a plugin's name, and after a space any number of constraints, all
// of which must hold: an operator and a version whose missing parts are 0.
//
//   =1.2.3   that version            >1.2 >=1.2 <2 <=2   before or after it
//   ^1.2     >=1.2, below the next version that may break: 2.0.0; of ^0.2, 0.3.0; of
//            ^0.0.3, 0.0.4
//   ~1.2     >=1.2, below 1.3.0; of ~1, 2.0.0
//
// What is compared is precedence (section 11 of semver.org): a pre-release comes before
// its release, build metadata does not count. A pre-release of the version that ends a ^
// or ~ is already outside of it.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace nimbus::projections {

struct Semver {
  std::array<uint64_t, 3> numbers{};  // major, minor, patch
  std::vector<std::string> prerelease;

  friend std::strong_ordering operator<=>(const Semver& a, const Semver& b);
  friend bool operator==(const Semver& a, const Semver& b) { return (a <=> b) == 0; }
};

// InvalidArgument for what is no version of three numbers.
absl::StatusOr<Semver> ParseSemver(std::string_view text);

enum class Comparison { kEqual, kLess, kLessOrEqual, kGreater, kGreaterOrEqual, kCaret, kTilde };

struct Constraint {
  Comparison comparison = Comparison::kEqual;
  Semver version;
  int parts = 3;  // numbers that were written
};

struct Dependency {
  std::string name;
  std::string constraint_text;  // as it was written; empty for any version
  std::vector<Constraint> constraints;
};

// InvalidArgument: no name, an operator or a version that is none.
absl::StatusOr<Dependency> ParseDependency(std::string_view text);

bool Satisfies(const Dependency& dependency, const Semver& version);

}  // namespace nimbus::projections
