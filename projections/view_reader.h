// A read-only connection to the live views with the statements of one reader, opened
// when first needed and again when another generation goes live. Reader has
//   kName, kSchemaVersion                                    whose tables it reads
//   static StatusOr<Reader> Create(sqlite::Connection*);     prepares its statements
//
// Thread-safe: queries take turns, and never block the projector.
#pragma once

#include <optional>
#include <type_traits>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "nimbus/schema/status.h"
#include "views.h"

namespace nimbus::projections {

template <typename Reader>
class ViewReader {
 public:
  explicit ViewReader(Views* views) : views_(views) {}

  // Runs `query` on the reader, once more if SQLite failed: the tables may have been
  // migrated or replaced since the statements were prepared. FailedPrecondition when
  // the tables do not exist (migrated down).
  template <typename Query>
  std::invoke_result_t<Query, Reader&> With(Query query) ABSL_LOCKS_EXCLUDED(mu_) {
    absl::MutexLock lock(&mu_);
    for (bool again = true;; again = false) {
      NIMBUS_RETURN_IF_ERROR(Refresh());
      auto result = query(open_->reader);
      if (result.ok() || !sqlite::IsSqliteError(result.status())) return result;
      open_.reset();
      if (!again) return result;
    }
  }

 private:
  struct Open {
    ReadConnection connection;
    Reader reader;  // of `connection`, which it goes before
  };

  absl::Status Refresh() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    if (open_) {
      NIMBUS_ASSIGN_OR_RETURN(const bool is_live, views_->IsLive(open_->connection.files));
      if (is_live) return absl::OkStatus();
      open_.reset();
    }
    NIMBUS_ASSIGN_OR_RETURN(ReadConnection connection, views_->OpenReader());
    NIMBUS_ASSIGN_OR_RETURN(const int version, views_->VersionOf(&connection.database));
    if (version < Reader::kSchemaVersion) {
      return schema::Error(absl::StatusCode::kFailedPrecondition,
                           "the views are at schema version {}, {} needs {}: migrate them up",
                           version, Reader::kName, Reader::kSchemaVersion);
    }
    NIMBUS_ASSIGN_OR_RETURN(Reader reader, Reader::Create(&connection.database));
    open_.emplace(Open{std::move(connection), std::move(reader)});
    return absl::OkStatus();
  }

  Views* const views_;
  absl::Mutex mu_;
  std::optional<Open> open_ ABSL_GUARDED_BY(mu_);
};

}  // namespace nimbus::projections
