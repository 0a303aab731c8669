#include "tools/agent/rpc.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace nimbus::tools::agent {
namespace {

using schema::Json;
using ::testing::HasSubstr;

// The kind of error of a line, and the id it is answered with.
std::pair<std::string, std::string> Refused(std::string_view line) {
  const Request request = ParseRequest(line);
  if (!request.error.has_value()) return {"accepted", ""};
  return {std::string(NameOf(request.error->kind)), request.id.Dump()};
}

TEST(RpcTest, ReadsARequest) {
  const Request request =
      ParseRequest(R"({"jsonrpc":"2.0","id":7,"method":"step.end","params":{"number":1}})");
  ASSERT_FALSE(request.error.has_value()) << request.error->message;
  EXPECT_EQ(request.method, "step.end");
  EXPECT_EQ(request.params.Dump(), R"({"number":1})");
  EXPECT_EQ(request.id.Dump(), "7");
  EXPECT_FALSE(request.notification);
}

TEST(RpcTest, TakesParamsForEmptyWhenLeftOut) {
  EXPECT_EQ(ParseRequest(R"({"jsonrpc":"2.0","id":"a","method":"now"})").params.Dump(), "{}");
}

TEST(RpcTest, GivesIdsBackAsTheyWereWritten) {
  for (const std::string id : {"1", "1.50", "-0", "12345678901234567890123", "\"\"", "\"é\""}) {
    const Request request = ParseRequest(R"({"jsonrpc":"2.0","method":"now","id":)" + id + "}");
    EXPECT_FALSE(request.error.has_value());
    EXPECT_THAT(ResultReply(request.id, Json::Int(1)), HasSubstr("\"id\":" + id + ","));
  }
}

TEST(RpcTest, TellsANotificationFromARequestWithoutAnId) {
  EXPECT_TRUE(ParseRequest(R"({"jsonrpc":"2.0","method":"now"})").notification);
  EXPECT_EQ(Refused(R"({"jsonrpc":"2.0","method":"now","id":null})").first, "invalid_request");
}

TEST(RpcTest, RefusesWhatIsNoJson) {
  const std::pair<std::string, std::string> parse_error{"parse_error", "null"};
  for (const std::string_view line :
       {"", " ", "{", R"({"jsonrpc":"2.0","id":1,"method":"now")", "nul", "{}{}", "\xff",
        "{\"id\":\"\xc3\x28\"}", R"({"id":"\ud800"})", "{'id':1}", R"({"id":01})"}) {
    EXPECT_EQ(Refused(line), parse_error) << line;
  }
  EXPECT_EQ(Refused(std::string_view("{\"id\":\0}", 8)), parse_error);
  EXPECT_EQ(Refused(std::string(513, '[') + std::string(513, ']')), parse_error);
}

TEST(RpcTest, RefusesWhatIsNoRequest) {
  const std::pair<std::string, std::string> unknown{"invalid_request", "null"};
  for (const std::string_view line :
       {"1", "null", "\"now\"", "[]", R"([{"jsonrpc":"2.0","id":1,"method":"now"}])",
        R"({"jsonrpc":"2.0","id":true,"method":"now"})",
        R"({"jsonrpc":"2.0","id":{},"method":"now"})",
        R"({"jsonrpc":"2.0","id":[1],"method":"now"})"}) {
    EXPECT_EQ(Refused(line), unknown) << line;
  }
  const std::pair<std::string, std::string> known{"invalid_request", "1"};
  for (const std::string_view line :
       {R"({"id":1,"method":"now"})", R"({"jsonrpc":"1.0","id":1,"method":"now"})",
        R"({"jsonrpc":2.0,"id":1,"method":"now"})", R"({"jsonrpc":"2.0","id":1})",
        R"({"jsonrpc":"2.0","id":1,"method":7})",
        R"({"jsonrpc":"2.0","id":1,"method":"now","params":[1]})",
        R"({"jsonrpc":"2.0","id":1,"method":"now","params":null})",
        R"({"jsonrpc":"2.0","id":1,"method":"now","parms":{}})",
        R"({"jsonrpc":"2.0","id":1,"result":{}})"}) {
    EXPECT_EQ(Refused(line), known) << line;
  }
}

TEST(RpcTest, WritesRepliesOnOneLine) {
  const std::string reply =
      ErrorReply(Json::String("a\nb"), {.kind = ErrorKind::kInDoubt,
                                        .message = "line\nfeed",
                                        .data = Json::MakeObject({{"step", Json::Int(3)}})});
  EXPECT_EQ(reply.find('\n'), std::string::npos);
  EXPECT_EQ(reply, R"({"jsonrpc":"2.0","id":"a\nb","error":{"code":-32005,"message":"line\nfeed",)"
                   R"("data":{"kind":"in_doubt","step":3}}})");
}

}  // namespace
}  // namespace nimbus::tools::agent
