// A store with plugins in it, for tests.
#pragma once

#include <gmock/gmock.h>

#include <string>
#include <utility>
#include <vector>

#include "fixture.h"
#include "testing/status_matchers.h"

namespace nimbus::projections {

inline PluginManifest ManifestOf(std::string name, std::string version = "1.0.0",
                                 std::vector<std::string> dependencies = {}) {
  return {.name = std::move(name),
          .version = std::move(version),
          .entry_point = "index.js",
          .dependencies = std::move(dependencies)};
}

class PluginStoreTest : public StoreTest {
 protected:
  void SetUp() override { ASSERT_THAT(Open(), test::IsOk()); }

  Plugins& plugins() { return database_->plugins(); }
  PluginRegistry& registry() { return database_->plugin_registry(); }

  schema::Uuid Install(const PluginManifest& manifest) {
    absl::StatusOr<Written> written = plugins().Install(manifest);
    EXPECT_THAT(written, test::IsOk());
    return written.ok() ? written->id : schema::Uuid{};
  }
  // The row, once the tables hold all there is.
  Plugin RowOf(const schema::Uuid& id) {
    EXPECT_THAT(CatchUp(), test::IsOk());
    absl::StatusOr<std::optional<Plugin>> row = plugins().Get(id);
    EXPECT_THAT(row, test::IsOk());
    EXPECT_TRUE(row.ok() && row->has_value()) << "no row";
    return row.ok() && *row ? **row : Plugin{};
  }
  uint64_t Size() { return journal().Size().value_or(0); }
};

}  // namespace nimbus::projections
