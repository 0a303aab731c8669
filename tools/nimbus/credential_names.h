// Credentials and their profiles as the command line names and shows them.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "nimbus/projections/database.h"
#include "nimbus/schema/json.h"
#include "tools/cli/command_line.h"

namespace nimbus::tools {

// The credential of that name, else the one whose id begins so. NotFound suggests the
// nearest name.
absl::StatusOr<projections::Credential> SelectCredential(projections::Database* database,
                                                         const std::string& text);

// NotFound: there is no such profile; suggests the nearest name.
absl::Status NoCredentialProfile(projections::Database* database, std::string_view name);

// What became of a command: "stored credential 'deploy' (its id)", or the same as JSON.
absl::StatusOr<int> ReportWritten(const cli::CommandLine& line,
                                  const absl::StatusOr<projections::Written>& written,
                                  const std::string& done, const std::string& name);

// Without the sealed text.
schema::Json ToJson(const projections::Credential& credential);
schema::Json ToJson(const projections::CredentialProfile& profile);

}  // namespace nimbus::tools
