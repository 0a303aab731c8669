// What a marketplace says of plugins, kept for when it can't be asked: the table
// plugin_registry.
//
//   NIMBUS_ASSIGN_OR_RETURN(const Written cached, registry.Cache({
//       {.name = "aws", .latest_version = "1.3.0", .categories = {"cloud"}}}));
//   NIMBUS_RETURN_IF_ERROR(database.WaitFor(cached.sequence, 1000));
//   NIMBUS_ASSIGN_OR_RETURN(auto found, registry.Search({.text = "cloud",
//                                                        .max_age_us = 86'400'000'000}));
//
// Errors and thread-safety are those of Plugins. Entries are by name: what is cached again
// is replaced, its id (derived from the name) and sequence stay.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "nimbus/journal/journal.h"
#include "nimbus/projections/history.h"

namespace nimbus::projections {

inline constexpr size_t kRegistryEntriesMax = 4096;  // of one Cache, which is one append

// Text members are unset when empty.
struct NewRegistryEntry {
  std::string name;
  std::string latest_version;
  std::string description, author;
  uint64_t downloads = 0;  // at most 2^63 - 1
  std::optional<double> rating;
  std::vector<std::string> categories;
  std::string metadata;  // JSON
};

struct RegistryEntry {
  schema::Uuid id;
  std::string name, latest_version;
  std::optional<std::string> description, author;
  int64_t downloads = 0;
  std::optional<double> rating;
  std::vector<std::string> categories;
  std::optional<std::string> metadata;
  std::optional<int64_t> fetched_at_us;  // when it was last cached
  uint64_t sequence = 0;
};

struct RegistryFilter {
  std::string text;  // part of name, description or author, ASCII case aside
  std::optional<std::string> category;
  std::optional<int64_t> max_age_us;  // leaves out what was cached longer ago
  std::optional<int64_t> now_us;      // age is told from here; the system's clock when unset
  uint64_t limit = kListingLimitDefault;
};

class PluginRegistry {
 public:
  PluginRegistry(journal::Journal* journal, Views* views);  // made by Database
  ~PluginRegistry();
  PluginRegistry(const PluginRegistry&) = delete;
  PluginRegistry& operator=(const PluginRegistry&) = delete;

  // All entries or none, in one append. InvalidArgument: none given, more than
  // kRegistryEntriesMax, or the same name twice. `Written::id` is the last entry's.
  absl::StatusOr<Written> Cache(const std::vector<NewRegistryEntry>& entries);
  // NotFound when it is not there.
  absl::StatusOr<Written> Remove(std::string_view name, const std::string& reason = {});

  absl::StatusOr<std::optional<RegistryEntry>> Get(std::string_view name);
  // The most downloaded first, then by name.
  absl::StatusOr<std::vector<RegistryEntry>> Search(const RegistryFilter& filter = {});

 private:
  class Rows;

  journal::Journal* const journal_;
  const std::unique_ptr<Rows> rows_;
};

}  // namespace nimbus::projections
