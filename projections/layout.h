// What one SQLite file that follows the journal holds: the name of its files, the
// versions of its tables, and which events become rows of them.
#pragma once

#include <span>
#include <string_view>

#include "domains.h"
#include "migrator.h"

namespace nimbus::projections {

struct Layout {
  std::string_view name;  // of its files, see generations.h
  // Of the way events become rows. Raise it with any change to what is written: a
  // file made by another version is made anew at open.
  int projector_version;
  std::span<const Migration> migrations;
  std::span<const Domain> domains;
};

const Layout& ViewsLayout();   // the tables of the product specification
const Layout& SearchLayout();  // full-text search

}  // namespace nimbus::projections
