// SPDX-License-Identifier: Apache-2.0
// A thread takes a part at a time, reads what it is made of, hashes it and writes it itself: what
// it has just read is still in its processor's cache, and one thread alone is bound by copying.
#include "runtime/write_parts.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <limits>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "io/processors.h"
#include "io/start_thread.h"

namespace weightmap {
namespace {

// Small items are taken together, up to here.
constexpr std::uint64_t kPartBytes = 8U << 20U;
// From here on a thread gains more than it costs.
constexpr std::uint64_t kThreadedBytes = 16U << 20U;
// Whoever asks for more gets these.
constexpr unsigned kMostThreads = 64;
constexpr std::chrono::milliseconds kTellEvery{50};

std::uint64_t size_of(const io::FilePart::Range& range) {
  return range.end - range.begin;
}

std::uint64_t size_of(std::span<const ItemsPart> parts) {
  return parts.empty() ? 0 : parts.back().range.end - parts.front().range.begin;
}

std::size_t threads_for(std::span<const ItemsPart> parts, unsigned jobs) {
  if (size_of(parts) < kThreadedBytes) return 1;
  const unsigned wanted = jobs != 0 ? jobs : std::min(io::usable_processors(), kMostJobs);
  return std::min<std::size_t>(std::min(wanted, kMostThreads), parts.size());
}

class PartsWriting {
 public:
  PartsWriting(const io::FileWriter& writer,
               std::span<const ItemsPart> parts,
               const MakePartFiller& make_filler,
               unsigned jobs,
               ProgressTeller& progress)
      : writer_(writer),
        parts_(parts),
        make_filler_(make_filler),
        progress_(progress),
        jobs_(jobs),
        threads_(threads_for(parts, jobs)) {}

  Result<void> run() {
    {
      std::vector<std::optional<std::jthread>> others;
      for (std::size_t i = 1; i < threads_; ++i)
        others.push_back(start_other());
      work_or_stop([this] { return tell(); });
      while (wait_for_others())
        if (!exceptions_.run([this] { tell_or_stop(); })) stop_all();
    }
    exceptions_.rethrow();
    return is_stopped(parts_.size()) ? outcome() : tell();
  }

 private:
  std::optional<std::jthread> start_other() {
    count_others(1);
    auto thread = io::start_thread([this] {
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

  // A part that alone is more than what is for one thread: its reading takes a processor.
  bool is_threaded(const ItemsPart& part) const {
    const std::uint64_t size = size_of(part.range);
    return jobs_ != 1 && size >= kThreadedBytes && size >= size_of(parts_) / threads_;
  }

  // Part by part, until none is left or an earlier one has failed.
  template <typename Tell>
  void work(const Tell& tell_now) {
    const std::unique_ptr<PartFiller> filler = make_filler_();
    for (std::size_t number = next_part_++; number < parts_.size() && !is_stopped(number);
         number = next_part_++) {
      const auto progress = [&](std::uint64_t more_bytes) -> Result<void> {
        done_bytes_ += more_bytes;
        if (Result<void> going_on = tell_now(); !going_on) return stop(0, going_on.error());
        return is_stopped(number) ? outcome() : Result<void>();
      };
      io::FilePart into = writer_.part(parts_[number].range, is_threaded(parts_[number]));
      Result<void> filled = filler->fill(parts_[number], into, progress);
      if (filled) filled = into.finish();
      if (!filled) stop(number, filled.error());
    }
  }

  // By the caller's thread only. Who has refused is not asked again.
  Result<void> tell() {
    if (refused_) return {};
    refused_ = true;  // also where it throws
    const std::uint64_t done = done_bytes_;
    Result<void> going_on = progress_.tell(done - std::exchange(told_bytes_, done));
    refused_ = !going_on;
    return going_on;
  }

  void tell_or_stop() {
    const Result<void> going_on = tell();
    if (!going_on) stop(0, going_on.error());
  }

  // Parts before one that failed go on: theirs is the error to tell, if they have any.
  bool is_stopped(std::size_t number) const { return number >= stopped_from_; }

  Error stop(std::size_t number, const Error& error) {
    const std::scoped_lock lock(mutex_);
    if (number < stopped_from_) {
      error_ = error;
      stopped_from_ = number;
    }
    return error;
  }

  // What is said of it is not seen: the exception is thrown instead.
  void stop_all() { stop(0, Error(ErrorCode::kCancelled, "")); }

  Result<void> outcome() const {
    const std::scoped_lock lock(mutex_);
    return error_ ? Result<void>(*error_) : Result<void>();
  }

  const io::FileWriter& writer_;
  const std::span<const ItemsPart> parts_;
  const MakePartFiller& make_filler_;
  ProgressTeller& progress_;
  const unsigned jobs_;
  const std::size_t threads_;

  std::atomic<std::size_t> next_part_ = 0;
  std::atomic<std::uint64_t> done_bytes_ = 0;
  std::atomic<std::size_t> stopped_from_ = std::numeric_limits<std::size_t>::max();
  std::uint64_t told_bytes_ = 0;
  bool refused_ = false;
  io::CaughtExceptions exceptions_;

  mutable std::mutex mutex_;  // guards:
  std::condition_variable changed_;
  int running_others_ = 0;
  std::optional<Error> error_;  // of the part stopped_from_, or the wish to stop
};

}  // namespace

std::vector<ItemsPart> parts_of(std::uint64_t begin, std::span<const std::uint64_t> item_ends) {
  std::vector<ItemsPart> parts;
  for (std::size_t i = 0; i < item_ends.size(); ++i) {
    if (parts.empty() || begin - parts.back().range.begin >= kPartBytes)
      parts.push_back({.first_item = i, .end_item = i, .range = {begin, begin}});
    begin = item_ends[i];
    parts.back().end_item = i + 1;
    parts.back().range.end = begin;
  }
  return parts;
}

Result<void> write_parts(io::FileWriter& writer,
                         std::span<const ItemsPart> parts,
                         const MakePartFiller& make_filler,
                         unsigned jobs,
                         ProgressTeller& progress) {
  Result<void> written = PartsWriting(writer, parts, make_filler, jobs, progress).run();
  if (!written || parts.empty()) return written;
  return writer.pass_to(parts.back().range.end);
}

}  // namespace weightmap
