// What --redact-env and --redact-from keep out of the journal.
#include "tools/agent/secrets.h"

#include <sodium.h>

#include <algorithm>

#include "nimbus/journal/reader.h"
#include "testing/random.h"
#include "tools/agent/fixture.h"

namespace nimbus::tools {
namespace {

using agent::kRedacted;
using agent::kSecretBytesMax;
using agent::kSecretBytesMin;
using agent::kSecretsMax;
using agent::Secrets;
using schema::Json;
using test::Finished;
using test::IsOk;
using test::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

std::string Redacted(const std::vector<std::string>& secrets, std::string text) {
  Secrets known;
  for (const std::string& secret : secrets) EXPECT_THAT(known.Add(secret, "one"), IsOk());
  known.Redaction()(&text);
  return text;
}

std::string Base64(std::string_view bytes, int variant) {
  std::string text(sodium_base64_ENCODED_LEN(bytes.size(), variant), '\0');
  sodium_bin2base64(text.data(), text.size(), reinterpret_cast<const unsigned char*>(bytes.data()),
                    bytes.size(), variant);
  text.pop_back();
  return text;
}

TEST(SecretsTest, AreReplacedWhereTheyOccur) {
  EXPECT_EQ(Redacted({"hunter2!"}, "a hunter2! b hunter2!"), "a [redacted] b [redacted]");
  EXPECT_EQ(Redacted({"hunter2!"}, "hunter2"), "hunter2");
  EXPECT_EQ(Redacted({"hunter2!"}, ""), "");
  EXPECT_EQ(Redacted({"pässwörter"}, "<pässwörter>"), "<[redacted]>");
  EXPECT_EQ(Secrets().Redaction(), nullptr);
}

TEST(SecretsTest, LeaveNothingWhereTheyOverlap) {
  EXPECT_EQ(Redacted({"12345678", "123456789abc"}, "x123456789abcy"), "x[redacted]y");
  EXPECT_EQ(Redacted({"abcdefgh", "efghijkl"}, "-abcdefghijkl-"), "-[redacted]-");
  EXPECT_EQ(Redacted({"abababab"}, "abababababa"), "[redacted]a");
}

TEST(SecretsTest, AreFoundInJsonInsideOfAText) {
  const std::string secret = "say \"cheese\"\n";
  std::string quoted;
  schema::AppendJsonString(secret, &quoted);
  EXPECT_EQ(Redacted({secret}, "{\"key\":" + quoted + "}"), R"({"key":"[redacted]"})");
}

TEST(SecretsTest, AreFoundInBase64WhateverIsAroundThem) {
  const std::string secret = "s3cr3t?>~s3cr3t?>~";
  for (const int variant : {sodium_base64_VARIANT_ORIGINAL, sodium_base64_VARIANT_URLSAFE}) {
    for (const std::string before : {"", "u", "us", "user:", "user2:"}) {
      for (const std::string after : {"", "x", "xy", "xyz"}) {
        const std::string text = Base64(before + secret + after, variant);
        const std::string redacted = Redacted({secret}, text);
        EXPECT_THAT(redacted, HasSubstr(kRedacted)) << text;
        // What stays tells at most the bits of a digit on either side.
        const size_t around = (before.size() * 4 + 2) / 3 + (after.size() * 4 + 2) / 3 + 4;
        EXPECT_LE(redacted.size(), sizeof(kRedacted) + around) << redacted;
      }
    }
  }
}

// As many as there may be, that begin and overlap alike, against looking for one after the
// other.
TEST(SecretsTest, AreFoundAsIfEachWereLookedForByItself) {
  test::SeededRandom random;
  const auto text_of = [&](size_t size) {
    std::string text;
    while (text.size() < size) text += "ab"[random.Below(2)];
    return text;
  };
  for (int round = 0; round < 50; ++round) {
    std::vector<std::string> secrets;
    for (size_t i = random.Below(20); i < 20; ++i) {
      secrets.push_back(text_of(kSecretBytesMin + random.Below(6)));
    }
    const std::string text = text_of(random.Below(400));
    std::vector<bool> hidden(text.size());
    for (const std::string& secret : secrets) {
      for (size_t at = text.find(secret); at != std::string::npos; at = text.find(secret, at + 1)) {
        std::fill_n(hidden.begin() + static_cast<std::ptrdiff_t>(at), secret.size(), true);
      }
    }
    std::string expected;
    for (size_t at = 0; at < text.size(); ++at) {
      if (!hidden[at]) expected += text[at];
      if (hidden[at] && (at == 0 || !hidden[at - 1])) expected += kRedacted;
    }
    EXPECT_EQ(Redacted(secrets, text), expected) << "seed " << random.seed();
  }
}

TEST(SecretsTest, AreLeftAloneOnceRedacted) {
  const std::string once = Redacted({"12345678", "redaction"}, "12345678 and 12345678redaction");
  EXPECT_EQ(once, "[redacted] and [redacted]");
  EXPECT_EQ(Redacted({"12345678", "redaction"}, once), once);
}

TEST(SecretsTest, AreRefusedWithoutBeingTold) {
  Secrets secrets;
  for (const std::string& secret :
       {std::string("hunter2"), std::string(), std::string(kSecretBytesMax + 1, 'x'),
        std::string("\xff\xfe not UTF-8"), std::string("redacted"), std::string("ed][reda")}) {
    const absl::Status refused = secrets.Add(secret, "TOKEN");
    EXPECT_THAT(refused, StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("TOKEN")));
    if (secret.empty() || secret == "redacted") continue;
    EXPECT_THAT(std::string(refused.message()), Not(HasSubstr(secret)));
  }
  EXPECT_EQ(secrets.Redaction(), nullptr);
}

TEST(SecretsTest, HaveLimits) {
  Secrets secrets;
  EXPECT_THAT(secrets.Add(std::string(kSecretBytesMin, 'x'), "shortest"), IsOk());
  EXPECT_THAT(secrets.Add(std::string(kSecretBytesMax, 'x'), "longest"), IsOk());
  for (size_t i = 2; i < kSecretsMax; ++i) {
    EXPECT_THAT(secrets.Add(fmt::format("secret {:04}", i), "more"), IsOk());
  }
  EXPECT_THAT(secrets.Add("one too many", "last"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("last: more than 256")));
}

constexpr char kSecret[] = "s3cr3t/~\"tok€n\"";
constexpr char kNumber[] = "4911223344556677";

// Has the secrets from its environment.
const std::string kKnowing = std::string(kPythonCalls) + R"py(
import base64
s, n = os.environ["TOKEN"], int(os.environ["NUMBER"])
)py";

