// What a person may have meant by a name that is not there.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace nimbus::tools::cli {

// "; did you mean 'aws'?" with the name of `known` that is nearest by edit distance, to
// put behind "no plugin 'awss'"; empty when none is near.
std::string DidYouMean(std::string_view name, std::span<const std::string> known);

}  // namespace nimbus::tools::cli
