// Others' suites: JSONTestSuite for reading, json-canonicalization for writing.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <vector>

#include "nimbus/schema/json.h"
#include "testing/files.h"
#include "testing/status_matchers.h"

namespace nimbus::schema {
namespace {

using test::IsOk;
using test::ReadFile;

std::vector<std::filesystem::path> Files(const std::filesystem::path& directory) {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    if (entry.is_regular_file()) files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

// What the suite leaves to the implementation, and we accept: numbers beyond
// double's range, whose digits are kept, and depth within our limit.
const std::set<std::string> kAcceptedByChoice = {
    "i_number_double_huge_neg_exp.json",  "i_number_huge_exp.json",
    "i_number_neg_int_huge_exp.json",     "i_number_pos_double_huge_exp.json",
    "i_number_real_neg_overflow.json",    "i_number_real_pos_overflow.json",
    "i_number_real_underflow.json",       "i_number_too_big_neg_int.json",
    "i_number_too_big_pos_int.json",      "i_number_very_big_negative_int.json",
    "i_structure_500_nested_arrays.json",
};

TEST(JsonTestSuite, AcceptsAndRefusesWhatItShould) {
  NIMBUS_SHARED_OR_SKIP(directory, "suites/JSONTestSuite/test_parsing");
  std::set<std::string> accepted_by_choice;
  const std::vector<std::filesystem::path> files = Files(directory);
  EXPECT_GE(files.size(), 300u);
  for (const auto& file : files) {
    const std::string name = file.filename().string();
    const std::optional<std::string> text = ReadFile(file);
    ASSERT_TRUE(text.has_value()) << name;
    const absl::StatusOr<Json> value = Json::Parse(*text);
    EXPECT_EQ(ValidateJson(*text), value.status()) << name;
    if (name[0] != 'i') {
      EXPECT_EQ(value.ok(), name[0] == 'y') << name << ": " << value.status();
    }
    if (name[0] == 'i' && value.ok()) accepted_by_choice.insert(name);
    if (!value.ok()) continue;
    const absl::StatusOr<Json> again = Json::Parse(value->Dump());
    ASSERT_THAT(again, IsOk()) << name;
    EXPECT_EQ(*again, *value) << name;
    EXPECT_EQ(CanonicalJson(*again), CanonicalJson(*value)) << name;
  }
  EXPECT_EQ(accepted_by_choice, kAcceptedByChoice);
}

TEST(JsonTestSuite, KeepsDigitsWhereOthersRound) {
  NIMBUS_SHARED_OR_SKIP(directory, "suites/JSONTestSuite/test_transform");
  for (const auto& file : Files(directory)) {
    const std::string name = file.filename().string();
    if (!name.starts_with("number_")) continue;
    const std::string text = ReadFile(file).value();
    const absl::StatusOr<Json> value = Json::Parse(text);
    ASSERT_THAT(value, IsOk()) << name;
    EXPECT_EQ(value->Dump(), text.substr(0, text.find(']') + 1)) << name;
  }
}

// The one number of the suite that is no double's shortest form: RFC 8785 rounds it.
std::string WithExactNumbers(std::string expected) {
  const std::string rounded = "333333333.3333333,";
  if (const size_t at = expected.find(rounded); at != std::string::npos) {
    expected.replace(at, rounded.size(), "333333333.33333329,");
  }
  return expected;
}

TEST(JsonCanonicalization, WritesTheSuitesBytes) {
  NIMBUS_SHARED_OR_SKIP(directory, "suites/json-canonicalization/testdata");
  const auto inputs = Files(directory / "input");
  EXPECT_GE(inputs.size(), 6u);
  for (const auto& input : inputs) {
    const absl::StatusOr<Json> value = Json::Parse(ReadFile(input).value());
    ASSERT_THAT(value, IsOk()) << input;
    const std::string expected =
        WithExactNumbers(ReadFile(directory / "output" / input.filename()).value());
    EXPECT_EQ(CanonicalJson(*value), expected) << input;
    const absl::StatusOr<Json> again = Json::Parse(expected);
    ASSERT_THAT(again, IsOk());
    EXPECT_EQ(*again, *value);
  }
}

TEST(JsonCanonicalization, WritesDoublesAsEcmaScriptDoes) {
  NIMBUS_SHARED_OR_SKIP(file, "suites/json-canonicalization/testdata/es6testfile100k.txt");
  std::ifstream lines(file);
  size_t count = 0;
  for (std::string line; std::getline(lines, line); ++count) {
    const size_t comma = line.find(',');
    ASSERT_NE(comma, std::string::npos) << line;
    uint64_t bits = 0;
    std::from_chars(line.data(), line.data() + comma, bits, 16);
    const auto value = std::bit_cast<double>(bits);
    const std::string expected = line.substr(comma + 1);
    ASSERT_EQ(CanonicalJson(Json::Double(value)), expected) << line;
    ASSERT_EQ(CanonicalJson(Json::Number(expected)), expected) << line;
    ASSERT_EQ(Json::Number(expected).AsDouble(), value) << line;
  }
  EXPECT_EQ(count, 100'000u);
}

}  // namespace
}  // namespace nimbus::schema
