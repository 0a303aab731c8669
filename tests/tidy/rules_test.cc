// Each rule finds what it is for, and nothing else.
#include "tidy/rules.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace nimbus::tidy {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

auto ProblemAt(size_t line, const std::string& what) {
  return AllOf(Field(&Problem::line, line), Field(&Problem::what, HasSubstr(what)));
}

std::string Repeat(const std::string& text, size_t times) {
  std::string result;
  for (size_t i = 0; i < times; ++i) result += text;
  return result;
}

TEST(BlankCommentsAndLiterals, LeavesOnlyCode) {
  EXPECT_EQ(BlankCommentsAndLiterals("a; // b\nc /* d\n e */ f"), "a;     \nc     \n      f");
  EXPECT_EQ(BlankCommentsAndLiterals(R"(f("x\"y", 'c', '\''))"), R"(f(      ,    ,     ))");
  EXPECT_EQ(BlankCommentsAndLiterals("R\"x(a)\" )x\" + 1'000 + b"), "            + 1'000 + b");
  EXPECT_EQ(BlankCommentsAndLiterals("\"unfinished\nnext"), "           \nnext");
}

TEST(FindFunctions, FindsThemInNamespacesAndClasses) {
  const std::string code =
      "#define X(a) \\\n  { a }\n"
      "namespace a {\n"
      "struct S {\n  int f() const { return int{1}; }\n  int x = 0;\n};\n"
      "constexpr int kTable[] = {1, 2};\n"
      "template <typename T>\nvoid g(T t) {\n  if (t) { h(); }\n}\n"
      "TEST(A, B) {\n}\n"
      "}\n";
  const std::vector<Function> functions = FindFunctions(code);
  ASSERT_EQ(functions.size(), 3u);
  EXPECT_EQ(functions[0].head, "int f() const ");
  EXPECT_EQ(functions[1].head, "template <typename T>\nvoid g(T t) ");
  EXPECT_EQ(LineAt(code, functions[1].begin), 9u);
  EXPECT_EQ(LineAt(code, functions[1].end - 1), 12u);
  EXPECT_EQ(functions[2].head, "TEST(A, B) ");
}

TEST(FindFunctions, AreNotMistakenAboutInitialisers) {
  const std::string code =
      "void f(const Options& options = {}) {\n}\n"
      "C::C(int a) : a_{a}, b_(2), c_{std::vector<int>{}} {\n}\n"
      "int g() { return 1; }\n";
  const std::vector<Function> functions = FindFunctions(code);
  ASSERT_EQ(functions.size(), 3u);
  EXPECT_EQ(LineAt(code, functions[0].end), 2u);
  EXPECT_EQ(LineAt(code, functions[1].begin), 3u);
  EXPECT_EQ(LineAt(code, functions[1].end), 4u);
  EXPECT_EQ(functions[2].head, "int g() ");
}

TEST(CheckLengths, HasLimits) {
  EXPECT_THAT(CheckLengths(MakeSource("a.cc", std::string(kLineLengthMax, 'x'))), IsEmpty());
  EXPECT_THAT(CheckLengths(MakeSource("a.cc", "\n" + std::string(kLineLengthMax + 1, 'x'))),
              ElementsAre(ProblemAt(2, "101 characters")));
  EXPECT_THAT(CheckLengths(MakeSource("a.cc", "// " + Repeat("é", 97))), IsEmpty());
  EXPECT_THAT(CheckLengths(MakeSource("a.sql", std::string(200, 'x'))), IsEmpty());
  EXPECT_THAT(CheckLengths(MakeSource("a.h", Repeat("\n", kFileLinesMax))), IsEmpty());
  EXPECT_THAT(CheckLengths(MakeSource("a.h", Repeat("\n", kFileLinesMax + 1))),
              ElementsAre(ProblemAt(601, "split the file")));
}

TEST(CheckLengths, MeasuresFunctions) {
  const std::string at_limit = "void f() {\n" + Repeat("  g();\n", 68) + "}\n";
  const std::string above = "\nvoid f() {\n" + Repeat("  g();\n", 69) + "}\n";
  EXPECT_THAT(CheckLengths(MakeSource("a.cc", at_limit)), IsEmpty());
  EXPECT_THAT(CheckLengths(MakeSource("a.cc", above)),
              ElementsAre(ProblemAt(2, "a function of 71 lines")));
}

