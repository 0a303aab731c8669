// Random valid histories of every kind of event, of every domain, straight into the
// journal: what the tables must survive, whichever of them are projected.
//
//   RandomHistory history(&journal, seed);      // the same seed gives the same history
//   ASSERT_THAT(history.AppendEveryKind(), IsOk());
//   ASSERT_THAT(history.Append(300), IsOk());
//
// It knows what an event holds and which entities there may be, but not the rules: what
// the journal refuses leaves nothing, and something else is tried.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "nimbus/journal/journal.h"
#include "nimbus/schema/event.h"

namespace nimbus::projections {

struct EveryKind {
  size_t rounds = 2;  // over all the kinds
  int patience = 1;   // tries of a kind, before something is appended that it may need
};
inline constexpr EveryKind kAmple;                                    // hundreds of events
inline constexpr EveryKind kSparing = {.rounds = 1, .patience = 50};  // as few as it can

class RandomHistory {
 public:
  RandomHistory(journal::Journal* journal, uint32_t seed) : journal_(journal), random_(seed) {}

  // Events of each kind that a journal takes, at least one. Internal, naming the kind,
  // when one is always refused.
  absl::Status AppendEveryKind(const EveryKind& how = kAmple);

  // So many more, of random kinds.
  absl::Status Append(int count);

 private:
  struct Named {
    schema::Uuid id;
    std::string name;
  };
  struct Step {
    schema::Uuid id, operation;
  };
  struct Hook {
    schema::Uuid id, plugin;
  };
  static constexpr size_t kNewest = 4;

  size_t Below(size_t end) { return std::uniform_int_distribution<size_t>(0, end - 1)(random_); }
  bool Chance(size_t of) { return Below(of) == 0; }
  schema::Uuid NewId();
  std::string Word();   // of few, so that they meet again
  std::string Name();   // of a person's choice: likely to be free
  std::string Words();  // a text, or none
  std::string Json();   // a value, or none
  std::string JsonObject();
  std::unique_ptr<schema::fb::Id> IdOf(const schema::Uuid& id);
  template <typename T>
  T Pick(const std::vector<T>& all) {
    if (all.empty()) return T{};
    // Half of the time one of the newest, which are the likeliest to live.
    const size_t newest = std::min(all.size(), kNewest);
    return Chance(2) ? all[all.size() - 1 - Below(newest)] : all[Below(all.size())];
  }

  absl::StatusOr<bool> TryAppend(schema::fb::Event type);
  schema::Event Make(schema::fb::Event type);
  void FillBody(schema::Event* event);
  void Note(const schema::Event& event);
  schema::Event MakeHistory(schema::fb::Event type);
  schema::Event MakeStep(schema::fb::Event type);
  schema::Event MakeImport(schema::fb::Event type);
  schema::Event MakePlugin(schema::fb::Event type);
  schema::Event MakePersona(schema::fb::Event type);
  schema::Event MakeConfig(schema::fb::Event type);
  schema::Event MakeCredential(schema::fb::Event type);
  schema::Event MakeLineage(schema::fb::Event type);
  schema::Event MakeRecording(schema::fb::Event type);
  std::unique_ptr<schema::fb::OutcomeT> Outcome();
  std::unique_ptr<schema::fb::Id> Holder(schema::fb::EntityKind kind, std::string_view role);

  journal::Journal* const journal_;
  std::mt19937 random_;
  std::vector<schema::Uuid> sessions_, operations_, sources_;
  std::vector<Hook> hooks_;
  std::vector<Step> steps_;
  std::vector<Step> checkpoints_;
  std::vector<Named> plugins_, personas_, credentials_;
  std::map<schema::Uuid, uint64_t> stored_;  // records of a source
};

}  // namespace nimbus::projections
