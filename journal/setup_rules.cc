// The rules of what is set up, switched on and off, and removed.
#include "entity_rules.h"
#include "nimbus/schema/entity_id.h"
#include "nimbus/schema/status.h"

namespace nimbus::journal {
namespace {

using schema::Error;
using schema::Uuid;
using schema::fb::EntityKind;
using schema::fb::Event;
using schema::fb::Id;
using Code = absl::StatusCode;
using Ids = flatbuffers::Vector<const Id*>;

constexpr std::string_view kRoleScope = "role";
constexpr std::string_view kNeedScope = "need";

constexpr uint8_t Byte(Standing standing) { return static_cast<uint8_t>(standing); }

Standing StandingOf(const Entity& entity) { return static_cast<Standing>(entity.state.state); }

absl::StatusOr<Entity*> RequireInPlace(const RuleContext& context, EntityKind kind,
                                       const Uuid& id) {
  NIMBUS_ASSIGN_OR_RETURN(Entity * entity, context.changes.Require(kind, id));
  if (StandingOf(*entity) != Standing::kRemoved) return entity;
  return Error(Code::kNotFound, "{} has been removed", Describe(kind, id));
}

absl::StatusOr<Entity*> Switch(const RuleContext& context, EntityKind kind, Standing to) {
  NIMBUS_ASSIGN_OR_RETURN(Entity * entity, RequireInPlace(context, kind, context.stream));
  entity->state.state = Byte(to);
  return entity;
}

// Puts in place what has the id `derived`, or leaves it there.
absl::StatusOr<Entity*> SetUp(const RuleContext& context, EntityKind kind, const Uuid& derived) {
  if (context.stream != derived) {
    return Error(Code::kInvalidArgument, "{} should have the id {}, which is derived from its name",
                 Describe(kind, context.stream), derived.ToString());
  }
  NIMBUS_ASSIGN_OR_RETURN(Entity * entity, context.changes.Find(kind, derived));
  if (entity == nullptr) return Create(context, kind, derived, Byte(Standing::kOn));
  if (StandingOf(*entity) == Standing::kRemoved) entity->state.state = Byte(Standing::kOn);
  return entity;
}

// Creates what has a unique name.
absl::StatusOr<Entity*> SetUpNamed(const RuleContext& context, EntityKind kind,
                                   std::string_view name) {
  NIMBUS_RETURN_IF_ERROR(ClaimName(context, "", name));
  return Create(context, kind, context.stream, Byte(Standing::kOn));
}

absl::Status ReleaseName(const RuleContext& context, std::string_view name) {
  Bytes key = MakeNameKey(context.kind, "", name);
  NIMBUS_ASSIGN_OR_RETURN(const std::optional<Uuid> holder, context.changes.FindHolder(key));
  if (holder != context.stream) {
    return Error(Code::kInvalidArgument, "{} is not named '{}'",
                 Describe(context.kind, context.stream), name);
  }
  context.changes.SetHolder(std::move(key), std::nullopt);
  return absl::OkStatus();
}

// Gives the stream's entity a role that one of its kind has. The event names who had
// it: of two that want it at the same time, one fails.
absl::StatusOr<Entity*> TakeRole(const RuleContext& context, EntityKind kind, std::string_view role,
                                 const Id* previous) {
  NIMBUS_ASSIGN_OR_RETURN(Entity * entity, RequireInPlace(context, kind, context.stream));
  Bytes key = MakeNameKey(kind, kRoleScope, role);
  NIMBUS_ASSIGN_OR_RETURN(const std::optional<Uuid> holder, context.changes.FindHolder(key));
  const std::optional<Uuid> expected =
      previous == nullptr ? std::nullopt : std::optional<Uuid>(Uuid::FromFb(*previous));
  if (holder != expected) {
    return Error(Code::kFailedPrecondition, "{} is the {} one, not {}",
                 holder ? Describe(kind, *holder) : "none", role,
                 expected ? expected->ToString() : "none");
  }
  context.changes.SetHolder(std::move(key), context.stream);
  return entity;
}

absl::StatusOr<bool> HasRole(const RuleContext& context, std::string_view role) {
  NIMBUS_ASSIGN_OR_RETURN(const std::optional<Uuid> holder,
                          context.changes.FindHolder(MakeNameKey(context.kind, kRoleScope, role)));
  return holder == context.stream;
}

Bytes NeedKey(const Uuid& needed, const Uuid& by) {
  return MakeNameKey(EntityKind::plugin, kNeedScope,
                     fmt::format("{} by {}", needed.ToString(), by.ToString()));
}

absl::Status AddNeeds(const RuleContext& context, const Ids* needs) {
  if (needs == nullptr) return absl::OkStatus();
  for (const Id* id : *needs) {
    const Uuid needed = Uuid::FromFb(*id);
    if (needed == context.stream) {
      return Error(Code::kInvalidArgument, "{} can't need itself",
                   Describe(EntityKind::plugin, needed));
    }
    NIMBUS_ASSIGN_OR_RETURN(Entity * plugin, RequireInPlace(context, EntityKind::plugin, needed));
    Bytes key = NeedKey(needed, context.stream);
    NIMBUS_ASSIGN_OR_RETURN(const std::optional<Uuid> known, context.changes.FindHolder(key));
    if (known.has_value()) {
      return Error(Code::kInvalidArgument, "{} needs {} already",
                   Describe(EntityKind::plugin, context.stream), needed.ToString());
    }
    context.changes.SetHolder(std::move(key), context.stream);
    ++plugin->state.steps;
    plugin->changed = true;
  }
  return absl::OkStatus();
}

absl::Status DropNeeds(const RuleContext& context, const Ids* dropped) {
  if (dropped == nullptr) return absl::OkStatus();
  for (const Id* id : *dropped) {
    const Uuid needed = Uuid::FromFb(*id);
    Bytes key = NeedKey(needed, context.stream);
    NIMBUS_ASSIGN_OR_RETURN(const std::optional<Uuid> known, context.changes.FindHolder(key));
    if (!known.has_value()) {
      return Error(Code::kInvalidArgument, "{} does not need {}",
                   Describe(EntityKind::plugin, context.stream), needed.ToString());
    }
    context.changes.SetHolder(std::move(key), std::nullopt);
    NIMBUS_ASSIGN_OR_RETURN(Entity * plugin, context.changes.Require(EntityKind::plugin, needed));
    --plugin->state.steps;
    plugin->changed = true;
  }
  return absl::OkStatus();
}

absl::StatusOr<Entity*> InstallPlugin(const RuleContext& context) {
  const auto& event = *context.record.event_as_PluginInstalled();
  NIMBUS_ASSIGN_OR_RETURN(Entity * plugin,
                          SetUpNamed(context, EntityKind::plugin, event.name()->string_view()));
  NIMBUS_RETURN_IF_ERROR(AddNeeds(context, event.needs()));
  return plugin;
}

absl::StatusOr<Entity*> UpdatePlugin(const RuleContext& context) {
  const auto& event = *context.record.event_as_PluginUpdated();
  NIMBUS_ASSIGN_OR_RETURN(Entity * plugin,
                          RequireInPlace(context, EntityKind::plugin, context.stream));
  NIMBUS_RETURN_IF_ERROR(DropNeeds(context, event.dropped()));
  NIMBUS_RETURN_IF_ERROR(AddNeeds(context, event.needs()));
  return plugin;
}

absl::StatusOr<Entity*> UninstallPlugin(const RuleContext& context) {
  const auto& event = *context.record.event_as_PluginUninstalled();
  NIMBUS_ASSIGN_OR_RETURN(Entity * plugin,
                          RequireInPlace(context, EntityKind::plugin, context.stream));
  if (plugin->state.steps > 0) {
    return Error(Code::kFailedPrecondition, "{} is needed by {} other plugin{}",
                 Describe(EntityKind::plugin, context.stream), plugin->state.steps,
                 plugin->state.steps == 1 ? "" : "s");
  }
  NIMBUS_RETURN_IF_ERROR(ReleaseName(context, event.name()->string_view()));
  NIMBUS_RETURN_IF_ERROR(DropNeeds(context, event.dropped()));
  plugin->state.state = Byte(Standing::kRemoved);
  return plugin;
}

absl::StatusOr<Entity*> RegisterHook(const RuleContext& context) {
  const Uuid hook = Uuid::FromFb(*context.record.event_as_HookRegistered()->hook());
  NIMBUS_ASSIGN_OR_RETURN(Entity * plugin,
                          RequireInPlace(context, EntityKind::plugin, context.stream));
  NIMBUS_RETURN_IF_ERROR(
      Create(context, EntityKind::plugin_hook, hook, Byte(Standing::kOn), context.stream).status());
  return plugin;
}

absl::StatusOr<Entity*> ChangeHook(const RuleContext& context, const Id& hook_id, bool remove) {
  const Uuid id = Uuid::FromFb(hook_id);
  NIMBUS_ASSIGN_OR_RETURN(Entity * plugin,
                          RequireInPlace(context, EntityKind::plugin, context.stream));
  NIMBUS_ASSIGN_OR_RETURN(Entity * hook, RequireInPlace(context, EntityKind::plugin_hook, id));
  if (hook->state.parent != context.stream) {
    return Error(Code::kFailedPrecondition, "{} belongs to plugin {}, not to {}",
                 Describe(EntityKind::plugin_hook, id), hook->state.parent.ToString(),
                 context.stream.ToString());
  }
  if (remove) hook->state.state = Byte(Standing::kRemoved);
  hook->state.head_sequence = context.sequence;
  hook->changed = true;
  return plugin;
}

absl::StatusOr<Entity*> DefinePersona(const RuleContext& context) {
  const auto& event = *context.record.event_as_PersonaDefined();
  if (event.row_id() != nullptr && event.row_id()->size() > 0 &&
      schema::RowEntityId(EntityKind::persona, event.row_id()->string_view()) != context.stream) {
    return Error(Code::kInvalidArgument, "'{}' is not the row id of {}",
                 event.row_id()->string_view(), Describe(EntityKind::persona, context.stream));
  }
  NIMBUS_ASSIGN_OR_RETURN(Entity * persona,
                          SetUpNamed(context, EntityKind::persona, event.name()->string_view()));
  if (event.builtin()) ++persona->state.steps;  // the product refers to it
  return persona;
}

absl::StatusOr<Entity*> RequireActivePersona(const RuleContext& context, const Uuid& id) {
  NIMBUS_ASSIGN_OR_RETURN(Entity * persona, RequireInPlace(context, EntityKind::persona, id));
  if (StandingOf(*persona) == Standing::kOn) return persona;
  return Error(Code::kFailedPrecondition, "{} is not active", Describe(EntityKind::persona, id));
}

absl::StatusOr<Entity*> UsePersona(const RuleContext& context) {
  const auto& event = *context.record.event_as_PersonaUsed();
  NIMBUS_ASSIGN_OR_RETURN(Entity * persona, RequireActivePersona(context, context.stream));
  if (event.session() != nullptr) {
    const Uuid session = Uuid::FromFb(*event.session());
    NIMBUS_RETURN_IF_ERROR(context.changes.Require(EntityKind::session, session).status());
  }
  ++persona->state.steps;
  return persona;
}

absl::Status RequireNotDefaultPersona(const RuleContext& context) {
  NIMBUS_ASSIGN_OR_RETURN(const bool is_default, HasRole(context, "default"));
  if (!is_default) return absl::OkStatus();
  return Error(Code::kFailedPrecondition, "{} is the default one: make another the default before",
               Describe(EntityKind::persona, context.stream));
}

absl::StatusOr<Entity*> DeactivatePersona(const RuleContext& context) {
  NIMBUS_RETURN_IF_ERROR(RequireNotDefaultPersona(context));
  return Switch(context, EntityKind::persona, Standing::kOff);
}

// The persona that a preference names can't be switched off meanwhile.
absl::Status MakeDefaultPersona(const RuleContext& context, const Id* named) {
  if (named == nullptr) return absl::OkStatus();
  const Uuid id = Uuid::FromFb(*named);
  NIMBUS_RETURN_IF_ERROR(RequireActivePersona(context, id).status());
  context.changes.SetHolder(MakeNameKey(EntityKind::persona, kRoleScope, "default"), id);
  return absl::OkStatus();
}

absl::StatusOr<Entity*> RemovePersona(const RuleContext& context) {
  NIMBUS_ASSIGN_OR_RETURN(Entity * persona,
                          RequireInPlace(context, EntityKind::persona, context.stream));
  NIMBUS_RETURN_IF_ERROR(RequireNotDefaultPersona(context));
  if (persona->state.steps > 0) {
    return Error(Code::kFailedPrecondition,
                 "{} is built in or has been used: deactivate it instead",
                 Describe(EntityKind::persona, context.stream));
  }
  NIMBUS_RETURN_IF_ERROR(
      ReleaseName(context, context.record.event_as_PersonaRemoved()->name()->string_view()));
  persona->state.state = Byte(Standing::kRemoved);
  return persona;
}

absl::StatusOr<Entity*> DefinePreference(const RuleContext& context) {
  const auto& event = *context.record.event_as_PreferenceDefined();
  const Uuid id = schema::PreferenceId(event.key()->string_view());
  if (event.row_id() != nullptr && event.row_id()->size() > 0) {
    NIMBUS_RETURN_IF_ERROR(ClaimName(context, "row", event.row_id()->string_view()));
  }
  NIMBUS_ASSIGN_OR_RETURN(const Entity* existing, context.changes.Find(EntityKind::preference, id));
  if (existing != nullptr) {
    return Error(Code::kAlreadyExists, "preference '{}' exists already",
                 event.key()->string_view());
  }
  NIMBUS_RETURN_IF_ERROR(MakeDefaultPersona(context, event.persona()));
  NIMBUS_ASSIGN_OR_RETURN(Entity * preference, SetUp(context, EntityKind::preference, id));
  context.placement.ordinal = ++preference->state.steps;
  return preference;
}

absl::StatusOr<Entity*> ChangePreference(const RuleContext& context, const Id* persona) {
  NIMBUS_ASSIGN_OR_RETURN(Entity * preference,
                          RequireInPlace(context, EntityKind::preference, context.stream));
  NIMBUS_RETURN_IF_ERROR(MakeDefaultPersona(context, persona));
  context.placement.ordinal = ++preference->state.steps;
  return preference;
}

absl::StatusOr<Entity*> UnsetConfigValue(const RuleContext& context) {
  const std::string_view key = context.record.event_as_ConfigValueUnset()->key()->string_view();
  if (schema::ConfigValueId(key) != context.stream) {
    return Error(Code::kInvalidArgument, "{} is not that of '{}'",
                 Describe(EntityKind::config_value, context.stream), key);
  }
  return Switch(context, EntityKind::config_value, Standing::kRemoved);
}

absl::StatusOr<Entity*> DeleteConfigProfile(const RuleContext& context) {
  NIMBUS_ASSIGN_OR_RETURN(const bool active, HasRole(context, "active"));
  if (active) {
    return Error(Code::kFailedPrecondition, "{} is the active one: activate another before",
                 Describe(EntityKind::config_profile, context.stream));
  }
  return Switch(context, EntityKind::config_profile, Standing::kRemoved);
}

absl::StatusOr<Entity*> RemoveCredential(const RuleContext& context) {
  NIMBUS_ASSIGN_OR_RETURN(Entity * credential,
                          Switch(context, EntityKind::credential, Standing::kRemoved));
  NIMBUS_RETURN_IF_ERROR(
      ReleaseName(context, context.record.event_as_CredentialRemoved()->name()->string_view()));
  return credential;
}

absl::StatusOr<Entity*> SaveCredentialProfile(const RuleContext& context) {
  const auto& event = *context.record.event_as_CredentialProfileSaved();
  if (event.credentials() != nullptr) {
    for (const Id* id : *event.credentials()) {
      NIMBUS_RETURN_IF_ERROR(
          RequireInPlace(context, EntityKind::credential, Uuid::FromFb(*id)).status());
    }
  }
  return SetUp(context, EntityKind::credential_profile,
               schema::CredentialProfileId(event.name()->string_view()));
}

absl::StatusOr<Entity*> DeleteCredentialProfile(const RuleContext& context) {
  NIMBUS_ASSIGN_OR_RETURN(const bool is_default, HasRole(context, "default"));
  if (is_default) {
    context.changes.SetHolder(MakeNameKey(EntityKind::credential_profile, kRoleScope, "default"),
                              std::nullopt);
  }
  return Switch(context, EntityKind::credential_profile, Standing::kRemoved);
}

}  // namespace

absl::Status ReferToPersona(const RuleContext& context, const flatbuffers::String* row_id) {
  if (row_id == nullptr || row_id->size() == 0) return absl::OkStatus();
  const Uuid id = schema::RowEntityId(EntityKind::persona, row_id->string_view());
  NIMBUS_ASSIGN_OR_RETURN(Entity * persona, RequireActivePersona(context, id));
  ++persona->state.steps;
  persona->changed = true;
  return absl::OkStatus();
}

absl::StatusOr<Entity*> ApplyPluginRule(const RuleContext& context) {
  const schema::fb::Record& record = context.record;
  switch (record.event_type()) {
    case Event::PluginInstalled:
      return InstallPlugin(context);
    case Event::PluginUpdated:
      return UpdatePlugin(context);
    case Event::PluginConfigured:
      return RequireInPlace(context, EntityKind::plugin, context.stream);
    case Event::PluginEnabled:
      return Switch(context, EntityKind::plugin, Standing::kOn);
    case Event::PluginDisabled:
      return Switch(context, EntityKind::plugin, Standing::kOff);
    case Event::PluginUninstalled:
      return UninstallPlugin(context);
    case Event::HookRegistered:
      return RegisterHook(context);
    case Event::HookChanged:
      return ChangeHook(context, *record.event_as_HookChanged()->hook(), false);
    case Event::HookRemoved:
      return ChangeHook(context, *record.event_as_HookRemoved()->hook(), true);
    case Event::RegistryEntryCached:
      return SetUp(
          context, EntityKind::registry_entry,
          schema::RegistryEntryId(record.event_as_RegistryEntryCached()->name()->string_view()));
    default:
      return Switch(context, EntityKind::registry_entry, Standing::kRemoved);
  }
}

absl::StatusOr<Entity*> ApplyPersonaRule(const RuleContext& context) {
  switch (context.record.event_type()) {
    case Event::PersonaDefined:
      return DefinePersona(context);
    case Event::PersonaUpdated:
      return RequireInPlace(context, EntityKind::persona, context.stream);
    case Event::PersonaActivated:
      return Switch(context, EntityKind::persona, Standing::kOn);
    case Event::PersonaDeactivated:
      return DeactivatePersona(context);
    case Event::PersonaRemoved:
      return RemovePersona(context);
    default:
      return UsePersona(context);
  }
}

absl::StatusOr<Entity*> ApplyConfigRule(const RuleContext& context) {
  const schema::fb::Record& record = context.record;
  switch (record.event_type()) {
    case Event::ConfigValueSet:
      return SetUp(context, EntityKind::config_value,
                   schema::ConfigValueId(record.event_as_ConfigValueSet()->key()->string_view()));
    case Event::ConfigValueUnset:
      return UnsetConfigValue(context);
    case Event::PreferenceDefined:
      return DefinePreference(context);
    case Event::PreferenceSet:
      return ChangePreference(context, record.event_as_PreferenceSet()->persona());
    case Event::PreferenceReset:
      return ChangePreference(context, record.event_as_PreferenceReset()->persona());
    case Event::ConfigProfileSaved:
      return SetUp(
          context, EntityKind::config_profile,
          schema::ConfigProfileId(record.event_as_ConfigProfileSaved()->name()->string_view()));
    case Event::ConfigProfileActivated:
      return TakeRole(context, EntityKind::config_profile, "active",
                      record.event_as_ConfigProfileActivated()->previous());
    case Event::ConfigProfileDeleted:
      return DeleteConfigProfile(context);
    case Event::EnvironmentConfigSet: {
      const auto& event = *record.event_as_EnvironmentConfigSet();
      return SetUp(context, EntityKind::environment_config,
                   schema::EnvironmentConfigId(event.environment()->string_view(),
                                               event.cloud_provider()->string_view()));
    }
    default:
      return Switch(context, EntityKind::environment_config, Standing::kRemoved);
  }
}

absl::StatusOr<Entity*> ApplyCredentialRule(const RuleContext& context) {
  const schema::fb::Record& record = context.record;
  switch (record.event_type()) {
    case Event::CredentialStored:
      return SetUpNamed(context, EntityKind::credential,
                        record.event_as_CredentialStored()->name()->string_view());
    case Event::CredentialRotated:
    case Event::CredentialUsed:
      return RequireInPlace(context, EntityKind::credential, context.stream);
    case Event::CredentialRemoved:
      return RemoveCredential(context);
    case Event::CredentialProfileSaved:
      return SaveCredentialProfile(context);
    case Event::CredentialProfileMadeDefault:
      return TakeRole(context, EntityKind::credential_profile, "default",
                      record.event_as_CredentialProfileMadeDefault()->previous());
    default:
      return DeleteCredentialProfile(context);
  }
}

}  // namespace nimbus::journal