// Calls everything with the secrets in everything.
const std::string kLeak = kKnowing + R"py(
p = s.replace("~", "~0").replace("/", "~1")
text = "Bearer " + s + " " + str(n)
call("open", protocol=1, type="type " + s, name="called " + s, input={s: [text, n, {s: s}]},
     state={"list": [], s: {"n": n}}, client=s)
call("step.begin", type="tool_call", tool="bash", input={"command": "curl -u me:" + s, s: n})
call("step.end", number=1, output={"header": json.dumps({"auth": text}, ensure_ascii=False),
     "basic": base64.b64encode(("me:" + s).encode()).decode()},
     patch=[{"op": "add", "path": "/" + p + "/" + p, "value": text},
            {"op": "add", "path": "/list/-", "value": {s: n}},
            {"op": "copy", "from": "/" + p, "path": "/again " + p}])
call("step.begin", type="llm_call", tool=s, input=text)
call("step.attempt_failed", number=2, error="no: " + text)
call("step.begin_attempt", number=2)
call("step.end", number=2, error="no: " + text, state={"a": {s: {s: [s]}}, "n": n, "e": "%d.5" % n})
print(json.dumps(call("value", name="v " + s, value={s: n})))
call("checkpoint", name="at " + s)
call("step.begin", type="tool_call", tool="bash", input={})
call("step.end", number=3, output=s)
print(json.dumps(call("state")))
call("complete", output={"said": text})
)py";

class RedactionTest : public AgentTest {
 protected:
  std::vector<std::string> Leak(const std::string& script = kLeak) const {
    return {
        "--", "env", fmt::format("TOKEN={}", kSecret), fmt::format("NUMBER={}", kNumber), "python3",
        "-c", script};
  }

  std::vector<std::string> Redacting() const {
    return {"--redact-from", File("secrets", fmt::format("{}\r\n\n{}", kSecret, kNumber))};
  }

  // All that the journal holds, as it was before it was compressed.
  std::string JournalBytes() const {
    std::string bytes;
    const auto journal =
        journal::Journal::Open(Path("store"), {.create = false, .read_only = true});
    EXPECT_THAT(journal, IsOk());
    if (!journal.ok()) return bytes;
    journal::Reader reader(**journal);
    for (;;) {
      const auto view = reader.Next();
      EXPECT_THAT(view, IsOk());
      if (!view.ok() || *view == nullptr) return bytes;
      bytes.append(reinterpret_cast<const char*>((*view)->bytes.data()), (*view)->bytes.size());
      const auto body = reader.Body(**view);
      EXPECT_THAT(body, IsOk());
      if (!body.ok() || *body == nullptr) continue;
      const std::unique_ptr<schema::fb::BodyT> unpacked((*body)->UnPack());
      flatbuffers::FlatBufferBuilder builder;
      builder.Finish(schema::fb::Body::Pack(builder, unpacked.get()));
      bytes.append(reinterpret_cast<const char*>(builder.GetBufferPointer()), builder.GetSize());
    }
  }

