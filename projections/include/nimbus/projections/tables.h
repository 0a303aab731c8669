// What can be said of the SQLite tables as such: how many rows they have, their
// digests, where two of them differ, and the answer to a query in SQL.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "nimbus/schema/digest.h"

namespace nimbus::projections {

// BLAKE2b-256 over all rows of a table, by primary key: every column of each, its type
// included, and the rowid. The time a migration was applied is left out: of all columns,
// only that one is not the journal's to tell.
struct TableDigest {
  std::string table;
  uint64_t rows = 0;
  schema::Digest digest{};

  friend bool operator==(const TableDigest&, const TableDigest&) = default;
};

// The first difference, by table and primary key. Holds no value of the row but its key.
struct TableDifference {
  std::string table;
  std::string row;   // "id '0198…'"; empty when the tables themselves differ
  std::string what;  // "column status differs", "is only in the views"

  std::string ToString() const;  // "table operations, row id '0198…': column status differs"
  friend bool operator==(const TableDifference&, const TableDifference&) = default;
};

// A value of a query's row: NULL, INTEGER, REAL, TEXT, BLOB.
using SqlValue = std::variant<std::monostate, int64_t, double, std::string, std::vector<uint8_t>>;

struct QueryRow {
  std::vector<std::string> columns;
  std::vector<SqlValue> values;  // as many
};

struct TableRows {
  std::string table;
  uint64_t rows = 0;
};

}  // namespace nimbus::projections
