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
  NimbusPeer(std::unique_ptr<journal::Journal> journal, const PeerSetup& setup)
      : journal_(std::move(journal)), sessions_(setup.sessions) {
    if (setup.relaxed) options_.durability = journal::Durability::kRelaxed;
  }

  absl::Status Append(size_t writer, const test::WorkloadOperation& operation, size_t begin,
                      size_t end) override {
    if (end - begin == 1) {
      return journal_->Append(operation.Event(begin, sessions_[writer]), options_).status();
    }
    std::vector<schema::Event> events;
    events.reserve(end - begin);
    for (size_t index = begin; index < end; ++index) {
      events.push_back(operation.Event(index, sessions_[writer]));
    }
    return journal_->Append(events, options_).status();
  }

 private:
  const std::unique_ptr<journal::Journal> journal_;
  const std::vector<schema::Uuid> sessions_;
  journal::AppendOptions options_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Peer>> OpenNimbus(const PeerSetup& setup) {
  NIMBUS_ASSIGN_OR_RETURN(std::unique_ptr<journal::Journal> journal,
                          journal::Journal::Open(setup.directory, {}));
  for (const schema::Uuid& session : setup.sessions) {
    NIMBUS_RETURN_IF_ERROR(journal->Append(test::SessionStarted(session)).status());
  }
  return std::make_unique<NimbusPeer>(std::move(journal), setup);
}

}  // namespace nimbus::bench
