#include "digest.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <span>
#include <string>
#include <utility>

#include "nimbus/schema/status.h"

namespace nimbus::projections {
namespace {

using schema::Digest;
using sqlite::Connection;
using sqlite::Statement;

constexpr size_t kKeyShownMax = 80;  // bytes of a key in a message

// Table and index definitions by name, without SQLite's and the projector's own.
using Definitions = std::map<std::string, std::string>;

absl::StatusOr<Definitions> ReadDefinitions(Connection* database, std::string_view type) {
  NIMBUS_ASSIGN_OR_RETURN(
      Statement select,
      database->Prepare("SELECT name, coalesce(sql, '') FROM sqlite_master WHERE type = ? AND name "
                        "NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND name NOT LIKE 'nimbus\\_%' ESCAPE "
                        "'\\'"));
  Definitions all;
  NIMBUS_ASSIGN_OR_RETURN(bool found, select.First(type));
  while (found) {
    all.emplace(select.Text(0), select.Text(1));
    NIMBUS_ASSIGN_OR_RETURN(found, select.Next());
  }
  return all;
}

std::string Quoted(std::string_view name) {
  std::string quoted = "\"";
  for (const char c : name) quoted.append(c == '"' ? 2 : 1, c);
  return quoted + '"';
}

// The rows of a table in the order of their primary key, read one by one. Column 0 is
// the rowid.
class Scan {
 public:
  static absl::StatusOr<Scan> Begin(Connection* database, const std::string& table);

  bool at_row() const { return at_row_; }
  absl::Status Next() {
    NIMBUS_ASSIGN_OR_RETURN(at_row_, rows_.Next());
    return absl::OkStatus();
  }
  const Statement& row() const { return rows_; }
  const std::vector<int>& keys() const { return keys_; }

 private:
  Scan(Statement rows, std::vector<int> keys) : rows_(std::move(rows)), keys_(std::move(keys)) {}

