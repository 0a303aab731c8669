// JSON Schema, drafts 4 to 7, of whoever wrote it: a schema is checked before it is kept,
// a value before it is stored. The only file pair that includes valijson.
//
//   NIMBUS_RETURN_IF_ERROR(CheckSchema(R"({"type":"object","required":["region"]})"));
//   ValidateAgainstSchema(schema, "{}");   // InvalidArgument: "at the top: Missing required …"
//
// Understood are all keywords of draft 7 but `format`, which stands for documentation, as
// the draft allows. Regular expressions are RE2's: no look-around, no references back, time
// linear in the text. A schema refers to places in itself only ("#/definitions/port").
//
// Both functions end in bounded time and stack for any bytes: see SchemaLimits for what
// they refuse. valijson alone does not: it follows circles of references until the stack
// ends, divides by a multipleOf of 0, and matches with std::regex.
#pragma once

#include <cstddef>
#include <string_view>

#include "absl/status/status.h"

namespace nimbus::projections {

struct SchemaLimits {
  size_t schema_bytes_max = 64u << 10;
  size_t value_bytes_max = 1u << 20;
  size_t depth_max = 64;               // arrays and objects open at once, of either
  size_t subschemas_max = 400;         // that are no mere true or false
  size_t nested_max = 400;             // subschemas being applied within each other
  size_t steps_max = 200'000;          // subschemas applied to values, all in all
  size_t pattern_bytes_max = 1024;     // of one regular expression
  size_t pattern_names_max = 100'000;  // names compared with patternProperties, all in all
};

// InvalidArgument says where in the schema ("/properties/port: …") and why it is none.
absl::Status CheckSchema(std::string_view schema, const SchemaLimits& limits = {});

// InvalidArgument says where in `document`, as a JSON Pointer, it is not what the schema
// wants; the same for a schema that is none, or that asks for too much work.
absl::Status ValidateAgainstSchema(std::string_view schema, std::string_view document,
                                   const SchemaLimits& limits = {});

}  // namespace nimbus::projections