TEST(CheckBannedNames, NamesTheReplacement) {
  EXPECT_THAT(CheckBannedNames(MakeSource("tools/a.cc", "int x = std::stoi(text);\n")),
              ElementsAre(ProblemAt(1, "from_chars")));
  EXPECT_THAT(CheckBannedNames(MakeSource("tools/a.cc", "// std::stoi throws\nmy_atoi(\"atoi\");")),
              IsEmpty());
  EXPECT_THAT(CheckBannedNames(MakeSource("tests/a.cc", "int x = std::stoi(text);\n")), IsEmpty());
  EXPECT_THAT(CheckBannedNames(MakeSource("tests/a.cc", "auto j = nlohmann::json::parse(text);")),
              ElementsAre(ProblemAt(1, "Json::Parse")));
  EXPECT_THAT(CheckBannedNames(MakeSource("a.cc", "static_assert(true); assert(x);")),
              ElementsAre(ProblemAt(1, "NIMBUS_CHECK")));
  EXPECT_THAT(CheckBannedNames(MakeSource("a.cc", std::string("\n// TO") + "DO: more")),
              ElementsAre(ProblemAt(2, "left over")));
}

TEST(CheckBannedNames, AreFewerOutsideLibraries) {
  const std::string sleeps = "std::this_thread::sleep_for(1ms);";
  EXPECT_THAT(CheckBannedNames(MakeSource("journal/a.cc", sleeps)),
              ElementsAre(ProblemAt(1, "wait on the event")));
  EXPECT_THAT(CheckBannedNames(MakeSource("tests/journal/a.cc", sleeps)), IsEmpty());
  EXPECT_THAT(CheckBannedNames(MakeSource("replay/a.cc", "std::cout << x;")),
              ElementsAre(ProblemAt(1, "silent")));
  EXPECT_THAT(CheckBannedNames(MakeSource("tools/a.cc", "std::cout << x;")), IsEmpty());
}

TEST(CheckDroppedResults, FindsCallsOnly) {
  EXPECT_THAT(CheckDroppedResults(MakeSource("a.cc", "\n(void)journal->Append(event);")),
              ElementsAre(ProblemAt(2, "dropped")));
  EXPECT_THAT(CheckDroppedResults(MakeSource("a.cc", "(void) a::b(c);")),
              ElementsAre(ProblemAt(1, "dropped")));
  EXPECT_THAT(CheckDroppedResults(MakeSource("a.cc", "Append(e).IgnoreError();")),
              ElementsAre(ProblemAt(1, "dropped")));
  EXPECT_THAT(
      CheckDroppedResults(MakeSource("a.cc", "// It is closed next.\nAppend(e).IgnoreError();")),
      IsEmpty());
  EXPECT_THAT(CheckDroppedResults(MakeSource("a.cc", "(void)argc; int f(void); f(x);")), IsEmpty());
}

TEST(CheckIncludes, KeepsModulesInOrder) {
  EXPECT_THAT(CheckIncludes(MakeSource("journal/a.cc", "#include \"nimbus/schema/id.h\"\n")),
              IsEmpty());
  EXPECT_THAT(CheckIncludes(MakeSource("journal/a.cc", "\n#include \"nimbus/replay/fold.h\"\n")),
              ElementsAre(ProblemAt(2, "journal may not include replay")));
  EXPECT_THAT(CheckIncludes(MakeSource("tools/a.cc", "#include \"nimbus/replay/fold.h\"\n")),
              IsEmpty());
  EXPECT_THAT(CheckIncludes(MakeSource("tools/a.h", "int x;")),
              ElementsAre(ProblemAt(1, "#pragma once")));
  EXPECT_THAT(CheckIncludes(MakeSource("schema/include/nimbus/schema/a.h", "#pragma once\n")),
              ElementsAre(ProblemAt(1, "begins with what it is")));
}

TEST(CheckTestsAssert, FindsTestsThatCannotFail) {
  EXPECT_THAT(CheckTestsAssert(MakeSource("a_test.cc", "TEST(A, B) {\n  Run();\n}\n")),
              ElementsAre(ProblemAt(1, "cannot fail")));
  EXPECT_THAT(CheckTestsAssert(MakeSource("a_test.cc", "TEST(A, B) { EXPECT_EQ(1, x); }")),
              IsEmpty());
  EXPECT_THAT(CheckTestsAssert(MakeSource("a_test.cc", "TEST_F(A, B) { NIMBUS_ASSERT_OK(x); }")),
              IsEmpty());
  EXPECT_THAT(CheckTestsAssert(MakeSource("a_test.cc", "TEST_P(A, B) { ExpectSame(x, y); }")),
              IsEmpty());
  EXPECT_THAT(CheckTestsAssert(MakeSource("a_test.cc",
                                          "void Run(int x) { EXPECT_EQ(x, 1); }\n"
                                          "TEST(A, B) { Run(1); }\nTEST(A, C) { Walk(1); }\n")),
              ElementsAre(ProblemAt(3, "cannot fail")));
  EXPECT_THAT(CheckTestsAssert(MakeSource("a_test.cc", "TEST(A, B) { // EXPECT_EQ\n}")),
              ElementsAre(ProblemAt(1, "cannot fail")));
}

