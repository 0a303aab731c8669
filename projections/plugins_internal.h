// What the files that implement Plugins share.
#pragma once

#include "nimbus/projections/plugins.h"
#include "plugin_rows.h"
#include "view_reader.h"

namespace nimbus::projections {

class Plugins::Rows : public ViewReader<PluginsReader> {
 public:
  using ViewReader::ViewReader;
};

// A plugin to decide on. The row may be newer than the state, in which case an append
// that expects its version is refused.
struct Plugins::Current {
  journal::EntityState state;
  Plugin plugin;
};

}  // namespace nimbus::projections
