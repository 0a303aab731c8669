#include "tools/agent/rpc.h"

#include <fmt/format.h>

#include <array>
#include <utility>

#include "nimbus/schema/check.h"

namespace nimbus::tools::agent {

using schema::Json;

namespace {

struct KindInfo {
  ErrorKind kind;
  int code;
  std::string_view name;
};

constexpr auto kKinds = std::to_array<KindInfo>({
    {ErrorKind::kParseError, -32700, "parse_error"},
    {ErrorKind::kInvalidRequest, -32600, "invalid_request"},
    {ErrorKind::kUnknownMethod, -32601, "unknown_method"},
    {ErrorKind::kInvalidParams, -32602, "invalid_params"},
    {ErrorKind::kFailed, -32000, "failed"},
    {ErrorKind::kNotOpen, -32001, "not_open"},
    {ErrorKind::kAlreadyOpen, -32002, "already_open"},
    {ErrorKind::kUnsupportedProtocol, -32003, "unsupported_protocol"},
    {ErrorKind::kDiverged, -32004, "diverged"},
    {ErrorKind::kInDoubt, -32005, "in_doubt"},
    {ErrorKind::kEnded, -32006, "ended"},
    {ErrorKind::kStepNotOpen, -32007, "step_not_open"},
    {ErrorKind::kSuperseded, -32008, "superseded"},
    {ErrorKind::kIncomplete, -32009, "incomplete"},
    {ErrorKind::kExhausted, -32010, "exhausted"},
    {ErrorKind::kStorage, -32011, "storage"},
    {ErrorKind::kStepsOpen, -32012, "steps_open"},
});

const KindInfo& InfoOf(ErrorKind kind) {
  const KindInfo& info = kKinds[static_cast<size_t>(kind)];
  NIMBUS_CHECK(info.kind == kind);
  return info;
}

Request Refuse(Json id, ErrorKind kind, std::string message) {
  Request request;
  request.id = std::move(id);
  request.error = RpcError{.kind = kind, .message = std::move(message)};
  return request;
}

Json Reply(const Json& id, std::string_view member, Json value) {
  return Json::MakeObject(
      {{"jsonrpc", Json::String("2.0")}, {"id", id}, {std::string(member), std::move(value)}});
}

}  // namespace

int CodeOf(ErrorKind kind) { return InfoOf(kind).code; }
std::string_view NameOf(ErrorKind kind) { return InfoOf(kind).name; }

Request ParseRequest(std::string_view line) {
  absl::StatusOr<Json> parsed = Json::Parse(line, {.bytes_max = kLineBytesMax});
  if (!parsed.ok()) {
    return Refuse({}, ErrorKind::kParseError,
                  "the line is no JSON: " + std::string(parsed.status().message()));
  }
  if (parsed->IsArray()) {
    return Refuse({}, ErrorKind::kInvalidRequest, "no batches: a line for each request");
  }
  if (!parsed->IsObject()) {
    return Refuse({}, ErrorKind::kInvalidRequest, "a request is an object");
  }
  const Json* given_id = parsed->Find("id");
  if (given_id != nullptr && !given_id->IsString() && !given_id->IsNumber()) {
    return Refuse({}, ErrorKind::kInvalidRequest, "id: neither a string nor a number");
  }
  Json id = given_id != nullptr ? *given_id : Json();
  const auto refuse = [&](std::string message) {
    return Refuse(std::move(id), ErrorKind::kInvalidRequest, std::move(message));
  };
  if (parsed->StringOr("jsonrpc") != "2.0") return refuse("jsonrpc: not \"2.0\"");
  const Json* method = parsed->Find("method");
  if (method == nullptr || !method->IsString()) return refuse("method: no string");
  for (const auto& [key, value] : parsed->object()) {
    if (key == "jsonrpc" || key == "id" || key == "method" || key == "params") continue;
    return refuse(fmt::format("'{}': no member of a request", key));
  }
  Request request;
  request.notification = given_id == nullptr;
  request.method = method->string();
  Json* params = parsed->Find("params");
  if (params != nullptr && !params->IsObject()) return refuse("params: no object");
  request.params = params != nullptr ? std::move(*params) : Json::MakeObject();
  request.id = std::move(id);
  return request;
}

std::string ResultReply(const Json& id, Json result) {
  return Reply(id, "result", std::move(result)).Dump();
}

std::string ErrorReply(const Json& id, const RpcError& error) {
  Json data = Json::MakeObject({{"kind", Json::String(std::string(NameOf(error.kind)))}});
  for (const auto& [key, value] : error.data.object()) data.Set(key, value);
  return Reply(id, "error",
               Json::MakeObject({{"code", Json::Int(CodeOf(error.kind))},
                                 {"message", Json::String(error.message)},
                                 {"data", std::move(data)}}))
      .Dump();
}

}  // namespace nimbus::tools::agent
