// What somebody meant who gave a name that is none.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace nimbus::tools::cli {

// "; did you mean 'aws'?" for 'awss', to go behind the message that there is no such
// name; empty when none of the known names is near.
std::string DidYouMean(std::string_view name, std::span<const std::string> known);

}  // namespace nimbus::tools::cli