TEST(CheckMachinePaths, FindsOnlyPathsFromTheRoot) {
  const std::string home = std::string("/ho") + "me/";
  EXPECT_THAT(CheckMachinePaths(MakeSource("a.md", "\nsee " + home + "me/x")),
              ElementsAre(ProblemAt(2, "make it relative")));
  EXPECT_THAT(CheckMachinePaths(MakeSource("a.md", "under tests" + home + "x")), IsEmpty());
}

TEST(CheckTestsAreBuilt, FindsForgottenOnes) {
  const std::vector<SourceFile> files = {
      MakeSource("tests/a/CMakeLists.txt", "nimbus_test(a SOURCES one_test.cc b/two_test.cc)"),
      MakeSource("tests/a/one_test.cc", ""),
      MakeSource("tests/a/b/two_test.cc", ""),
      MakeSource("tests/a/three_test.cc", ""),
  };
  EXPECT_THAT(CheckTestsAreBuilt(files),
              ElementsAre(Field(&Problem::path, "tests/a/three_test.cc")));
}

TEST(CheckWrappedOnce, AllowsOneFilePair) {
  const std::vector<SourceFile> files = {
      MakeSource("bench/peer.cc", "#include <lmdb.h>\n"),
      MakeSource("journal/lmdb.cc", "#include <lmdb.h>\n"),
      MakeSource("journal/lmdb.h", "#include <lmdb.h>\n"),
      MakeSource("journal/reader.cc", "\n#include <lmdb.h>\n"),
      MakeSource("projections/sqlite.h", "#include <sqlite3.h>\n"),
  };
  EXPECT_THAT(CheckWrappedOnce(files), ElementsAre(AllOf(Field(&Problem::path, "journal/reader.cc"),
                                                         ProblemAt(2, "use journal/lmdb.h"))));
}

TEST(CheckReadme, WantsItsCommandsToExist) {
  const SourceFile quickstart = MakeSource("tools/quickstart", "#!/bin/sh\n");
  const SourceFile test = MakeSource("tools/test", "#!/bin/sh\n");
  const SourceFile ci = MakeSource(".ci/run", "tools/test\n");
  const SourceFile readme =
      MakeSource("README.md", "```\ntools/quickstart\ntools/test -R x\n```\n");
  EXPECT_THAT(CheckReadme({quickstart, test, ci, readme}), IsEmpty());
  EXPECT_THAT(CheckReadme({quickstart, ci, readme}),
              ElementsAre(ProblemAt(3, "no command tools/test")));
  EXPECT_THAT(CheckReadme({quickstart, test, readme}),
              ElementsAre(Field(&Problem::path, ".ci/run")));
  EXPECT_THAT(CheckReadme({quickstart, test, ci, MakeSource("README.md", "tools/test")}),
              ElementsAre(ProblemAt(1, "tools/quickstart")));
}

TEST(CheckSpec, WantsItsFilesAndTestsToExist) {
  const SourceFile code = MakeSource("projections/views.cc", "");
  const SourceFile test =
      MakeSource("tests/a_test.cc", "TEST(ATest, One) {}\nTEST_F(ATest,\n Two) {}\n");
  const auto check = [&](const std::string& line) {
    return CheckSpec({code, test, MakeSource("docs/spec.md", "# Title\n" + line)});
  };
  EXPECT_THAT(check("| `Plugins::List`, `List` | `projections/views.cc` | `ATest.One`, `Two` |"),
              IsEmpty());
  EXPECT_THAT(check("one file each in `tests/`: `ATest.*`; a `word`"), IsEmpty());
  EXPECT_THAT(check("`views.cc`"), ElementsAre(ProblemAt(2, "no views.cc")));
  EXPECT_THAT(check("`replay/`"), ElementsAre(ProblemAt(2, "no replay/")));
  EXPECT_THAT(check("`ATest.Three`, `Four`"),
              ElementsAre(ProblemAt(2, "no ATest.Three"), ProblemAt(2, "no Four")));
  EXPECT_THAT(check("`BTest.*`"), ElementsAre(ProblemAt(2, "no BTest.*")));
}

}  // namespace
}  // namespace nimbus::tidy
