// SPDX-License-Identifier: Apache-2.0
// Every byte outside of header and index, in pieces, on several threads: padding against zero,
// chunks of segments against their digests. Pages are asked for before they are touched, so that a
// file that was cut short, or a bad disk, is told and not a signal.
#include <algorithm>
#include <mutex>
#include <utility>

#include "weightmap/weight_file.h"

#include "format/blob.h"
#include "format/extras_view.h"
#include "io/processors.h"
#include "io/share_work.h"
#include "runtime/target_file.h"
#include "runtime/tensors_in_ranges.h"
#include "runtime/weight_file_state.h"

namespace weightmap {
namespace {

using format::Chunk;
using format::Range;

// Bytes of one of the data files.
struct Place {
  std::uint32_t data_file = 0;
  Range range;
};

struct Task {
  std::uint32_t data_file = 0;
  Chunk chunk;
};

// Ranges of padding are small, as a rule, and many.
constexpr std::uint64_t kPaddingBytes = std::uint64_t{8} << 20U;
constexpr std::size_t kPaddingRanges = 4096;

std::uint64_t size_of(std::span<const Range> ranges) {
  std::uint64_t size_bytes = 0;
  for (const Range& range : ranges)
    size_bytes += range.size_bytes;
  return size_bytes;
}

// What is checked by one thread before it takes more.
std::vector<std::span<const Range>> groups_of(std::span<const Range> padding) {
  std::vector<std::span<const Range>> groups;
  std::size_t begin = 0;
  std::uint64_t size_bytes = 0;
  for (std::size_t i = 0; i < padding.size(); ++i) {
    size_bytes += padding[i].size_bytes;
    const std::size_t count = i + 1 - begin;
    if (size_bytes < kPaddingBytes && count < kPaddingRanges && i + 1 < padding.size()) continue;
    groups.push_back(padding.subspan(begin, count));
    begin = i + 1;
    size_bytes = 0;
  }
  return groups;
}

// The work, and what has been found so far. Shared by the threads.
class Verification {
 public:
  Verification(const WeightFile& file,
               const WeightFile::State& state,
               std::vector<Range> padding,
               std::vector<Task> tasks)
      : file_(file),
        state_(state),
        padding_(std::move(padding)),
        padding_groups_(groups_of(padding_)),
        tasks_(std::move(tasks)) {
    for (const Task& task : tasks_)
      total_bytes_ += task.chunk.range.size_bytes;
  }

  // Error: kCancelled.
  Result<void> run(const VerifyOptions& options) {
    ProgressTeller progress(options.progress, file_.path(), total_bytes_ + size_of(padding_));
    Result<void> begun = progress.tell(0);
    if (!begun) return begun;
    const auto worker = [this](std::size_t number, const io::WorkProgress& more) {
      return more(check_item(number));
    };
    Result<void> checked =
        io::share_work({.items = padding_groups_.size() + tasks_.size(),
                        .threads = options.threads != 0 ? options.threads : io::usable_processors(),
                        .make_worker = [&worker] { return io::Worker(worker); },
                        .tell = progress.as_work_progress()});
    if (!checked) return checked;
    std::ranges::sort(damages_, {}, [](const Damage& damage) {
      return std::pair(damage.data_file, damage.begin_bytes);
    });
    name_tensors(file_, damages_);
    return {};
  }

  std::uint64_t total_bytes() const { return total_bytes_; }
  std::vector<Damage> take_damages() { return std::move(damages_); }

 private:
  // Returns its bytes.
  std::uint64_t check_item(std::size_t number) {
    if (number < padding_groups_.size()) {
      check_padding(padding_groups_[number]);
      return size_of(padding_groups_[number]);
    }
    const Task& task = tasks_[number - padding_groups_.size()];
    check(task);
    return task.chunk.range.size_bytes;
  }

  void check_padding(std::span<const Range> ranges) {
    for (const Range& range : ranges) {
      check({0, range},
            [&](std::span<const std::byte> bytes) { return format::check_padding(range, bytes); });
    }
  }

  void check(const Task& task) {
    check({task.data_file, task.chunk.range},
          [&](std::span<const std::byte> bytes) { return format::check_chunk(task.chunk, bytes); });
  }

  // REQUIRES: the data file is open.
  template <typename Question>
  void check(const Place& place, const Question& question) {
    const io::MappedFile& mapped = *state_.file(place.data_file);
    const Range& range = place.range;
    const Result<void> readable = mapped.prefault(range.offset_bytes, range.size_bytes);
    note(place, readable ? question(mapped.bytes().subspan(range.offset_bytes, range.size_bytes))
                         : readable);
  }

  void note(const Place& place, const Result<void>& outcome) {
    if (outcome) return;
    Damage damage{.data_file = place.data_file,
                  .begin_bytes = place.range.offset_bytes,
                  .end_bytes = place.range.end(),
                  .what = outcome.error().message()};
    const std::scoped_lock lock(mutex_);
    damages_.push_back(std::move(damage));
  }

  const WeightFile& file_;
  const WeightFile::State& state_;
  const std::vector<Range> padding_;
  const std::vector<std::span<const Range>> padding_groups_;
  const std::vector<Task> tasks_;
  std::uint64_t total_bytes_ = 0;  // of tasks
  std::mutex mutex_;               // guards:
  std::vector<Damage> damages_;
};

std::vector<Task> tasks_for(const WeightFile::State& state, const format::Extras& extras) {
  std::vector<Task> tasks;
  for (std::uint32_t number = 0; number <= state.siblings.size(); ++number) {
    if (state.file(number) == nullptr) continue;
    for (const Chunk& chunk : format::recorded_chunks(state.index, extras, number))
      tasks.push_back({number, chunk});
  }
  return tasks;
}

// What can be checked of the segments, before anything is.
VerifyReport count_segments(const WeightFile::State& state, const format::Extras& extras) {
  VerifyReport report;
  for (std::uint32_t segment = 0; segment < state.index.segments.size(); ++segment) {
    if (state.file_of(segment) == nullptr) {
      ++report.segments_absent;
    } else if (!format::recorded_digest(extras, segment)) {
      ++report.segments_without_digest;
    } else {
      ++report.segments_checked;
    }
  }
  return report;
}

}  // namespace

Result<VerifyReport> WeightFile::verify(const VerifyOptions& options) const {
  const State& state = *state_;
  const Result<format::Extras> extras = read_file_extras(state);
  if (!extras) return extras.error();
  Result<void> consistent = format::check_structure_digest(state.index);
  if (consistent) consistent = format::check_digests_of_chunks(state.index, *extras);
  if (!consistent) return consistent.error().with_context(path());

  Verification verification(*this, state, format::padding_ranges(state.header, state.index),
                            tasks_for(state, *extras));
  const Result<void> done = verification.run(options);
  if (!done) return done.error();
  VerifyReport report = count_segments(state, *extras);
  report.bytes_checked = verification.total_bytes();
  report.damages = verification.take_damages();
  return report;
}

}  // namespace weightmap
