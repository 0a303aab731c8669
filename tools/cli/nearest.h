// What somebody meant who gave a name that there is not.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace nimbus::tools::cli {

// "; did you mean 'aws'?", to end a message with, when one of `known` is spelled much
// like `name`; else empty.
std::string DidYouMean(std::string_view name, std::span<const std::string> known);

}  // namespace nimbus::tools::cli
