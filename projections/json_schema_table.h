// A JSON Schema taken apart before valijson sees it: its subschemas in a table that refer
// to each other by number, so that what following them costs can be told and bounded, and
// written again in the form that is safe to hand over.
//
//   NIMBUS_ASSIGN_OR_RETURN(const SchemaTable table, SchemaTable::Build(schema, limits));
//   NIMBUS_RETURN_IF_ERROR(table.CheckCost(document));
//   NIMBUS_ASSIGN_OR_RETURN(const Json safe, table.Rewrite(&document));
//
// Rewritten, the subschemas are members of one array and every use of one is a $ref into
// it; patternProperties are properties, spelled out for the names in the document; pattern,
// multipleOf and uniqueItems have names of our own (kPatternKeyword, …), because valijson's
// are not safe; what is documentation is gone.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "json_schema.h"
#include "nimbus/schema/json.h"

namespace re2 {
class RE2;
}

namespace nimbus::projections {

inline constexpr char kPatternKeyword[] = "nimbusPattern";
inline constexpr char kMultipleOfKeyword[] = "nimbusMultipleOf";
inline constexpr char kUniqueItemsKeyword[] = "nimbusUniqueItems";

using Pattern = std::shared_ptr<const re2::RE2>;

// InvalidArgument: not RE2's syntax, or too large.
absl::StatusOr<Pattern> CompilePattern(const std::string& text, size_t bytes_max);
bool Matches(const Pattern& pattern, std::string_view text);

class SchemaTable {
 public:
  // `schema` outlives the call only. InvalidArgument as from CheckSchema.
  static absl::StatusOr<SchemaTable> Build(const schema::Json& schema, const SchemaLimits& limits);

  // InvalidArgument if applying the schema to `document` takes more than the limits.
  absl::Status CheckCost(const schema::Json& document) const;

  // Without a document, patternProperties match nothing.
  absl::StatusOr<schema::Json> Rewrite(const schema::Json* document) const;

 private:
  friend class SchemaTableBuilder;

  // Where a subschema applies that another one uses.
  enum class At { kHere, kNames, kMember, kMatchingMembers, kOtherMembers, kItem, kOtherItems };
  struct Use {
    At at = At::kHere;
    size_t to = 0;     // place in subschemas_
    std::string name;  // kMember
    size_t index = 0;  // kItem: its place; kOtherItems: the first
    Pattern pattern;   // kMatchingMembers
  };
  struct Subschema {
    schema::Json keywords;  // rewritten, but for patternProperties
    std::vector<Use> uses;
    size_t weight = 1;          // of applying it, in steps
    bool matches_text = false;  // has a pattern
  };
  struct Work;

  explicit SchemaTable(const SchemaLimits& limits) : limits_(limits) {}
  absl::Status CheckCircles() const;
  bool Reaches(size_t from, std::vector<uint8_t>* state) const;
  bool Apply(size_t subschema, const schema::Json& value, size_t depth, Work* work) const;
  bool ApplyToMembers(const Use& use, const schema::Json& value, size_t depth, Work* work) const;
  absl::Status SpellOutPatterns(const std::set<std::string>& names, const Subschema& subschema,
                                size_t* compared, schema::Json* keywords) const;

  SchemaLimits limits_;
  std::vector<Subschema> subschemas_;  // the first is the whole schema
};

}  // namespace nimbus::projections
