// Starting the child program, and understanding what it says.
#pragma once

#include <chrono>
#include <map>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "fixture.h"
#include "journal/stream.h"
#include "testing/program.h"

namespace nimbus::journal {

inline absl::StatusOr<std::unique_ptr<test::Program>> StartChild(
    std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), NIMBUS_JOURNAL_CHILD);
  return test::Program::Start({.argv = std::move(arguments)});
}

inline absl::StatusOr<test::Finished> RunChild(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), NIMBUS_JOURNAL_CHILD);
  return test::RunProgram({.argv = std::move(arguments)});
}

struct Acknowledged {
  uint64_t n = 0;
  uint64_t sequence = 0;
  int64_t micros = 0;  // of the steady clock
};

// Per session, what the child said was written, in its order. The sessions
// without an acknowledged update are there too.
inline std::map<Uuid, std::vector<Acknowledged>> ParseOutput(const std::string& out) {
  std::map<Uuid, std::vector<Acknowledged>> sessions;
  std::istringstream lines(out.substr(0, out.rfind('\n') + 1));
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string word, id;
    words >> word >> id;
    Acknowledged update;
    if (word == "session") sessions[*schema::ParseUuid(id)];
    if (word == "ok" && words >> update.n >> update.sequence >> update.micros) {
      sessions[*schema::ParseUuid(id)].push_back(update);
    }
  }
  return sessions;
}

// Waits until the child has said `lines` lines; false after a minute.
inline bool WaitForLines(const test::Program& child, int64_t lines) {
  for (int i = 0; i < 60'000; ++i) {
    const std::string out = child.OutputSoFar();
    if (std::count(out.begin(), out.end(), '\n') >= lines) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));  // a file tells of no end
  }
  return false;
}

// Whether the session holds update 0, 1, 2, … in this order and nothing else,
// and those that were acknowledged where they were said to be. Returns the
// number of updates.
inline uint64_t ExpectUpdates(const Journal& journal, const Uuid& session,
                              const std::vector<Acknowledged>& acknowledged) {
  absl::StatusOr<std::optional<EntityState>> state =
      journal.FindEntity(EntityKind::session, session);
  EXPECT_THAT(state, IsOk());
  if (!state.ok() || !state->has_value()) {
    EXPECT_TRUE(acknowledged.empty()) << "session " << session.ToString() << " is lost";
    return 0;
  }
  Reader reader(journal);
  absl::StatusOr<std::vector<uint64_t>> sequences =
      StreamSequences(&reader, (*state)->head_sequence);
  EXPECT_THAT(sequences, IsOk());
  if (!sequences.ok()) return 0;
  EXPECT_EQ(sequences->size(), (*state)->version);
  EXPECT_GE(sequences->size(), acknowledged.size() + 1);
  for (uint64_t i = 0; i < sequences->size(); ++i) {
    absl::StatusOr<const RecordView*> record = reader.Read((*sequences)[i]);
    EXPECT_THAT(record, IsOk());
    EXPECT_EQ((*record)->envelope().version(), i + 1);
    absl::StatusOr<const schema::fb::Body*> body = reader.Body(**record);
    EXPECT_THAT(body, IsOk());
    if (!body.ok()) return 0;
    if (i > 0) {
      EXPECT_EQ((*body)->name()->str(), UpdateName(i - 1));
    }
    if (i > 0 && i <= acknowledged.size()) {
      EXPECT_EQ(acknowledged[i - 1].n, i - 1);
      EXPECT_EQ(acknowledged[i - 1].sequence, (*sequences)[i]);
    }
  }
  return sequences->size() - 1;
}

}  // namespace nimbus::journal
