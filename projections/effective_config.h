// The configuration in effect, of rows as they were at one moment.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "nimbus/projections/config.h"

namespace nimbus::projections {

struct ConfigRows {
  std::vector<Preference> preferences;
  std::optional<EnvironmentConfig> environment;
  std::optional<ConfigProfile> profile;  // the active one
};

// As Config::GetEffective documents it; those at `key` and below it, all when empty.
// DataLoss when a row holds what is no JSON.
absl::StatusOr<std::vector<EffectiveValue>> MergeConfig(const ConfigRows& rows,
                                                        std::string_view key);

}  // namespace nimbus::projections
