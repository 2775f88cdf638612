// SPDX-License-Identifier: Apache-2.0
#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include "weightmap/live.h"
#include "weightmap/publish.h"

#include "sharing/generations.h"
#include "support/file_bytes.h"
#include "support/temp_dir.h"

namespace weightmap {
namespace {

using std::chrono::milliseconds;
using tests::kElements;
using tests::MarkedNet;
using tests::TempDir;

constexpr milliseconds kForEver = std::chrono::hours(10);

// How often one was made, and how many there are.
struct CountedNet : MarkedNet {
  CountedNet() {
    ++made;
    ++alive;
  }
  ~CountedNet() override { --alive; }
  CountedNet(const CountedNet&) = delete;
  CountedNet& operator=(const CountedNet&) = delete;
  static inline std::atomic<int> made = 0;
  static inline std::atomic<int> alive = 0;
};

std::uint64_t publish_mark(const TempDir& dir, std::int64_t mark, int tensors = 2) {
  tests::write_marked(dir / "new.wmap", mark, tensors);
  const auto report = publish(dir / "new.wmap", dir / "m.wmap", {.sync = false});
  REQUIRE_MESSAGE(report, report.error().message());
  return report->generation;
}

template <typename Net = MarkedNet>
Live<Net> open_live(const TempDir& dir, const LiveOptions& options = {}) {
  auto live = Live<Net>::open(dir / "m.wmap", options);
  REQUIRE_MESSAGE(live, live.error().message());
  return std::move(*live);
}

// Of both slots, or -1 where they differ.
template <typename Net>
std::int64_t mark_in(const LiveNet<Net>& net) {
  const std::int64_t mark = net->t0[0];
  return net->t0[kElements - 1] == mark && net->t1[0] == mark && net->t1[kElements - 1] == mark
             ? mark
             : -1;
}

bool maps_files_that_are_gone() {
  return tests::read_file("/proc/self/maps").find("m.wmap (deleted)") != std::string::npos;
}

TEST_SUITE_BEGIN("sharing/live_net");

TEST_CASE("each generation has a net of its own, and none changes under its user") {
  const TempDir dir;
  publish_mark(dir, 1);
  const auto live = open_live(dir);
  const auto first = live.current();
  CHECK(mark_in(first) == 1);
  CHECK(first.generation() == 1);
  CHECK(first.file().path() == dir / "m.wmap");
  CHECK(&*live.current() == &*first);
  publish_mark(dir, 2);
  const auto second = live.current();
  CHECK(&*second != &*first);
  CHECK(mark_in(second) == 2);
  CHECK(second.generation() == 2);
  CHECK(mark_in(first) == 1);
  // The bytes are the file's own.
  const auto mapping = second.file().mapping();
  CHECK(second->t0.bytes() > mapping.data());
  CHECK(second->t0.bytes() < mapping.data() + mapping.size());
}

TEST_CASE("a net that nobody uses is bound again, and holds no file that is gone") {
  const TempDir dir;
  publish_mark(dir, 1);
  const int made_before = CountedNet::made;
  {
    const auto live = open_live<CountedNet>(dir);
    for (std::int64_t mark = 2; mark < 30; ++mark) {
      publish_mark(dir, mark);
      CHECK(mark_in(live.current()) == mark);
      CHECK_FALSE(maps_files_that_are_gone());
    }
    CHECK(CountedNet::made - made_before == 2);
  }
  CHECK(CountedNet::alive == 0);
}

TEST_CASE("nets are made for as many generations as are in use, and go with their users") {
  const TempDir dir;
  publish_mark(dir, 1);
  std::vector<LiveNet<CountedNet>> held;
  {
    const auto live = open_live<CountedNet>(dir);
    for (std::int64_t mark = 2; mark < 7; ++mark) {
      held.push_back(live.current());
      publish_mark(dir, mark);
    }
    CHECK(mark_in(live.current()) == 6);
    CHECK(CountedNet::alive == 6);
    held.resize(2, held.front());
    CHECK(CountedNet::alive == 4);  // two in use, the newest, one kept
  }
  CHECK(mark_in(held[0]) == 1);
  CHECK(mark_in(held[1]) == 2);
  held.clear();
  CHECK(CountedNet::alive == 0);
}

TEST_CASE("another structure is bound by its names, and the next one of that by its plan") {
  const TempDir dir;
  publish_mark(dir, 1);
  const auto live = open_live(dir, {.open = {}, .bind = {.strict = false}});
  for (std::int64_t mark = 2; mark < 8; ++mark) {
    publish_mark(dir, mark, mark % 3 == 0 ? 5 : 3);
    CHECK(mark_in(live.current()) == mark);
    CHECK_FALSE(live.last_error());
  }
}

TEST_CASE("what does not fit is refused with its diagnosis, and the old net stays") {
  const TempDir dir;
  publish_mark(dir, 1);
  const auto live = open_live(dir);
  const std::uint64_t refused = publish_mark(dir, 2, 1);
  CHECK(mark_in(live.current()) == 1);
  CHECK(live.current().generation() == 1);
  REQUIRE(live.last_error());
  CHECK(live.last_error()->code() == ErrorCode::kMismatch);
  REQUIRE(live.refused());
  CHECK(live.refused()->missing().size() == 1);
  CHECK(live.refused()->diagnosis().missing.front().key == "t1");
  CHECK(live.file().current()->generation == refused);
  CHECK_FALSE(live.wait_for_next(1, milliseconds(1)));

  publish_mark(dir, 3);
  const auto next = live.wait_for_next(1, kForEver);
  REQUIRE(next);
  CHECK(mark_in(*next) == 3);
  CHECK(mark_in(live.current()) == 3);
  CHECK_FALSE(live.last_error());
  CHECK_FALSE(live.refused());
}

TEST_CASE("a net that is kept is not spoiled by a file that does not fit") {
  const TempDir dir;
  publish_mark(dir, 1);
  const auto live = open_live<CountedNet>(dir);
  publish_mark(dir, 2);
  CHECK(mark_in(live.current()) == 2);  // the first net is kept now
  const int made = CountedNet::made;
  publish_mark(dir, 3, 1);
  CHECK(mark_in(live.current()) == 2);
  publish_mark(dir, 4);
  CHECK(mark_in(live.current()) == 4);
  CHECK(CountedNet::made == made);
}

TEST_CASE("slots that a file passes over are never another generation's") {
  const TempDir dir;
  publish_mark(dir, 1);
  const auto live = open_live(dir, {.open = {}, .bind = {.strict = false}});
  publish_mark(dir, 2);
  CHECK(mark_in(live.current()) == 2);
  publish_mark(dir, 3, 1);  // has t0 only
  const auto partial = live.current();
  CHECK(partial->t0[0] == 3);
  CHECK_FALSE(partial->t1.is_bound());
  publish_mark(dir, 4);
  CHECK(mark_in(live.current()) == 4);
}

TEST_CASE("the first file must fit, and the factory make a net") {
  const TempDir dir;
  publish_mark(dir, 1, 1);
  const auto misfit = Live<MarkedNet>::open(dir / "m.wmap");
  REQUIRE_FALSE(misfit);
  CHECK(misfit.error().code() == ErrorCode::kMismatch);
  const auto none = Live<MarkedNet>::open(dir / "m.wmap", {}, [] { return nullptr; });
  REQUIRE_FALSE(none);
  CHECK(none.error().code() == ErrorCode::kInvalidArgument);
  CHECK_FALSE(Live<MarkedNet>::open(dir / "none.wmap"));
}

TEST_CASE("nets of a factory, with a prefix, and with hooks that no plan can ask") {
  struct HookedNet : MarkedNet {
    explicit HookedNet(int& calls) {
      register_load_state_dict_post_hook([&calls](auto&&...) { ++calls; });
    }
  };
  const TempDir dir;
  publish_mark(dir, 1);
  int calls = 0;
  auto live =
      Live<HookedNet>::open(dir / "m.wmap", {}, [&] { return std::make_unique<HookedNet>(calls); });
  REQUIRE_MESSAGE(live, live.error().message());
  CHECK(calls == 1);
  publish_mark(dir, 2);
  CHECK(mark_in(live->current()) == 2);
  CHECK(calls >= 2);
}

struct HookedNet : MarkedNet {
  HookedNet() {
    register_load_state_dict_pre_hook([](Module&, LoadStep&) {
      if (on_load) on_load();
    });
  }
  static inline std::function<void()> on_load;
};

TEST_CASE("a load hook may let go of the last net of a generation") {
  const TempDir dir;
  publish_mark(dir, 1);
  const auto live = open_live<HookedNet>(dir);
  std::optional<LiveNet<HookedNet>> held(live.current());
  for (std::int64_t mark = 2; mark < 4; ++mark) {
    publish_mark(dir, mark);
    CHECK(mark_in(live.current()) == mark);
  }
  publish_mark(dir, 4);
  HookedNet::on_load = [&] { held.reset(); };
  CHECK(mark_in(live.current()) == 4);
  HookedNet::on_load = nullptr;
  CHECK_FALSE(held);
  CHECK_FALSE(maps_files_that_are_gone());
}

TEST_CASE("many threads compute while a publisher publishes: no net changes under any") {
  const TempDir dir;
  publish_mark(dir, 1);
  const auto live = open_live(dir);
  constexpr std::int64_t kLast = 60;
  std::atomic<bool> is_over = false;
  std::atomic<int> wrong = 0;
  std::vector<std::jthread> threads;
  for (int thread = 0; thread < 6; ++thread) {
    threads.emplace_back([&] {
      std::uint64_t before = 0;
      while (!is_over) {
        const auto net = live.current();
        const auto generation = static_cast<std::int64_t>(net.generation());
        for (int repeat = 0; repeat < 20; ++repeat)
          wrong += mark_in(net) == generation ? 0 : 1;
        wrong += net.generation() < before ? 1 : 0;
        before = net.generation();
      }
    });
  }
  for (std::int64_t mark = 2; mark <= kLast; ++mark)
    publish_mark(dir, mark);
  const auto last = live.wait_for_next(kLast - 1, kForEver);
  REQUIRE(last);
  CHECK(mark_in(*last) == kLast);
  is_over = true;
  threads.clear();
  CHECK(wrong == 0);
  CHECK_FALSE(maps_files_that_are_gone());
}

TEST_SUITE_END();

}  // namespace
}  // namespace weightmap
