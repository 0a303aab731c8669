// What the tests run beside themselves, to append at the same time, and to kill.
//
//   journal_child append STORE COUNT THREADS   COUNT updates of a session in each thread (0: on
//                                              and on); "session ID" once, and
//                                              "ok ID N SEQUENCE MICROSECONDS" when acknowledged
//   journal_child relaxed STORE COUNT THREADS  the same, relaxed
//   journal_child varied STORE COUNT           the same, of many sizes, also of more than the log
//                                              takes, now and again relaxed
//   journal_child fill STORE BODY_BYTES        appends until one is refused; "ok …" as above
//   journal_child create STORE                 "journal ID"
//   journal_child read STORE                   "record SEQUENCE LEAF_HASH BODY_HASH", read-only
//   journal_child hold STORE                   "held" with the tenure, until killed
//   journal_child readers DIRECTORY COUNT      "held" in COUNT read transactions, until killed
//
// Exits with 0, or with the code of the absl::Status, printed after "error".
#include <unistd.h>

#include <atomic>
#include <charconv>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <span>
#include <string_view>
#include <thread>
#include <vector>

#include "environment.h"
#include "journal/events.h"
#include "lmdb_env.h"
#include "nimbus/journal/reader.h"
#include "nimbus/schema/check.h"
#include "nimbus/schema/status.h"
#include "tenure.h"