  Statement rows_;
  std::vector<int> keys_;  // columns of the primary key, in its order
  bool at_row_ = false;
};

absl::StatusOr<Scan> Scan::Begin(Connection* database, const std::string& table) {
  NIMBUS_ASSIGN_OR_RETURN(Statement columns,
                          database->Prepare("SELECT name, pk FROM pragma_table_info(?) "
                                            "WHERE ?1 <> 'migrations' OR name <> 'applied_at' "
                                            "ORDER BY cid"));
  std::string selected = "rowid";
  std::map<int64_t, std::pair<int, std::string>> key;  // by place in the primary key
  int column = 0;
  NIMBUS_ASSIGN_OR_RETURN(bool found, columns.First(table));
  while (found) {
    const std::string name = Quoted(columns.Text(0));
    selected += ", " + name;
    ++column;
    if (columns.Int(1) > 0) key.emplace(columns.Int(1), std::pair(column, name));
    NIMBUS_ASSIGN_OR_RETURN(found, columns.Next());
  }
  std::string order;
  std::vector<int> keys;
  for (const auto& [place, name] : key) {
    order += name.second + ", ";
    keys.push_back(name.first);
  }
  keys.push_back(0);
  NIMBUS_ASSIGN_OR_RETURN(
      Statement rows, database->Prepare(fmt::format("SELECT {} FROM {} ORDER BY {}rowid", selected,
                                                    Quoted(table), order)));
  Scan scan(std::move(rows), std::move(keys));
  NIMBUS_ASSIGN_OR_RETURN(scan.at_row_, scan.rows_.First());
  return scan;
}

std::string_view BytesOf(const Statement& row, int column) {
  if (row.TypeOf(column) == Statement::Type::kText) return row.Text(column);
  const std::span<const uint8_t> blob = row.Blob(column);
  return {reinterpret_cast<const char*>(blob.data()), blob.size()};
}

void AppendNumber(uint64_t number, std::string* out) {
  for (int shift = 0; shift < 64; shift += 8) out->push_back(static_cast<char>(number >> shift));
}

// A byte for the type; then eight for a number, little-endian, or the length and bytes
// of a text or blob.
void AppendValue(const Statement& row, int column, std::string* out) {
  const Statement::Type type = row.TypeOf(column);
  out->push_back(static_cast<char>(type));
  if (type == Statement::Type::kNull) return;
  if (type == Statement::Type::kInteger) {
    AppendNumber(static_cast<uint64_t>(row.Int(column)), out);
  } else if (type == Statement::Type::kReal) {
    const double real = row.Real(column);
    uint64_t bits = 0;
    std::memcpy(&bits, &real, sizeof bits);
    AppendNumber(bits, out);
  } else {
    const std::string_view bytes = BytesOf(row, column);
    AppendNumber(bytes.size(), out);
    out->append(bytes);
  }
}

// In the order of ORDER BY: NULL, numbers, texts, blobs.
int Compare(const Statement& a, const Statement& b, int column) {
  const auto rank = [](Statement::Type type) {
    return type == Statement::Type::kReal ? static_cast<int>(Statement::Type::kInteger)
                                          : static_cast<int>(type);
  };
  const Statement::Type a_type = a.TypeOf(column), b_type = b.TypeOf(column);
  if (rank(a_type) != rank(b_type)) return rank(a_type) < rank(b_type) ? -1 : 1;
  if (a_type == Statement::Type::kNull) return 0;
  if (a_type == Statement::Type::kInteger && b_type == a_type) {
    return a.Int(column) < b.Int(column) ? -1 : a.Int(column) > b.Int(column);
  }
  if (rank(a_type) == static_cast<int>(Statement::Type::kInteger)) {
    return a.Real(column) < b.Real(column) ? -1 : a.Real(column) > b.Real(column);
  }
  const int order = BytesOf(a, column).compare(BytesOf(b, column));
  return order < 0 ? -1 : order > 0;
}

int CompareKeys(const Scan& a, const Scan& b) {
  // Without the rowid, which is the last: rows of one key are one row.
  const size_t own = a.keys().size() > 1 ? a.keys().size() - 1 : 1;
  for (size_t i = 0; i < own; ++i) {
    if (const int order = Compare(a.row(), b.row(), a.keys()[i]); order != 0) return order;
  }
  return 0;
}

std::string DescribeKey(const Scan& scan) {
  std::string text;
  const size_t own = scan.keys().size() > 1 ? scan.keys().size() - 1 : 1;
  for (size_t i = 0; i < own; ++i) {
    const int column = scan.keys()[i];
    const bool is_text = scan.row().TypeOf(column) == Statement::Type::kText;
    const std::string_view value = scan.row().Text(column).substr(0, kKeyShownMax);
    text += fmt::format("{}{} {}", i == 0 ? "" : ", ", scan.row().NameOf(column),
                        is_text ? fmt::format("'{}'", value) : std::string(value));
  }
  return text;
}

absl::StatusOr<std::optional<TableDifference>> CompareRows(Connection* a, Connection* b,
                                                           const std::string& table,
                                                           const CompareOptions& options) {
  NIMBUS_ASSIGN_OR_RETURN(Scan a_rows, Scan::Begin(a, table));
  NIMBUS_ASSIGN_OR_RETURN(Scan b_rows, Scan::Begin(b, table));
  const auto only_in = [&](const Scan& scan, std::string_view name) {
    return TableDifference{table, DescribeKey(scan), fmt::format("is only in {}", name)};
  };
  std::string a_value, b_value;
  while (a_rows.at_row() || b_rows.at_row()) {
    if (!b_rows.at_row()) return only_in(a_rows, options.a_name);
    if (!a_rows.at_row()) return only_in(b_rows, options.b_name);
    const int order = CompareKeys(a_rows, b_rows);
    if (order < 0) return only_in(a_rows, options.a_name);
    if (order > 0) return only_in(b_rows, options.b_name);
    for (int column = a_rows.row().columns() - 1; column >= 0; --column) {
      a_value.clear();
      b_value.clear();
      AppendValue(a_rows.row(), column, &a_value);
      AppendValue(b_rows.row(), column, &b_value);
      if (a_value == b_value) continue;
      return TableDifference{table, DescribeKey(a_rows),
                             fmt::format("column {} differs", a_rows.row().NameOf(column))};
    }
    NIMBUS_RETURN_IF_ERROR(a_rows.Next());
    NIMBUS_RETURN_IF_ERROR(b_rows.Next());
  }
  return std::nullopt;
}

std::optional<TableDifference> CompareDefinitions(const Definitions& a, const Definitions& b,
                                                  std::string_view type,
                                                  const CompareOptions& options) {
  for (const auto& [name, sql] : a) {
    const auto other = b.find(name);
    if (other == b.end()) {
      if (options.common_only) continue;
      return TableDifference{name, "", fmt::format("the {} is only in {}", type, options.a_name)};
    }
    if (other->second != sql) {
      return TableDifference{name, "", fmt::format("the {} is defined differently", type)};
    }
  }
  for (const auto& [name, sql] : b) {
    if (options.common_only || a.contains(name)) continue;
    return TableDifference{name, "", fmt::format("the {} is only in {}", type, options.b_name)};
  }
  return std::nullopt;
}

absl::StatusOr<TableDigest> DigestTable(Connection* database, const std::string& table,
                                        const std::string& definition) {
  TableDigest result{.table = table, .rows = 0, .digest = schema::Blake2b256(definition)};
  NIMBUS_ASSIGN_OR_RETURN(Scan scan, Scan::Begin(database, table));
  std::string row;
  for (; scan.at_row(); ++result.rows) {
    row.clear();
    for (int column = 0; column < scan.row().columns(); ++column) {
      AppendValue(scan.row(), column, &row);
    }
    // Each row under the digest of those before it.
    result.digest = schema::KeyedBlake2b256(row, result.digest);
    NIMBUS_RETURN_IF_ERROR(scan.Next());
  }
  return result;
}

}  // namespace

std::string TableDifference::ToString() const {
  if (row.empty()) return fmt::format("{}: {}", table, what);
  return fmt::format("table {}, row {}: {}", table, row, what);
}

absl::StatusOr<std::vector<TableDigest>> DigestTables(Connection* database) {
  NIMBUS_ASSIGN_OR_RETURN(const Definitions tables, ReadDefinitions(database, "table"));
  std::vector<TableDigest> digests;
  for (const auto& [table, sql] : tables) {
    NIMBUS_ASSIGN_OR_RETURN(TableDigest digest, DigestTable(database, table, sql));
    digests.push_back(std::move(digest));
  }
  return digests;
}

absl::StatusOr<std::optional<TableDifference>> CompareTables(Connection* a, Connection* b,
                                                             const CompareOptions& options) {
  NIMBUS_ASSIGN_OR_RETURN(const Definitions a_tables, ReadDefinitions(a, "table"));
  NIMBUS_ASSIGN_OR_RETURN(const Definitions b_tables, ReadDefinitions(b, "table"));
  std::optional<TableDifference> difference =
      CompareDefinitions(a_tables, b_tables, "table", options);
  if (difference) return difference;
  for (const auto& [table, sql] : a_tables) {
    if (!b_tables.contains(table) || (options.common_only && table == "migrations")) continue;
    NIMBUS_ASSIGN_OR_RETURN(difference, CompareRows(a, b, table, options));
    if (difference) return difference;
  }
  NIMBUS_ASSIGN_OR_RETURN(const Definitions a_indexes, ReadDefinitions(a, "index"));
  NIMBUS_ASSIGN_OR_RETURN(const Definitions b_indexes, ReadDefinitions(b, "index"));
  return CompareDefinitions(a_indexes, b_indexes, "index", options);
}

}  // namespace nimbus::projections
