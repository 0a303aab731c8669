#include "layout.h"

#include "search_rows.h"

namespace nimbus::projections {

const Layout& ViewsLayout() {
  static const Layout layout{
      .name = "views", .projector_version = 3, .migrations = Migrations(), .domains = Domains()};
  return layout;
}

const Layout& SearchLayout() {
  static const Layout layout{.name = "search",
                             .projector_version = 1,
                             .migrations = SearchMigrations(),
                             .domains = SearchDomains()};
  return layout;
}

}  // namespace nimbus::projections
