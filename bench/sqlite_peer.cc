// The design Nimbus replaces: the product specification's HistoryRepository on
// SQLite's C API, statement for statement, one transaction per call: durable ones
// (synchronous=FULL), or relaxed ones (NORMAL).
#include <sqlite3.h>

#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "bench/peer.h"
#include "bench/sqlite_statement.h"
#include "nimbus/schema/events_generated.h"
#include "nimbus/schema/status.h"
#include "spec_sql.h"

namespace nimbus::bench {
namespace {

constexpr int kBusyTimeoutMs = 60'000;

// The repository's calls on one connection. One thread at a time.
class Repository {
 public:
  absl::Status Open(const std::string& path, bool relaxed) {
    sqlite3* connection = nullptr;
    const int code =
        sqlite3_open_v2(path.c_str(), &connection,
                        SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, nullptr);
    connection_.reset(connection);
    if (code != SQLITE_OK) return SqliteError(connection, path);
    sqlite3_busy_timeout(connection, kBusyTimeoutMs);
    NIMBUS_RETURN_IF_ERROR(Execute("PRAGMA journal_mode=WAL"));
    return Execute(relaxed ? "PRAGMA synchronous=NORMAL" : "PRAGMA synchronous=FULL");
  }

  absl::Status Execute(const char* sql) {
    if (sqlite3_exec(connection_.get(), sql, nullptr, nullptr, nullptr) != SQLITE_OK) {
      return SqliteError(connection_.get(), sql);
    }
    return absl::OkStatus();
  }

  absl::Status Prepare() {
    const std::pair<Statement*, const char*> statements[] = {
        {&begin_, "BEGIN IMMEDIATE"},
        {&commit_, "COMMIT"},
        {&create_session_, "INSERT INTO sessions (id, name, context) VALUES (?, ?, ?)"},
        {&create_operation_,
         "INSERT INTO operations (id, session_id, type, input, plan, status) "
         "VALUES (?, ?, ?, ?, ?, 'pending')"},
        {&next_step_, "SELECT MAX(step_number) as max FROM operation_steps WHERE operation_id = ?"},
        {&add_step_,
         "INSERT INTO operation_steps (id, operation_id, step_number, type, tool_name, input, "
         "status) VALUES (?, ?, ?, ?, ?, ?, 'pending')"},
        {&complete_step_,
         "UPDATE operation_steps SET status = 'completed', output = ?, duration_ms = ? "
         "WHERE id = ?"},
        {&create_checkpoint_,
         "INSERT INTO checkpoints (id, operation_id, step_id, name, state) "
         "VALUES (?, ?, ?, ?, ?)"},
        {&update_operation_,
         "UPDATE operations SET status = ?, output = ?, error = ?, "
         "completed_at = CURRENT_TIMESTAMP WHERE id = ?"}};
    for (const auto& [statement, sql] : statements) {
      NIMBUS_RETURN_IF_ERROR(statement->Prepare(connection_.get(), sql));
    }
    return absl::OkStatus();
  }

  absl::Status CreateSession(const schema::Uuid& session) {
    const std::string id = session.ToString();
    return create_session_.Bind(id).Bind("workload").Bind(R"({"cwd":"/srv/app"})").Run().status();
  }

  absl::Status CreateOperation(const test::WorkloadOperation& operation,
                               const schema::Uuid& session) {
    const std::string id = operation.id.ToString();
    const std::string session_id = session.ToString();
    return create_operation_.Bind(id)
        .Bind(session_id)
        .Bind(operation.type)
        .Bind(operation.input)
        .BindNull()
        .Run()
        .status();
  }

  // Two statements: to be called within a transaction, so that no number is
  // taken twice.
  absl::Status AddStep(const test::WorkloadOperation& operation, const test::WorkloadStep& step) {
    const std::string id = step.id.ToString();
    const std::string operation_id = operation.id.ToString();
    NIMBUS_ASSIGN_OR_RETURN(const int64_t last, next_step_.Bind(operation_id).Run());
    add_step_.Bind(id).Bind(operation_id).Bind(last + 1);
    add_step_.Bind(schema::fb::EnumNameStepType(step.type));
    return (step.tool_name.empty() ? add_step_.BindNull() : add_step_.Bind(step.tool_name))
        .Bind(step.input)
        .Run()
        .status();
  }

  absl::Status CompleteStep(const test::WorkloadStep& step) {
    const std::string id = step.id.ToString();
    return complete_step_.Bind(step.output)
        .Bind(static_cast<int64_t>(step.duration_ms))
        .Bind(id)
        .Run()
        .status();
  }

