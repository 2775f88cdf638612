// SPDX-License-Identifier: Apache-2.0
#include "io/share_work.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <new>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include "io/processors.h"

namespace weightmap::io {
namespace {

constexpr std::size_t kItems = 6;
constexpr std::size_t kThreads[] = {1, 2, 3, 8, 1000};

Result<void> share(
    const Worker& worker, std::size_t threads, const WorkProgress& tell = [](std::uint64_t) {
      return Result<void>();
    }) {
  return share_work(
      {.items = kItems, .threads = threads, .make_worker = [&] { return worker; }, .tell = tell});
}

Error failure_of(std::size_t item) {
  return {ErrorCode::kCorrupt, "item " + std::to_string(item)};
}

void wait_until(const std::atomic<bool>& what) {
  while (!what)
    std::this_thread::yield();
}

}  // namespace

TEST_SUITE("io/share_work") {
  TEST_CASE("each item is done once, by a worker of the thread that does it") {
    for (const std::size_t threads : kThreads) {
      for (const std::size_t items : {0U, 1U, 5U, 1'000U}) {
        CAPTURE(threads);
        CAPTURE(items);
        std::vector<std::atomic<int>> times(items);
        std::atomic<int> strangers = 0;
        const auto make_worker = [&]() -> Worker {
          return [&, maker = std::this_thread::get_id()](std::size_t item, const WorkProgress&) {
            ++times[item];
            if (std::this_thread::get_id() != maker) ++strangers;
            return Result<void>();
          };
        };
        REQUIRE(share_work({.items = items,
                            .threads = threads,
                            .make_worker = make_worker,
                            .tell = [](std::uint64_t) { return Result<void>(); }}));
        CHECK(std::ranges::all_of(times, [](const std::atomic<int>& of) { return of == 1; }));
        CHECK(strangers == 0);
      }
    }
  }

  TEST_CASE("as many threads as asked for are at work at the same time, not more than items") {
    for (const std::size_t threads : kThreads) {
      CAPTURE(threads);
      const auto all = static_cast<int>(std::min(threads, kItems));
      std::atomic<int> begun = 0;
      const Worker meet = [&](std::size_t, const WorkProgress&) {
        ++begun;
        while (begun < all)
          std::this_thread::yield();
        return Result<void>();
      };
      REQUIRE(share(meet, threads));
      CHECK(begun == kItems);
    }
  }

  TEST_CASE("the calling thread tells all bytes, whoever did them") {
    for (const std::size_t threads : kThreads) {
      CAPTURE(threads);
      std::uint64_t told = 0;
      std::set<std::thread::id> tellers;
      const auto tell = [&](std::uint64_t more_bytes) {
        told += more_bytes;
        tellers.insert(std::this_thread::get_id());
        return Result<void>();
      };
      const Worker work = [](std::size_t item, const WorkProgress& progress) {
        return progress(1 + item);
      };
      REQUIRE(share(work, threads, tell));
      CHECK(told == 1 + 2 + 3 + 4 + 5 + 6);
      CHECK(tellers == std::set{std::this_thread::get_id()});
    }
  }

  TEST_CASE("of several items that fail the first is told, also where it fails last") {
    for (const std::size_t threads : kThreads) {
      CAPTURE(threads);
      std::atomic<bool> later_has_failed = threads == 1;
      const Worker fail = [&](std::size_t item, const WorkProgress&) -> Result<void> {
        if (item == 0) wait_until(later_has_failed);
        if (item == 1) later_has_failed = true;
        return failure_of(item);
      };
      const auto failed = share(fail, threads);
      REQUIRE_FALSE(failed);
      CHECK(failed.error().message() == "item 0");
    }
  }

  TEST_CASE("never more than 64 threads are at work") {
    std::atomic<int> at_work = 0;
    std::atomic<int> most = 0;
    const Worker work = [&](std::size_t, const WorkProgress&) {
      const int now = ++at_work;
      for (int seen = most; now > seen && !most.compare_exchange_weak(seen, now);) {
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
      --at_work;
      return Result<void>();
    };
    REQUIRE(share_work({.items = 1'000,
                        .threads = 1'000,
                        .make_worker = [&] { return work; },
                        .tell = [](std::uint64_t) { return Result<void>(); }}));
    CHECK(most > 1);
    CHECK(most <= static_cast<int>(kMostThreads));
  }

  TEST_CASE("behind an item that failed none is begun") {
    std::vector<std::size_t> begun;
    const Worker work = [&](std::size_t item, const WorkProgress&) -> Result<void> {
      begun.push_back(item);
      return item == 2 ? Result<void>(failure_of(item)) : Result<void>();
    };
    REQUIRE_FALSE(share(work, 1));
    CHECK(begun == std::vector<std::size_t>{0, 1, 2});
  }

  TEST_CASE("an exception in any thread comes out of the call, when all have ended") {
    for (const std::size_t threads : kThreads) {
      for (std::size_t throwing = 0; throwing < kItems; ++throwing) {
        CAPTURE(threads);
        CAPTURE(throwing);
        std::atomic<int> at_work = 0;
        const Worker work = [&](std::size_t item, const WorkProgress&) -> Result<void> {
          if (item == throwing) throw std::bad_alloc();
          ++at_work;
          std::this_thread::sleep_for(std::chrono::milliseconds(1));
          --at_work;
          return {};
        };
        CHECK_THROWS_AS((void)share(work, threads), std::bad_alloc);
        CHECK(at_work == 0);
      }
    }
  }

  TEST_CASE("an exception of who makes a worker comes out of the call") {
    for (const std::size_t threads : kThreads) {
      CAPTURE(threads);
      std::atomic<std::size_t> made = 0;
      const auto make_worker = [&]() -> Worker {
        if (++made == std::min(threads, kItems)) throw std::bad_alloc();
        return [](std::size_t, const WorkProgress&) {
          std::this_thread::sleep_for(std::chrono::milliseconds(20));
          return Result<void>();
        };
      };
      CHECK_THROWS_AS((void)share_work({.items = kItems,
                                        .threads = threads,
                                        .make_worker = make_worker,
                                        .tell = [](std::uint64_t) { return Result<void>(); }}),
                      std::bad_alloc);
    }
  }

  TEST_CASE("an exception of the teller comes out of the call, and is not asked for again") {
    for (const std::size_t threads : kThreads) {
      CAPTURE(threads);
      int calls = 0;
      const auto tell = [&](std::uint64_t) -> Result<void> {
        ++calls;
        throw std::bad_alloc();
      };
      const Worker work = [](std::size_t, const WorkProgress& progress) { return progress(1); };
      CHECK_THROWS_AS((void)share(work, threads, tell), std::bad_alloc);
      CHECK(calls == 1);
    }
  }

  TEST_CASE("while an earlier item goes on behind one that failed, it can be stopped") {
    std::atomic<bool> has_failed = false;
    const Worker work = [&](std::size_t item, const WorkProgress& progress) -> Result<void> {
      if (item != 0) {
        has_failed = true;
        return failure_of(item);
      }
      wait_until(has_failed);
      Result<void> going_on;
      while (going_on)  // until somebody stops it
        going_on = progress(0);
      return going_on;
    };
    int calls = 0;
    const auto tell = [&](std::uint64_t) {
      return ++calls < 5 ? Result<void>() : Error(ErrorCode::kCancelled, "enough");
    };
    const auto stopped = share(work, 2, tell);
    REQUIRE_FALSE(stopped);
    CHECK(stopped.error().message() == "enough");
    CHECK(calls == 5);
  }

  TEST_CASE("little work is for one thread, much for as many as asked for") {
    CHECK(threads_for(0, 0) == 1);
    CHECK(threads_for(kThreadedBytes - 1, 7) == 1);
    CHECK(threads_for(kThreadedBytes, 7) == 7);
    CHECK(threads_for(kThreadedBytes, 1'000) == kMostThreads);
    CHECK(threads_for(kThreadedBytes, 0) == std::min(usable_processors(), kMostJobs));
  }
}

}  // namespace weightmap::io
