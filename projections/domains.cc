#include "domains.h"

#include "history_rows.h"

namespace nimbus::projections {
namespace {

using schema::fb::Event;

constexpr Domain kDomains[] = {
    {2, Event::SessionStarted, Event::CheckpointCreated, &HistoryWriter::Create},
};

}  // namespace

std::span<const Domain> Domains() { return kDomains; }

}  // namespace nimbus::projections
