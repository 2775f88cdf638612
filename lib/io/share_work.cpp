// SPDX-License-Identifier: Apache-2.0
#include "io/share_work.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <limits>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "io/processors.h"
#include "io/start_thread.h"

namespace weightmap::io {
namespace {

constexpr std::chrono::milliseconds kTellEvery{50};

class Sharing {
 public:
  explicit Sharing(const SharedWork& work) : work_(work) {}

  Result<void> run() {
    const std::size_t threads = std::min({work_.threads, work_.items, kMostThreads});
    {
      std::vector<std::optional<std::jthread>> others;
      others.reserve(threads);  // nothing may throw while they work
      for (std::size_t i = 1; i < threads; ++i)
        others.push_back(start_other());
      work_or_stop([this] { return tell(); });
      while (wait_for_others())
        if (!exceptions_.run([this] { tell_or_stop(); })) stop_all();
    }
    exceptions_.rethrow();
    return is_stopped(work_.items) ? outcome() : tell();
  }

 private:
  std::optional<std::jthread> start_other() {
    count_others(1);
    auto thread = start_thread([this] {
      work_or_stop([] { return Result<void>(); });
      count_others(-1);
    });
    if (!thread) count_others(-1);
    return thread;
  }

  void count_others(int more) {
    const std::scoped_lock lock(mutex_);
    running_others_ += more;
    changed_.notify_all();
  }

  // Whether there is one still, after a while or when the last has ended.
  bool wait_for_others() {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, kTellEvery, [this] { return running_others_ == 0; });
    return running_others_ > 0;
  }

  template <typename Tell>
  void work_or_stop(const Tell& tell_now) {
    if (!exceptions_.run([&] { work(tell_now); })) stop_all();
  }

  // Item by item, until none is left or an earlier one has failed.
  template <typename Tell>
  void work(const Tell& tell_now) {
    const Worker worker = work_.make_worker();
    for (std::size_t item = next_++; item < work_.items && !is_stopped(item); item = next_++) {
      const auto progress = [&](std::uint64_t more_bytes) -> Result<void> {
        done_bytes_ += more_bytes;
        if (Result<void> going_on = tell_now(); !going_on) return stop(0, going_on.error());
        return is_stopped(item) ? outcome() : Result<void>();
      };
      const Result<void> done = worker(item, progress);
      if (!done) stop(item, done.error());
    }
  }

  // By the caller's thread only. Who has refused is not asked again.
  Result<void> tell() {
    if (refused_) return {};
    refused_ = true;  // also where it throws
    const std::uint64_t done = done_bytes_;
    Result<void> going_on = work_.tell(done - std::exchange(told_bytes_, done));
    refused_ = !going_on;
    return going_on;
  }

  void tell_or_stop() {
    const Result<void> going_on = tell();
    if (!going_on) stop(0, going_on.error());
  }

  // Items before one that failed go on: theirs is the error to tell, if they have any.
  bool is_stopped(std::size_t item) const { return item >= stopped_from_; }

  Error stop(std::size_t item, const Error& error) {
    const std::scoped_lock lock(mutex_);
    if (item < stopped_from_) {
      error_ = error;
      stopped_from_ = item;
    }
    return error;
  }

  // What is said of it is not seen: the exception is thrown instead.
  void stop_all() { stop(0, Error(ErrorCode::kCancelled, "")); }

  Result<void> outcome() const {
    const std::scoped_lock lock(mutex_);
    return error_ ? Result<void>(*error_) : Result<void>();
  }

  const SharedWork& work_;
  std::atomic<std::size_t> next_ = 0;
  std::atomic<std::uint64_t> done_bytes_ = 0;
  std::atomic<std::size_t> stopped_from_ = std::numeric_limits<std::size_t>::max();
  std::uint64_t told_bytes_ = 0;
  bool refused_ = false;
  CaughtExceptions exceptions_;

  mutable std::mutex mutex_;  // guards:
  std::condition_variable changed_;
  int running_others_ = 0;
  std::optional<Error> error_;  // of the item stopped_from_, or the wish to stop
};

}  // namespace

Result<void> share_work(const SharedWork& work) {
  if (work.items == 0) return work.tell(0);  // a worker may cost memory
  return Sharing(work).run();
}

std::size_t threads_for(std::uint64_t size_bytes, unsigned jobs) {
  if (size_bytes < kThreadedBytes) return 1;
  if (jobs == 0) return std::min(usable_processors(), kMostJobs);
  return std::min<std::size_t>(jobs, kMostThreads);
}

}  // namespace weightmap::io
