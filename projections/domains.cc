#include "domains.h"

#include "config_rows.h"
#include "history_rows.h"
#include "persona_rows.h"

namespace nimbus::projections {
namespace {

using schema::fb::Event;

constexpr Domain kDomains[] = {
    {2, Event::SessionStarted, Event::CheckpointCreated, &HistoryWriter::Create},
    {4, Event::PersonaDefined, Event::PersonaUsed, &PersonaWriter::Create},
    {1, Event::ConfigValueSet, Event::ConfigValueUnset, &ConfigValueWriter::Create},
    {5, Event::PreferenceDefined, Event::EnvironmentConfigDeleted, &ConfigWriter::Create},
};

}  // namespace

std::span<const Domain> Domains() { return kDomains; }

}  // namespace nimbus::projections
