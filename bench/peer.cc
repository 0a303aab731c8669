#include "bench/peer.h"

#include <array>
#include <span>

namespace nimbus::bench {

std::span<const PeerKind> PeerKinds() {
  static constexpr std::array<PeerKind, 4> kKinds = {{
      {"nimbus", "the journal: one Append per event", OpenNimbus},
      {"sqlite-shared", "the spec's tables, one connection under a mutex", OpenSqliteShared},
      {"sqlite-own", "the spec's tables, a connection per writer, busy_timeout", OpenSqliteOwn},
      {"lmdb", "plain LMDB, one put per event, grouped by one writer thread", OpenLmdb},
  }};
  return kKinds;
}

}  // namespace nimbus::bench
