// How parts of the configuration look, for the commands below `nimbus config`.
#pragma once

#include <string>
#include <string_view>

#include "nimbus/projections/config.h"
#include "nimbus/schema/json.h"

namespace nimbus::tools {

schema::Json ToJson(const projections::Preference& preference);
schema::Json ToJson(const projections::ConfigValue& value);
schema::Json ToJson(const projections::ConfigProfile& profile);
schema::Json ToJson(const projections::EnvironmentConfig& environment);
schema::Json ToJson(const projections::EffectiveValue& value);

// "name        value", the value on one line.
void PrintField(std::string_view name, std::string_view value);

// Prints JSON text indented on a terminal, as it is when piped.
void PrintConfig(const std::string& json);

}  // namespace nimbus::tools