namespace nimbus::journal {
namespace {

// One write(2) a line: a line that was begun is there whole when we are killed.
void Print(const std::string& line) {
  NIMBUS_CHECK(write(STDOUT_FILENO, line.data(), line.size()) == static_cast<ssize_t>(line.size()));
}

uint64_t Number(const std::string& text) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  NIMBUS_CHECK(error == std::errc() && end == text.data() + text.size());
  return value;
}

int64_t NowMicros() {
  return std::chrono::duration_cast<std::chrono::microseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

void PrintAcknowledged(const Uuid& session, uint64_t n, const Appended& appended) {
  Print(fmt::format("ok {} {} {} {}\n", session.ToString(), n, appended.first, NowMicros()));
}

absl::Status AppendUpdates(Journal* journal, uint64_t count, Durability durability) {
  const Uuid session = schema::NewUuid();
  Print(fmt::format("session {}\n", session.ToString()));
  NIMBUS_RETURN_IF_ERROR(journal->Append(SessionStarted(session)).status());
  for (uint64_t n = 0; count == 0 || n < count; ++n) {
    NIMBUS_ASSIGN_OR_RETURN(
        const Appended appended,
        journal->Append(SessionUpdated(session, n),
                        {.append_id = AppendIdOf(session, n), .durability = durability}));
    PrintAcknowledged(session, n, appended);
  }
  return absl::OkStatus();
}

absl::Status Append(const std::string& store, uint64_t count, uint64_t threads,
                    Durability durability) {
  NIMBUS_ASSIGN_OR_RETURN(const std::unique_ptr<Journal> journal, Journal::Open(store, {}));
  std::vector<absl::Status> results(threads);
  std::vector<std::thread> writers;
  for (absl::Status& result : results) {
    writers.emplace_back([&] { result = AppendUpdates(journal.get(), count, durability); });
  }
  for (std::thread& writer : writers) writer.join();
  for (const absl::Status& result : results) NIMBUS_RETURN_IF_ERROR(result);
  return absl::OkStatus();
}

// An update whose body does not compress.
Event LargeUpdate(const Uuid& session, uint64_t n, uint64_t body_bytes) {
  Event event = SessionUpdated(session, n);
  for (uint64_t x = n; event.body.description.size() < body_bytes;) {
    x = x * 6364136223846793005u + 1442695040888963407u;
    event.body.description += fmt::format("{:016x}", x);
  }
  return event;
}

absl::Status Vary(const std::string& store, uint64_t count) {
  NIMBUS_ASSIGN_OR_RETURN(const std::unique_ptr<Journal> journal, Journal::Open(store, {}));
  const Uuid session = schema::NewUuid();
  Print(fmt::format("session {}\n", session.ToString()));
  NIMBUS_RETURN_IF_ERROR(journal->Append(SessionStarted(session)).status());
  for (uint64_t n = 0; n < count; ++n) {
    const uint64_t bytes = n % 50 == 49 ? 3'000'000 : n % 7 == 3 ? 200'000 : n * 7919 % 9000;
    const auto durability = n % 3 == 0 ? Durability::kRelaxed : Durability::kDurable;
    NIMBUS_ASSIGN_OR_RETURN(const Appended appended, journal->Append(LargeUpdate(session, n, bytes),
                                                                     {.durability = durability}));
    PrintAcknowledged(session, n, appended);
  }
  return absl::OkStatus();
}

absl::Status Fill(const std::string& store, uint64_t body_bytes) {
  signal(SIGXFSZ, SIG_IGN);  // a limit on file sizes is to be an error, not the end
  NIMBUS_ASSIGN_OR_RETURN(const std::unique_ptr<Journal> journal, Journal::Open(store, {}));
  const Uuid session = schema::NewUuid();
  NIMBUS_RETURN_IF_ERROR(journal->Append(SessionStarted(session)).status());
  for (uint64_t n = 0;; ++n) {
    NIMBUS_ASSIGN_OR_RETURN(const Appended appended,
                            journal->Append(LargeUpdate(session, n, body_bytes)));
    PrintAcknowledged(session, n, appended);
  }
}

absl::Status Create(const std::string& store) {
  NIMBUS_ASSIGN_OR_RETURN(const std::unique_ptr<Journal> journal, Journal::Open(store, {}));
  Print(fmt::format("journal {}\n", journal->id().ToString()));
  return absl::OkStatus();
}

absl::Status Read(const std::string& store) {
  NIMBUS_ASSIGN_OR_RETURN(const std::unique_ptr<Journal> journal,
                          Journal::Open(store, {.read_only = true}));
  Reader reader(*journal);
  absl::Status damage;
  NIMBUS_ASSIGN_OR_RETURN(const uint64_t size, journal->Size());
  // Damage to one record is told, and the others still read.
  constexpr uint64_t kPlausibleSize = 100'000;
  for (uint64_t sequence = 0; sequence < std::min(size, kPlausibleSize); ++sequence) {
    absl::StatusOr<const RecordView*> record = reader.Read(sequence);
    if (!record.ok()) {
      damage.Update(record.status());
      continue;
    }
    absl::StatusOr<const schema::fb::Body*> body = reader.Body(**record);
    if (!body.ok()) damage.Update(body.status());
    std::string text;
    if (body.ok() && *body != nullptr && (*body)->name() != nullptr) {
      text = (*body)->name()->str();
    }
    Print(fmt::format("record {} {} {}\n", sequence, schema::ToHex(LeafHashOf((*record)->bytes)),
                      body.ok() ? schema::ToHex(schema::Blake2b256(text)) : "damaged"));
  }
  NIMBUS_RETURN_IF_ERROR(damage);
  return journal->GetStat().status();
}

absl::Status Hold(const std::string& store) {
  NIMBUS_ASSIGN_OR_RETURN(const std::unique_ptr<Environment> environment,
                          Environment::Open(store, {}));
  NIMBUS_ASSIGN_OR_RETURN(const std::unique_ptr<Tenure> tenure, Tenure::Open(*environment));
  NIMBUS_RETURN_IF_ERROR(tenure->Take());
  NIMBUS_ASSIGN_OR_RETURN(lmdb::Transaction txn, environment->BeginWrite());
  NIMBUS_RETURN_IF_ERROR(environment->WriteHead(&txn, Head{}));  // must not be seen
  Print("held\n");
  for (;;) pause();
}

absl::Status HoldReaders(const std::string& directory, uint64_t count) {
  NIMBUS_ASSIGN_OR_RETURN(const std::unique_ptr<lmdb::Env> env,
                          lmdb::Env::Open(directory, {.map_bytes = 1 << 30, .read_only = true}));
  std::vector<lmdb::Transaction> held;
  for (uint64_t i = 0; i < count; ++i) {
    NIMBUS_ASSIGN_OR_RETURN(lmdb::Transaction txn,
                            lmdb::Transaction::Begin(*env, lmdb::Transaction::Mode::kRead));
    held.push_back(std::move(txn));
  }
  Print("held\n");
  for (;;) pause();
}

absl::Status Run(const std::vector<std::string>& arguments) {
  const std::string& mode = arguments.at(0);
  const std::string& store = arguments.at(1);
  if (mode == "append" || mode == "relaxed") {
    return Append(store, Number(arguments.at(2)), Number(arguments.at(3)),
                  mode == "relaxed" ? Durability::kRelaxed : Durability::kDurable);
  }
  if (mode == "varied") return Vary(store, Number(arguments.at(2)));
  if (mode == "fill") return Fill(store, Number(arguments.at(2)));
  if (mode == "create") return Create(store);
  if (mode == "read") return Read(store);
  if (mode == "hold") return Hold(store);
  if (mode == "readers") return HoldReaders(store, Number(arguments.at(2)));
  return absl::InvalidArgumentError("no such mode");
}

}  // namespace
}  // namespace nimbus::journal

int main(int argc, char** argv) {
  const absl::Status status = nimbus::journal::Run({argv + 1, argv + argc});
  if (!status.ok()) nimbus::journal::Print(fmt::format("error {}\n", status.ToString()));
  return static_cast<int>(status.code());
}
