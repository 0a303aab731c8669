// The rules of entities.h, one function per kind of event: what the event needs, and
// what it makes of the entities and names it is about. All that happened before is in
// the two tables, so that a refused event leaves nothing and every process decides the
// same.
#pragma once

#include <cstdint>
#include <string_view>

#include "absl/status/statusor.h"
#include "entities.h"

namespace nimbus::journal {

// One event to decide on.
struct RuleContext {
  Changes& changes;
  const schema::fb::Record& record;
  schema::fb::EntityKind kind;  // of its stream
  schema::Uuid stream;
  uint64_t sequence;
  Placement& placement;  // the ordinal is for the rule to set
};

// The entity whose stream the event belongs to, changed as the event says.
absl::StatusOr<Entity*> ApplyRule(const RuleContext& context);

// Those of what is set up (setup_rules.cc): plugins, hooks and the registry; personas;
// preferences, profiles and environments; credentials.
absl::StatusOr<Entity*> ApplyPluginRule(const RuleContext& context);
absl::StatusOr<Entity*> ApplyPersonaRule(const RuleContext& context);
absl::StatusOr<Entity*> ApplyConfigRule(const RuleContext& context);
absl::StatusOr<Entity*> ApplyCredentialRule(const RuleContext& context);

// What several of them share.
absl::StatusOr<Entity*> Create(const RuleContext& context, schema::fb::EntityKind kind,
                               const schema::Uuid& id, uint8_t state,
                               const schema::Uuid& parent = {});
// Gives the stream's entity the unique name. AlreadyExists when another has it.
absl::Status ClaimName(const RuleContext& context, std::string_view scope, std::string_view name);
// Notes that one more session or use refers to the persona of that row id, which must
// be active. Nothing for a null or empty one.
absl::Status ReferToPersona(const RuleContext& context, const flatbuffers::String* row_id);

}  // namespace nimbus::journal
