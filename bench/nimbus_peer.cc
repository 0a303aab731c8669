#include <memory>
#include <utility>
#include <vector>

#include "bench/peer.h"
#include "nimbus/journal/journal.h"
#include "nimbus/schema/status.h"

namespace nimbus::bench {
namespace {

class NimbusPeer final : public Peer {
 public:
  NimbusPeer(std::unique_ptr<journal::Journal> journal, std::vector<schema::Uuid> sessions)
      : journal_(std::move(journal)), sessions_(std::move(sessions)) {}

  absl::Status Append(size_t writer, const test::WorkloadOperation& operation, size_t begin,
                      size_t end) override {
    if (end - begin == 1) {
      return journal_->Append(operation.Event(begin, sessions_[writer])).status();
    }
    std::vector<schema::Event> events;
    events.reserve(end - begin);
    for (size_t index = begin; index < end; ++index) {
      events.push_back(operation.Event(index, sessions_[writer]));
    }
    return journal_->Append(events).status();
  }

 private:
  std::unique_ptr<journal::Journal> journal_;
  std::vector<schema::Uuid> sessions_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Peer>> OpenNimbus(const PeerSetup& setup) {
  NIMBUS_ASSIGN_OR_RETURN(std::unique_ptr<journal::Journal> journal,
                          journal::Journal::Open(setup.directory, {}));
  for (const schema::Uuid& session : setup.sessions) {
    NIMBUS_RETURN_IF_ERROR(journal->Append(test::SessionStarted(session)).status());
  }
  return std::make_unique<NimbusPeer>(std::move(journal), setup.sessions);
}

}  // namespace nimbus::bench
