#include "all_events.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <memory>
#include <utility>

#include "domains.h"
#include "nimbus/schema/digest.h"
#include "nimbus/schema/entity_id.h"
#include "nimbus/schema/json.h"
#include "nimbus/schema/status.h"

namespace nimbus::projections {

namespace fb = schema::fb;
using fb::EntityKind;
using schema::Event;
using schema::MakeEvent;
using schema::Uuid;

namespace {

constexpr int kTriesMax = 2000;
constexpr auto kWords = std::to_array<const char*>(
    {"aws", "gcp", "azure", "github", "production", "staging", "développement", "ui.theme"});

bool IsRefusal(const absl::Status& status) {
  using enum absl::StatusCode;
  constexpr auto kRefusals = std::to_array(
      {kNotFound, kAlreadyExists, kFailedPrecondition, kInvalidArgument, kOutOfRange, kAborted});
  return std::ranges::find(kRefusals, status.code()) != kRefusals.end();
}

bool PersonasHaveRows() {
  return std::any_of(Domains().begin(), Domains().end(), [](const Domain& domain) {
    return domain.first <= fb::Event::PersonaDefined && fb::Event::PersonaDefined <= domain.last;
  });
}

fb::Event TypeAt(int number) { return static_cast<fb::Event>(number); }

// An attempt fails while the step runs, not where its number stands.
std::vector<fb::Event> KindsByLives() {
  std::vector<fb::Event> kinds;
  for (int number = 1; number <= static_cast<int>(fb::Event::MAX); ++number) {
    const fb::Event kind = TypeAt(number);
    if (kind == fb::Event::JournalCreated || kind == fb::Event::StepAttemptFailed) continue;
    kinds.push_back(kind);
    if (kind == fb::Event::StepStarted) kinds.push_back(fb::Event::StepAttemptFailed);
  }
  return kinds;
}

}  // namespace

Uuid RandomHistory::NewId() {
  std::array<uint8_t, 10> bytes;
  for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(Below(256));
  return schema::MakeUuidV7(1'768'081'175'000 + static_cast<int64_t>(Below(1'000'000)), bytes);
}

std::string RandomHistory::Word() { return kWords[Below(kWords.size())]; }

std::string RandomHistory::Name() { return fmt::format("{}-{}", Word(), Below(50)); }

std::string RandomHistory::Words() {
  if (Chance(4)) return {};
  std::string text;
  for (size_t i = 0, count = 1 + Below(12); i < count; ++i) text += Word() + " 'ü\"\n";
  return text;
}

std::string RandomHistory::Json() {
  if (Chance(4)) return {};
  if (Chance(4)) return fmt::format("{}", Below(1'000'000));
  if (Chance(4)) return fmt::format(R"(["{}",1.50,null,true])", Word());
  return JsonObject();
}

std::string RandomHistory::JsonObject() {
  if (Chance(8)) return "{}";
  return fmt::format(R"({{"{}":"{}","n":{},"text":"{}"}})", Word(), Word(), Below(1000),
                     std::string(Below(300), 'x'));
}

std::unique_ptr<fb::Id> RandomHistory::IdOf(const Uuid& id) {
  return std::make_unique<fb::Id>(id.ToFb());
}

std::unique_ptr<fb::OutcomeT> RandomHistory::Outcome() {
  if (Chance(3)) return nullptr;
  auto outcome = std::make_unique<fb::OutcomeT>();
  if (!Chance(3)) outcome->duration_ms = Below(100'000);
  if (!Chance(3)) outcome->tokens_used = Below(100'000);
  if (!Chance(3)) outcome->cost_microdollars = static_cast<int64_t>(Below(1'000'000)) - 1000;
  return outcome;
}

std::unique_ptr<fb::Id> RandomHistory::Holder(EntityKind kind, std::string_view role) {
  const auto holder = journal_->FindName(kind, "role", role);
  return holder.ok() && holder->has_value() ? IdOf(**holder) : nullptr;
}

absl::Status RandomHistory::AppendEveryKind(const EveryKind& how) {
  // Twice over the kinds in their order, which is that of lives: what the first round
  // removes is there again for the second.
  const std::vector<fb::Event> kinds = KindsByLives();
  for (size_t i = 0; i < how.rounds * kinds.size(); ++i) {
    const fb::Event kind = kinds[i % kinds.size()];
    bool done = false;
    for (int tries = 0; !done && tries < kTriesMax * how.patience; ++tries) {
      NIMBUS_ASSIGN_OR_RETURN(done, TryAppend(kind));
      if (done || (tries + 1) % how.patience != 0) continue;
      // Something it needs may be missing: as a rule a step that has begun, since most
      // events end something.
      NIMBUS_RETURN_IF_ERROR(Append(1));
      for (const fb::Event begins : {fb::Event::SessionStarted, fb::Event::OperationCreated,
                                     fb::Event::StepAdded, fb::Event::StepStarted}) {
        NIMBUS_RETURN_IF_ERROR(TryAppend(begins).status());
      }
    }
    if (done) continue;
    return schema::Error(absl::StatusCode::kInternal, "no {} was accepted",
                         fb::EnumNameEvent(kind));
  }
  return absl::OkStatus();
}

absl::Status RandomHistory::Append(int count) {
  for (int tries = 0; count > 0; ++tries) {
    if (tries > kTriesMax) return schema::Error(absl::StatusCode::kInternal, "all is refused");
    const auto number = 2 + Below(static_cast<size_t>(fb::Event::MAX) - 1);
    NIMBUS_ASSIGN_OR_RETURN(const bool done, TryAppend(TypeAt(static_cast<int>(number))));
    if (!done) continue;
    --count;
    tries = 0;
  }
  return absl::OkStatus();
}

absl::StatusOr<bool> RandomHistory::TryAppend(fb::Event type) {
  Event event = Make(type);
  FillBody(&event);
  constexpr int64_t kSomeTime = 1'700'000'000'000'000;
  if (Chance(4)) event.occurred_at_us = kSomeTime + static_cast<int64_t>(Below(1u << 30));
  event.imported = Chance(8);
  const absl::Status appended = journal_->Append(event).status();
  if (IsRefusal(appended)) return false;
  NIMBUS_RETURN_IF_ERROR(appended);
  Note(event);
  return true;
}

Event RandomHistory::Make(fb::Event type) {
  if (type <= fb::Event::OperationCancelled) return MakeHistory(type);
  if (type <= fb::Event::CheckpointCreated) return MakeStep(type);
  if (type <= fb::Event::ImportFinished) return MakeImport(type);
  if (type <= fb::Event::RegistryEntryRemoved) return MakePlugin(type);
  if (type <= fb::Event::PersonaUsed) return MakePersona(type);
  if (type <= fb::Event::EnvironmentConfigDeleted) return MakeConfig(type);
  if (type <= fb::Event::CredentialProfileDeleted) return MakeCredential(type);
  if (type <= fb::Event::OperationReplayed) return MakeLineage(type);
  return MakeRecording(type);
}

// What is not the kind's own is not looked at. Some events come without a body, as
// nothing forbids.
void RandomHistory::FillBody(Event* event) {
  fb::BodyT& body = event->body;
  const bool required = event->payload.type == fb::Event::PluginInstalled ||
                        event->payload.type == fb::Event::PersonaDefined ||
                        event->payload.type == fb::Event::PreferenceDefined;
  if (!required && Chance(5)) return;
  body.name = Words();
  body.description = Words();
  body.context = JsonObject();
  body.input = Json();
  body.output = Json();
  body.plan = Json();
  body.error = Words();
  if (body.state.empty()) body.state = Json();
  if (!Chance(3))
    body.digest = std::make_unique<fb::Digest>(schema::ToFb(schema::Blake2b256(Word())));
  if (body.details == nullptr) body.details = std::make_unique<fb::DetailsT>();
  fb::DetailsT& details = *body.details;
  details.author = Words();
  details.homepage = Words();
  details.repository = Words();
  details.entry_point = "lib/" + Word() + ".so";
  details.config_schema = R"({"type":"object"})";
  details.dependencies = R"(["core"])";
  details.permissions = R"(["network"])";
  if (details.config.empty()) details.config = JsonObject();
  details.categories = R"(["cloud","ci"])";
  details.metadata = JsonObject();
  details.display_name = Word() + "!";
  details.system_prompt = "You are " + Word() + ".";
  details.model = Words();
  details.response_style = JsonObject();
  details.capabilities = JsonObject();
  if (details.value.empty()) details.value = schema::Json::String(Word()).Dump();
  if (details.default_value.empty()) details.default_value = R"("auto")";
  details.text = Words();
  details.sealed = "v1." + Word() + "." + std::string(Below(100), 's');
}

Event RandomHistory::MakeHistory(fb::Event type) {
  const Uuid session = Pick(sessions_), operation = Pick(operations_);
  // Where personas have no rows, no row may refer to one.
  const Named used = Pick(personas_);
  const std::string persona = !PersonasHaveRows() || Chance(2) ? ""
                              : used.id.IsNil()                ? "persona_devops"
                                                               : used.id.ToString();
  switch (type) {
    case fb::Event::JournalCreated:
    case fb::Event::SessionStarted: {
      fb::SessionStartedT started;
      started.persona = persona;
      return MakeEvent(EntityKind::session, NewId(), std::move(started));
    }
    case fb::Event::SessionUpdated: {
      fb::SessionUpdatedT updated;
      updated.persona = persona;
      return MakeEvent(EntityKind::session, session, std::move(updated));
    }
    case fb::Event::SessionEnded:
      return MakeEvent(EntityKind::session, session, fb::SessionEndedT{});
    case fb::Event::OperationCreated: {
      fb::OperationCreatedT created;
      created.session = IdOf(session);
      created.type = Word();
      if (Chance(3)) created.parent = IdOf(operation);
      return MakeEvent(EntityKind::operation, NewId(), std::move(created));
    }
    case fb::Event::OperationPlanned:
      return MakeEvent(EntityKind::operation, operation, fb::OperationPlannedT{});
    case fb::Event::OperationStarted:
      return MakeEvent(EntityKind::operation, operation, fb::OperationStartedT{});
    case fb::Event::OperationCompleted: {
      fb::OperationCompletedT ended;
      ended.outcome = Outcome();
      return MakeEvent(EntityKind::operation, operation, std::move(ended));
    }
    case fb::Event::OperationFailed: {
      fb::OperationFailedT ended;
      ended.outcome = Outcome();
      return MakeEvent(EntityKind::operation, operation, std::move(ended));
    }
    default: {
      fb::OperationCancelledT ended;
      ended.outcome = Outcome();
      return MakeEvent(EntityKind::operation, operation, std::move(ended));
    }
  }
}

Event RandomHistory::MakeStep(fb::Event type) {
  const Step step = Pick(steps_);
  const auto about = [&](auto payload) {
    payload.step = IdOf(step.id);
    return MakeEvent(EntityKind::operation, step.operation, std::move(payload));
  };
  const auto ended = [&](auto payload) {
    payload.outcome = Outcome();
    return about(std::move(payload));
  };
  switch (type) {
    case fb::Event::StepAdded: {
      fb::StepAddedT added;
      added.step = IdOf(NewId());
      added.type = static_cast<fb::StepType>(Below(4));
      if (Chance(2)) added.tool_name = Word();
      return MakeEvent(EntityKind::operation, Pick(operations_), std::move(added));
    }
    case fb::Event::StepStarted: {
      fb::StepStartedT started;
      started.attempt = Chance(6) ? 2 : 1;
      return about(std::move(started));
    }
    case fb::Event::StepCompleted:
      return ended(fb::StepCompletedT{});
    case fb::Event::StepFailed:
      return ended(fb::StepFailedT{});
    case fb::Event::StepCancelled:
      return ended(fb::StepCancelledT{});
    default: {
      fb::CheckpointCreatedT created;
      created.checkpoint = IdOf(NewId());
      Event event = about(std::move(created));
      event.body.state = JsonObject();
      return event;
    }
  }
}

Event RandomHistory::MakeImport(fb::Event type) {
  const Uuid source = Pick(sources_);
  switch (type) {
    case fb::Event::ImportStarted: {
      fb::ImportStartedT started;
      started.format = "codex";
      const Uuid id = NewId();
      started.key = id.ToString();
      return MakeEvent(EntityKind::source, id, std::move(started));
    }
    case fb::Event::SourceStored: {
      fb::SourceStoredT stored;
      stored.first = stored_[source];
      stored.count = static_cast<uint32_t>(1 + Below(9));
      Event event = MakeEvent(EntityKind::source, source, std::move(stored));
      event.body.source.assign(Below(200), 'r');
      return event;
    }
    default: {
      fb::ImportFinishedT finished;
      finished.records = stored_[source];
      return MakeEvent(EntityKind::source, source, std::move(finished));
    }
  }
}

Event RandomHistory::MakePlugin(fb::Event type) {
  const Named plugin = Pick(plugins_);
  const Hook hook = Pick(hooks_);
  const auto about = [&](auto payload) {
    return MakeEvent(EntityKind::plugin, plugin.id, std::move(payload));
  };
  const auto about_hook = [&](auto payload) {
    payload.hook = IdOf(hook.id);
    const Uuid of = Chance(8) ? plugin.id : hook.plugin;
    return MakeEvent(EntityKind::plugin, of, std::move(payload));
  };
  switch (type) {
    case fb::Event::PluginInstalled: {
      fb::PluginInstalledT installed;
      installed.name = Name();
      installed.version = fmt::format("1.{}.0", Below(20));
      installed.type = static_cast<fb::PluginType>(Below(5));
      if (Chance(3)) installed.needs.push_back(plugin.id.ToFb());
      return MakeEvent(EntityKind::plugin, NewId(), std::move(installed));
    }
    case fb::Event::PluginUpdated: {
      fb::PluginUpdatedT updated;
      if (Chance(2)) updated.version = fmt::format("2.{}.0", Below(20));
      if (Chance(2)) updated.type = static_cast<fb::PluginType>(Below(5));
      return about(std::move(updated));
    }
    case fb::Event::PluginConfigured: {
      fb::PluginConfiguredT configured;
      configured.profile = Word();
      return about(std::move(configured));
    }
    case fb::Event::PluginEnabled:
      return about(fb::PluginEnabledT{});
    case fb::Event::PluginDisabled:
      return about(fb::PluginDisabledT{});
    case fb::Event::PluginUninstalled: {
      fb::PluginUninstalledT uninstalled;
      uninstalled.name = plugin.name;
      return about(std::move(uninstalled));
    }
    case fb::Event::HookRegistered: {
      fb::HookRegisteredT registered;
      registered.hook = IdOf(NewId());
      registered.name = Chance(2) ? "pre_execute" : "on_error";
      registered.priority = static_cast<int64_t>(Below(200)) - 50;
      registered.disabled = Chance(3);
      return about(std::move(registered));
    }
    case fb::Event::HookChanged: {
      fb::HookChangedT changed;
      if (Chance(2)) changed.priority = static_cast<int64_t>(Below(200));
      if (Chance(2)) changed.enabled = Chance(2);
      return about_hook(std::move(changed));
    }
    case fb::Event::HookRemoved:
      return about_hook(fb::HookRemovedT{});
    case fb::Event::RegistryEntryCached: {
      fb::RegistryEntryCachedT cached;
      cached.name = Word();
      cached.latest_version = fmt::format("3.{}", Below(20));
      cached.downloads = Below(1'000'000);
      if (Chance(2)) cached.rating = static_cast<double>(Below(50)) / 10;
      const Uuid id = schema::RegistryEntryId(cached.name);
      return MakeEvent(EntityKind::registry_entry, id, std::move(cached));
    }
    default:
      return MakeEvent(EntityKind::registry_entry, schema::RegistryEntryId(Word()),
                       fb::RegistryEntryRemovedT{});
  }
}

Event RandomHistory::MakePersona(fb::Event type) {
  const Named persona = Pick(personas_);
  const auto about = [&](auto payload) {
    return MakeEvent(EntityKind::persona, persona.id, std::move(payload));
  };
  switch (type) {
    case fb::Event::PersonaDefined: {
      fb::PersonaDefinedT defined;
      defined.name = Name();
      defined.temperature = static_cast<double>(Below(20)) / 10;
      return MakeEvent(EntityKind::persona, NewId(), std::move(defined));
    }
    case fb::Event::PersonaUpdated: {
      fb::PersonaUpdatedT updated;
      if (Chance(2)) updated.temperature = static_cast<double>(Below(20)) / 10;
      return about(std::move(updated));
    }
    case fb::Event::PersonaActivated:
      return about(fb::PersonaActivatedT{});
    case fb::Event::PersonaDeactivated:
      return about(fb::PersonaDeactivatedT{});
    case fb::Event::PersonaRemoved: {
      fb::PersonaRemovedT removed;
      removed.name = persona.name;
      return about(std::move(removed));
    }
    default: {
      fb::PersonaUsedT used;
      if (Chance(2) && !sessions_.empty()) used.session = IdOf(Pick(sessions_));
      return about(std::move(used));
    }
  }
}

Event RandomHistory::MakeConfig(fb::Event type) {
  const std::string word = Word(), other = Word();
  const Uuid preference = schema::PreferenceId(word), profile = schema::ConfigProfileId(word);
  const Uuid environment = schema::EnvironmentConfigId(word, other);
  switch (type) {
    case fb::Event::ConfigValueSet: {
      fb::ConfigValueSetT set;
      set.key = word;
      return MakeEvent(EntityKind::config_value, schema::ConfigValueId(word), std::move(set));
    }
    case fb::Event::ConfigValueUnset: {
      fb::ConfigValueUnsetT unset;
      unset.key = word;
      return MakeEvent(EntityKind::config_value, schema::ConfigValueId(word), std::move(unset));
    }
    case fb::Event::PreferenceDefined: {
      fb::PreferenceDefinedT defined;
      defined.key = fmt::format("{}.{}", word, Below(1000));
      const Uuid id = schema::PreferenceId(defined.key);
      return MakeEvent(EntityKind::preference, id, std::move(defined));
    }
    case fb::Event::PreferenceSet:
      return MakeEvent(EntityKind::preference, preference, fb::PreferenceSetT{});
    case fb::Event::PreferenceReset:
      return MakeEvent(EntityKind::preference, preference, fb::PreferenceResetT{});
    case fb::Event::ConfigProfileSaved: {
      fb::ConfigProfileSavedT saved;
      saved.name = word;
      return MakeEvent(EntityKind::config_profile, profile, std::move(saved));
    }
    case fb::Event::ConfigProfileActivated: {
      fb::ConfigProfileActivatedT activated;
      activated.previous = Holder(EntityKind::config_profile, "active");
      return MakeEvent(EntityKind::config_profile, profile, std::move(activated));
    }
    case fb::Event::ConfigProfileDeleted:
      return MakeEvent(EntityKind::config_profile, profile, fb::ConfigProfileDeletedT{});
    case fb::Event::EnvironmentConfigSet: {
      fb::EnvironmentConfigSetT set;
      set.environment = word;
      set.cloud_provider = other;
      return MakeEvent(EntityKind::environment_config, environment, std::move(set));
    }
    default:
      return MakeEvent(EntityKind::environment_config, environment,
                       fb::EnvironmentConfigDeletedT{});
  }
}

Event RandomHistory::MakeCredential(fb::Event type) {
  const Named credential = Pick(credentials_);
  const std::string word = Word();
  const Uuid profile = schema::CredentialProfileId(word);
  switch (type) {
    case fb::Event::CredentialStored: {
      fb::CredentialStoredT stored;
      stored.name = Name();
      stored.provider = Word();
      stored.type = "oauth";
      if (Chance(2)) stored.expires_at_us = 1'900'000'000'000'000;
      return MakeEvent(EntityKind::credential, NewId(), std::move(stored));
    }
    case fb::Event::CredentialRotated:
      return MakeEvent(EntityKind::credential, credential.id, fb::CredentialRotatedT{});
    case fb::Event::CredentialUsed:
      return MakeEvent(EntityKind::credential, credential.id, fb::CredentialUsedT{});
    case fb::Event::CredentialRemoved: {
      fb::CredentialRemovedT removed;
      removed.name = credential.name;
      return MakeEvent(EntityKind::credential, credential.id, std::move(removed));
    }
    case fb::Event::CredentialProfileSaved: {
      fb::CredentialProfileSavedT saved;
      saved.name = word;
      if (!credential.id.IsNil()) saved.credentials.push_back(credential.id.ToFb());
      Event event = MakeEvent(EntityKind::credential_profile, profile, std::move(saved));
      event.body.details = std::make_unique<fb::DetailsT>();
      event.body.details->config = fmt::format(R"({{"aws":"{}"}})", credential.id.ToString());
      return event;
    }
    case fb::Event::CredentialProfileMadeDefault: {
      fb::CredentialProfileMadeDefaultT made;
      made.previous = Holder(EntityKind::credential_profile, "default");
      return MakeEvent(EntityKind::credential_profile, profile, std::move(made));
    }
    default:
      return MakeEvent(EntityKind::credential_profile, profile, fb::CredentialProfileDeletedT{});
  }
}

Event RandomHistory::MakeLineage(fb::Event type) {
  const Uuid operation = Pick(operations_);
  switch (type) {
    case fb::Event::ViewsMigrated: {
      fb::ViewsMigratedT migrated;
      migrated.from = static_cast<uint32_t>(Below(8));
      migrated.to = static_cast<uint32_t>(Below(8));
      return MakeEvent(EntityKind::journal, journal_->id(), std::move(migrated));
    }
    case fb::Event::OperationForked: {
      fb::OperationForkedT forked;
      const Step checkpoint = Pick(checkpoints_);
      const bool from_checkpoint = Chance(2) && !checkpoint.id.IsNil();
      forked.parent = IdOf(from_checkpoint ? checkpoint.operation : Pick(operations_));
      if (from_checkpoint) forked.checkpoint = IdOf(checkpoint.id);
      forked.step_number = from_checkpoint ? 0 : static_cast<uint32_t>(Below(3));
      return MakeEvent(EntityKind::operation, operation, std::move(forked));
    }
    default: {
      fb::OperationReplayedT replayed;
      replayed.receipt = IdOf(NewId());
      replayed.verdict = static_cast<fb::ReplayVerdict>(Below(3));
      replayed.records = 40;
      if (Chance(2)) {
        replayed.root = std::make_unique<fb::Digest>(schema::ToFb(schema::Blake2b256("root")));
      }
      replayed.first = Below(20);
      replayed.last = 20 + Below(20);
      replayed.steps = static_cast<uint32_t>(Below(100));
      return MakeEvent(EntityKind::operation, operation, std::move(replayed));
    }
  }
}

Event RandomHistory::MakeRecording(fb::Event type) {
  if (type == fb::Event::ValueRecorded) {
    fb::ValueRecordedT value;
    value.name = Word();
    return MakeEvent(EntityKind::operation, Pick(operations_), std::move(value));
  }
  const auto state_of = [&](EntityKind kind, const Uuid& id) {
    const auto entity = journal_->FindEntity(kind, id);
    if (!entity.ok() || !entity->has_value()) return journal::Lifecycle::kCancelled;
    return static_cast<journal::Lifecycle>((*entity)->state);
  };
  const auto runs = [&](const Step& candidate) {
    return state_of(EntityKind::step, candidate.id) == journal::Lifecycle::kRunning &&
           !journal::IsFinal(state_of(EntityKind::operation, candidate.operation));
  };
  const auto running = std::find_if(steps_.rbegin(), steps_.rend(), runs);
  const Step step = running == steps_.rend() || Chance(4) ? Pick(steps_) : *running;
  fb::StepAttemptFailedT failed;
  failed.step = IdOf(step.id);
  const auto entity = journal_->FindEntity(EntityKind::step, step.id);
  failed.attempt = entity.ok() && entity->has_value() ? (*entity)->steps + 1 : 1;
  failed.outcome = Outcome();
  return MakeEvent(EntityKind::operation, step.operation, std::move(failed));
}

// That there is one more to pick.
void RandomHistory::Note(const Event& event) {
  if (event.payload.type == fb::Event::SessionStarted) sessions_.push_back(event.stream);
  if (event.payload.type == fb::Event::OperationCreated) operations_.push_back(event.stream);
  if (event.payload.type == fb::Event::ImportStarted) sources_.push_back(event.stream);
  const auto note_part = [&](const auto* e, auto id, auto* all) {
    if (e != nullptr) all->push_back({Uuid::FromFb(*(e->*id)), event.stream});
  };
  note_part(event.payload.AsStepAdded(), &fb::StepAddedT::step, &steps_);
  note_part(event.payload.AsCheckpointCreated(), &fb::CheckpointCreatedT::checkpoint,
            &checkpoints_);
  note_part(event.payload.AsHookRegistered(), &fb::HookRegisteredT::hook, &hooks_);
  if (const auto* e = event.payload.AsSourceStored()) stored_[event.stream] += e->count;
  const auto note = [&](const auto* e, std::vector<Named>* all) {
    if (e != nullptr) all->push_back({event.stream, e->name});
  };
  note(event.payload.AsPluginInstalled(), &plugins_);
  note(event.payload.AsPersonaDefined(), &personas_);
  note(event.payload.AsCredentialStored(), &credentials_);
}

}  // namespace nimbus::projections