  static void ExpectNoSecret(const std::string& text) {
    for (const std::string& form : {std::string("s3cr3t"), std::string("tok€n"),
                                    std::string("tok\\u20acn"), std::string(kNumber)}) {
      EXPECT_THAT(text, Not(HasSubstr(form)));
    }
    const std::string basic = Base64(fmt::format("me:{}", kSecret), sodium_base64_VARIANT_ORIGINAL);
    EXPECT_THAT(text, Not(HasSubstr(basic.substr(8, 8))));
  }
};

TEST_F(RedactionTest, NothingOfASecretReachesTheJournal) {
  ASSERT_THAT(RunAgent(Joined({NIMBUS_PROGRAM, "record"}, Leak())).exit_code, 0);
  ASSERT_THAT(JournalBytes(), AllOf(HasSubstr("s3cr3t"), HasSubstr(kNumber)))
      << "the program does not leak what it should";
  ASSERT_EQ(Nimbus({"--store", Path("clean"), "init"}).exit_code, 0);
  std::filesystem::rename(Path("store"), Path("leaked"));
  std::filesystem::rename(Path("clean"), Path("store"));

  const Finished run = Record(Joined(Redacting(), Leak()));
  EXPECT_EQ(run.exit_code, 0) << run.out << run.err;
  EXPECT_THAT(run.out, Not(HasSubstr("patch operation")));
  ExpectNoSecret(JournalBytes());
  ExpectNoSecret(run.err);
  ExpectNoSecret(run.out);  // the state, as it was journaled
  ExpectNoSecret(Replay({"export", "@"}).out);
  EXPECT_EQ(Replay({"run", "@", "--strict"}).exit_code, 0);

  // What is executed again is redacted before it is compared.
  const Finished again = Execute(Joined(Joined({"@"}, Redacting()), Leak()));
  EXPECT_EQ(again.exit_code, 0) << again.out << again.err;
  const Finished without = Execute(Joined({"@"}, Leak()));
  EXPECT_EQ(without.exit_code, 1) << "it does not say what it is to look for";
}

TEST_F(RedactionTest, AnOperationIsGoneOnWithLikewise) {
  const std::string first = R"py(
call("open", protocol=1, type="t", input={"key": s})
print(json.dumps(call("step.begin", type="tool_call", input={"key": s})))
)py";
  const Finished left = Record(Joined(Redacting(), Leak(kKnowing + first)));
  EXPECT_EQ(left.exit_code, 2);
  ExpectNoSecret(left.err);
  EXPECT_THAT(left.err, HasSubstr(" --redact-from ")) << "so that it is gone on with like this";
  const std::string rest = R"py(
call("step.run_again", number=1)
print(json.dumps(call("step.begin", type="tool_call", input={"key": s})))
call("step.end", number=1, output=s)
call("complete")
)py";
  const Finished done =
      Record(Joined(Joined({"--operation", "@"}, Redacting()), Leak(kKnowing + first + rest)));
  EXPECT_EQ(done.exit_code, 0) << done.out << done.err;
  ExpectNoSecret(JournalBytes());
}

TEST_F(RedactionTest, TakesSecretsFromTheEnvironment) {
  test::ProgramOptions options =
      AgentOptions({NIMBUS_PROGRAM, "record", "--redact-env", "TOKEN", "--redact-env", "NUMBER",
                    "--", "python3", "-c", kLeak});
  options.environment.push_back(fmt::format("TOKEN={}", kSecret));
  options.environment.push_back(fmt::format("NUMBER={}", kNumber));
  NIMBUS_ASSERT_OK_AND_ASSIGN(const Finished run, test::RunProgram(options));
  EXPECT_EQ(run.exit_code, 0) << run.err;
  ExpectNoSecret(JournalBytes());
}

TEST_F(RedactionTest, SaysWhatIsWrongWithASecretAndNotWhichItIs) {
  struct Case {
    std::vector<std::string> arguments;
    int exit_code;
    std::string message;
  };
  File("short", "long enough\nhunter2\n");
  for (const Case& c : std::vector<Case>{
           {{"--redact-env", "NO_SUCH_VARIABLE"}, 66, "no variable NO_SUCH_VARIABLE"},
           {{"--redact-from", "absent"}, 66, "absent: No such file"},
           {{"--redact-from", "short"}, 65, "short, line 2: a secret has 8 to 65536 bytes"}}) {
    const Finished run = Record(Joined(c.arguments, {"--", "touch", "ran"}));
    EXPECT_EQ(run.exit_code, c.exit_code) << run.err;
    EXPECT_THAT(run.err, AllOf(HasSubstr(c.message), Not(HasSubstr("hunter2"))));
  }
  EXPECT_FALSE(std::filesystem::exists(Path("ran"))) << "nothing runs that might leak";
}

}  // namespace
}  // namespace nimbus::tools
