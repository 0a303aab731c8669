#include "simulation/claims.h"

#include <algorithm>
#include <sstream>

#include "nimbus/schema/status.h"

namespace nimbus::simulation {
namespace {

absl::StatusOr<Acknowledgement> ParseAcknowledgement(std::istringstream* words) {
  Acknowledgement ack;
  std::string level, session;
  if (!(*words >> ack.first >> ack.count >> level) || (level != "durable" && level != "relaxed")) {
    return absl::DataLossError("a malformed acknowledgement");
  }
  ack.durable = level == "durable";
  if (*words >> session) {
    NIMBUS_ASSIGN_OR_RETURN(ack.session, schema::ParseUuid(session));
    if (!(*words >> ack.n)) return absl::DataLossError("an update without a number");
  }
  return ack;
}

}  // namespace

absl::StatusOr<Claims> ParseClaims(const Trace& trace) {
  Claims claims;
  for (const Said& mark : trace.marks) {
    std::istringstream words(mark.text);
    std::string word;
    words >> word;
    if (word == "opened") claims.opened_at = std::min(claims.opened_at, mark.at);
    if (word == "opened" || word == "seen") {
      Sight sight{.at = mark.at};
      if (!(words >> sight.size)) return absl::DataLossError("a size that is none");
      claims.sights.push_back(sight);
    }
    if (word != "ack") continue;
    NIMBUS_ASSIGN_OR_RETURN(Acknowledgement ack, ParseAcknowledgement(&words));
    ack.at = mark.at;
    ack.micros = trace.micros[mark.at];
    claims.acknowledgements.push_back(ack);
  }
  return claims;
}

Needed NeededAt(const Trace& trace, const Claims& claims, size_t cut) {
  Needed needed;
  if (cut == 0 || claims.opened_at >= cut) return needed;
  needed = {.store = true, .records = 1};
  for (const Sight& sight : claims.sights) {
    if (sight.at < cut) needed.records = std::max(needed.records, sight.size);
  }
  const int64_t now = trace.micros[cut - 1];
  for (const Acknowledgement& ack : claims.acknowledgements) {
    if (ack.at >= cut) break;
    if (!ack.durable && ack.micros + kRelaxedMicros + kSlackMicros > now) continue;
    needed.records = std::max(needed.records, ack.first + ack.count);
  }
  return needed;
}

}  // namespace nimbus::simulation
