// Hooks: which are called, and in which order.
#include "plugins_fixture.h"

namespace nimbus::projections {
namespace {

using Code = absl::StatusCode;
using schema::Uuid;
using test::IsOk;
using test::StatusIs;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class PluginHooksTest : public PluginStoreTest {
 protected:
  void SetUp() override {
    PluginStoreTest::SetUp();
    a_ = Install(ManifestOf("a"));
    b_ = Install(ManifestOf("b"));
  }
  Uuid Register(const Uuid& plugin, const NewHook& hook) {
    absl::StatusOr<Written> written = plugins().RegisterHook(plugin, hook);
    EXPECT_THAT(written, IsOk());
    return written.ok() ? written->id : Uuid{};
  }
  std::vector<Uuid> Called(std::string_view name) {
    EXPECT_THAT(CatchUp(), IsOk());
    absl::StatusOr<std::vector<PluginHook>> hooks = plugins().GetHooks(name);
    EXPECT_THAT(hooks, IsOk());
    std::vector<Uuid> ids;
    if (hooks.ok()) {
      for (const PluginHook& hook : *hooks) ids.push_back(hook.id);
    }
    return ids;
  }

  Uuid a_, b_;
};

TEST_F(PluginHooksTest, GoByPriorityThenAsTheyWereRegistered) {
  const Uuid late = Register(b_, {.name = "pre", .priority = 200});
  const Uuid usual = Register(a_, {.name = "pre"}), usual_too = Register(b_, {.name = "pre"});
  const Uuid early = Register(a_, {.name = "pre", .priority = -1});
  Register(a_, {.name = "post"});
  EXPECT_THAT(Called("pre"), ElementsAre(early, usual, usual_too, late));
  EXPECT_THAT(Called("nothing"), IsEmpty());
  NIMBUS_ASSERT_OK_AND_ASSIGN(const auto hooks, plugins().GetHooks("pre"));
  EXPECT_EQ(hooks[0].plugin_name, "a");
  EXPECT_EQ(hooks[0].plugin_id, a_);
  EXPECT_EQ(hooks[0].priority, -1);
  EXPECT_EQ(hooks[1].priority, 100) << "the specified default";
  ExpectRowsAsRebuilt();
}

TEST_F(PluginHooksTest, OnlyEnabledOnesOfEnabledPluginsAreCalled) {
  const Uuid of_a = Register(a_, {.name = "pre"}), of_b = Register(b_, {.name = "pre"});
  const Uuid off = Register(b_, {.name = "pre", .enabled = false});
  EXPECT_THAT(Called("pre"), ElementsAre(of_a, of_b));
  ASSERT_THAT(plugins().Disable(a_), IsOk());
  EXPECT_THAT(Called("pre"), ElementsAre(of_b));
  ASSERT_THAT(plugins().ChangeHook(off, {.enabled = true}), IsOk());
  ASSERT_THAT(plugins().ChangeHook(of_b, {.enabled = false}), IsOk());
  EXPECT_THAT(Called("pre"), ElementsAre(off));
  ASSERT_THAT(plugins().Enable(a_), IsOk());
  EXPECT_THAT(Called("pre"), ElementsAre(of_a, off)) << "a hook keeps its state and its turn";
  NIMBUS_ASSERT_OK_AND_ASSIGN(const auto all, plugins().ListHooks());
  EXPECT_EQ(all.size(), 3u);
  NIMBUS_ASSERT_OK_AND_ASSIGN(const auto of_plugin, plugins().ListHooks(b_));
  ASSERT_EQ(of_plugin.size(), 2u);
  EXPECT_FALSE(of_plugin[0].enabled);
  EXPECT_TRUE(of_plugin[0].plugin_enabled);
}

TEST_F(PluginHooksTest, ChangeAndGo) {
  const Uuid first = Register(a_, {.name = "pre"}), second = Register(a_, {.name = "pre"});
  ASSERT_THAT(plugins().ChangeHook(second, {.priority = INT64_MIN}), IsOk());
  EXPECT_THAT(Called("pre"), ElementsAre(second, first));
  ASSERT_THAT(plugins().ChangeHook(second, {.priority = INT64_MAX, .enabled = true}), IsOk());
  EXPECT_THAT(Called("pre"), ElementsAre(first, second));
  ASSERT_THAT(plugins().RemoveHook(first), IsOk());
  EXPECT_THAT(Called("pre"), ElementsAre(second));
  EXPECT_THAT(plugins().RemoveHook(first), StatusIs(Code::kNotFound));
  EXPECT_THAT(plugins().ChangeHook(first, {.priority = 1}),
              StatusIs(Code::kNotFound, HasSubstr(first.ToString())));
  ExpectRowsAsRebuilt();
}

TEST_F(PluginHooksTest, RefuseWhatIsNoHook) {
  const Uuid hook = Register(a_, {.name = "pre"});
  const uint64_t before = Size();
  EXPECT_THAT(plugins().RegisterHook(a_, {.name = ""}), StatusIs(Code::kInvalidArgument));
  EXPECT_THAT(plugins().RegisterHook(a_, {.name = "a\x01"}),
              StatusIs(Code::kInvalidArgument, HasSubstr("control")));
  EXPECT_THAT(plugins().RegisterHook(a_, {.name = std::string(256, 'h')}),
              StatusIs(Code::kInvalidArgument));
  EXPECT_THAT(plugins().RegisterHook(schema::NewUuid(), {.name = "pre"}),
              StatusIs(Code::kNotFound));
  EXPECT_THAT(plugins().ChangeHook(hook, {}), StatusIs(Code::kInvalidArgument));
  EXPECT_EQ(Size(), before);
  ASSERT_THAT(plugins().Uninstall(a_), IsOk());
  EXPECT_THAT(plugins().ChangeHook(hook, {.enabled = false}), StatusIs(Code::kNotFound));
  EXPECT_THAT(Called("pre"), IsEmpty());
}

}  // namespace
}  // namespace nimbus::projections
