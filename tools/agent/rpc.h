// JSON-RPC 2.0 as docs/protocol.md narrows it: reading a request, writing a reply.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "nimbus/schema/json.h"

namespace nimbus::tools::agent {

inline constexpr size_t kLineBytesMax = 64u << 20;  // its line feed included

enum class ErrorKind : uint8_t {
  kParseError,
  kInvalidRequest,
  kUnknownMethod,
  kInvalidParams,
  kFailed,
  kNotOpen,
  kAlreadyOpen,
  kUnsupportedProtocol,
  kDiverged,
  kInDoubt,
  kEnded,
  kStepNotOpen,
  kSuperseded,
  kIncomplete,
  kExhausted,
  kStorage,
  kStepsOpen,
};

// As the protocol writes them: -32005, "in_doubt".
int CodeOf(ErrorKind kind);
std::string_view NameOf(ErrorKind kind);

struct RpcError {
  ErrorKind kind = ErrorKind::kFailed;
  std::string message;
  schema::Json data = schema::Json::MakeObject();  // beside the kind
};

struct Request {
  schema::Json id;            // null where it can't be told, and of a notification
  bool notification = false;  // neither executed nor answered
  std::string method;
  schema::Json params;            // an object
  std::optional<RpcError> error;  // why the line is no request
};

Request ParseRequest(std::string_view line);

// One line each, without its line feed.
std::string ResultReply(const schema::Json& id, schema::Json result);
std::string ErrorReply(const schema::Json& id, const RpcError& error);

}  // namespace nimbus::tools::agent