  absl::Status CreateCheckpoint(const test::WorkloadOperation& operation,
                                const test::WorkloadCheckpoint& checkpoint) {
    const std::string id = checkpoint.id.ToString();
    const std::string operation_id = operation.id.ToString();
    const std::string step_id = operation.steps[checkpoint.step].id.ToString();
    return create_checkpoint_.Bind(id)
        .Bind(operation_id)
        .Bind(step_id)
        .Bind(checkpoint.name)
        .Bind(checkpoint.state)
        .Run()
        .status();
  }

  absl::Status CompleteOperation(const test::WorkloadOperation& operation) {
    const std::string id = operation.id.ToString();
    return update_operation_.Bind("completed")
        .Bind(operation.output)
        .BindNull()
        .Bind(id)
        .Run()
        .status();
  }

  // Runs `calls` in one transaction.
  template <typename Calls>
  absl::Status Within(const Calls& calls) {
    NIMBUS_RETURN_IF_ERROR(begin_.Run().status());
    const absl::Status status = calls();
    if (!status.ok()) {
      NIMBUS_RETURN_IF_ERROR(Execute("ROLLBACK"));
      return status;
    }
    return commit_.Run().status();
  }

 private:
  std::unique_ptr<sqlite3, CloseConnection> connection_;
  Statement begin_, commit_, create_session_, create_operation_, next_step_, add_step_,
      complete_step_, create_checkpoint_, update_operation_;
};

absl::Status Apply(Repository& repository, const test::WorkloadOperation& operation, size_t index,
                   const schema::Uuid& session) {
  using Kind = test::WorkloadPosition::Kind;
  const test::WorkloadPosition position = test::PositionOf(index);
  switch (position.kind) {
    case Kind::kCreate:
      return repository.CreateOperation(operation, session);
    case Kind::kAddStep:
      return repository.AddStep(operation, operation.steps[position.item]);
    case Kind::kCompleteStep:
      return repository.CompleteStep(operation.steps[position.item]);
    case Kind::kCheckpoint:
      return repository.CreateCheckpoint(operation, operation.checkpoints[position.item]);
    case Kind::kComplete:
      break;
  }
  return repository.CompleteOperation(operation);
}

// A single call is a transaction of its own, which SQLite begins where one
// statement is all there is to it.
absl::Status ApplyAll(Repository& repository, const test::WorkloadOperation& operation,
                      size_t begin, size_t end, const schema::Uuid& session) {
  const bool one_statement =
      end - begin == 1 && test::PositionOf(begin).kind != test::WorkloadPosition::Kind::kAddStep;
  if (one_statement) return Apply(repository, operation, begin, session);
  return repository.Within([&] {
    for (size_t index = begin; index < end; ++index) {
      NIMBUS_RETURN_IF_ERROR(Apply(repository, operation, index, session));
    }
    return absl::OkStatus();
  });
}

// With one repository all writers share it under the mutex; with as many as
// writers each has its own and SQLite's busy handler makes them wait.
class SqlitePeer final : public Peer {
 public:
  SqlitePeer(std::vector<std::unique_ptr<Repository>> repositories,
             std::vector<schema::Uuid> sessions)
      : repositories_(std::move(repositories)), sessions_(std::move(sessions)) {}

  absl::Status Append(size_t writer, const test::WorkloadOperation& operation, size_t begin,
                      size_t end) override {
    if (repositories_.size() > 1) {
      return ApplyAll(*repositories_[writer], operation, begin, end, sessions_[writer]);
    }
    const std::lock_guard lock(mutex_);
    return ApplyAll(*repositories_[0], operation, begin, end, sessions_[writer]);
  }

 private:
  std::mutex mutex_;
  const std::vector<std::unique_ptr<Repository>> repositories_;
  const std::vector<schema::Uuid> sessions_;
};

absl::StatusOr<std::unique_ptr<Peer>> OpenSqlite(const PeerSetup& setup, size_t connections) {
  std::vector<std::unique_ptr<Repository>> repositories;
  for (size_t number = 0; number < connections; ++number) {
    repositories.push_back(std::make_unique<Repository>());
    Repository& repository = *repositories.back();
    NIMBUS_RETURN_IF_ERROR(repository.Open(setup.directory + "/history.db", setup.relaxed));
    if (number == 0) NIMBUS_RETURN_IF_ERROR(repository.Execute(kSpecSql));
    NIMBUS_RETURN_IF_ERROR(repository.Prepare());
  }
  for (const schema::Uuid& session : setup.sessions) {
    NIMBUS_RETURN_IF_ERROR(repositories[0]->CreateSession(session));
  }
  return std::make_unique<SqlitePeer>(std::move(repositories), setup.sessions);
}

}  // namespace

absl::StatusOr<std::unique_ptr<Peer>> OpenSqliteShared(const PeerSetup& setup) {
  return OpenSqlite(setup, 1);
}

absl::StatusOr<std::unique_ptr<Peer>> OpenSqliteOwn(const PeerSetup& setup) {
  return OpenSqlite(setup, setup.sessions.size());
}

}  // namespace nimbus::bench
