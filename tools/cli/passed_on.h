// What a command line passes on to another program.
#pragma once

#include <string>
#include <vector>

namespace nimbus::tools::cli {

// The words after the first "--" of this program's command line, as they were given:
// CLI11, for one, makes two of "[a,b]". Empty when there is no "--".
std::vector<std::string> PassedOn();

}  // namespace nimbus::tools::cli
