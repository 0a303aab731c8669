#include "domains.h"

#include "history_rows.h"
#include "plugin_rows.h"
#include "registry_rows.h"

namespace nimbus::projections {
namespace {

using schema::fb::Event;

constexpr Domain kDomains[] = {
    {2, Event::SessionStarted, Event::CheckpointCreated, &HistoryWriter::Create},
    {3, Event::PluginInstalled, Event::HookRemoved, &PluginsWriter::Create},
    {3, Event::RegistryEntryCached, Event::RegistryEntryRemoved, &RegistryWriter::Create},
};

}  // namespace

std::span<const Domain> Domains() { return kDomains; }

}  // namespace nimbus::projections
