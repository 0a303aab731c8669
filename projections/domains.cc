#include "domains.h"

#include "config_rows.h"
#include "credential_rows.h"
#include "history_rows.h"
#include "lineage_rows.h"
#include "persona_rows.h"
#include "plugin_rows.h"
#include "registry_rows.h"

namespace nimbus::projections {
namespace {

using schema::fb::Event;

constexpr Domain kDomains[] = {
    {2, Event::SessionStarted, Event::CheckpointCreated, &HistoryWriter::Create},
    {4, Event::PersonaDefined, Event::PersonaUsed, &PersonaWriter::Create},
    {1, Event::ConfigValueSet, Event::ConfigValueUnset, &ConfigValueWriter::Create},
    {5, Event::PreferenceDefined, Event::EnvironmentConfigDeleted, &ConfigWriter::Create},
    {1, Event::CredentialStored, Event::CredentialRemoved, &CredentialWriter::Create},
    {6, Event::CredentialProfileSaved, Event::CredentialProfileDeleted,
     &CredentialProfileWriter::Create},
    {7, Event::OperationForked, Event::OperationReplayed, &LineageWriter::Create},
    {2, Event::StepAttemptFailed, Event::StepAttemptFailed, &HistoryWriter::Create},
    {3, Event::PluginInstalled, Event::HookRemoved, &PluginsWriter::Create},
    {3, Event::RegistryEntryCached, Event::RegistryEntryRemoved, &RegistryWriter::Create},
};

}  // namespace

std::span<const Domain> Domains() { return kDomains; }

}  // namespace nimbus::projections
