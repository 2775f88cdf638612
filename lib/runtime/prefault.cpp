// SPDX-License-Identifier: Apache-2.0
#include "weightmap/prefault.h"

#include <algorithm>
#include <atomic>
#include <thread>
#include <utility>

#include "base/text.h"
#include "runtime/page_ranges.h"
#include "runtime/weight_file_state.h"

namespace weightmap {
namespace {

constexpr std::uint64_t kSliceBytes = std::uint64_t{32} << 20U;
constexpr std::uint64_t kNearBytes = std::uint64_t{64} << 10U;  // less than a call costs

}  // namespace

Result<PageRanges> PageRanges::of(const WeightFile& file, std::span<const std::uint32_t> tensors) {
  PageRanges ranges(file);
  Result<void> added;
  for (std::size_t i = 0; added && i < tensors.size(); ++i)
    added = ranges.add_tensor(tensors[i]);
  const std::size_t data_files = tensors.empty() ? state_of(file).siblings.size() + 1 : 0;
  for (std::uint32_t number = 0; added && number < data_files; ++number)
    added = ranges.add(number, {0, file.data_file_mapping(number).size()});
  if (!added) return added.error();
  return ranges;
}

Result<void> PageRanges::add_tensor(std::uint32_t number) {
  const TensorPlace place = file_.place(number);
  if (!place.segment || place.size_bytes == 0) return {};
  return add(file_.segment(*place.segment).data_file, {place.offset_bytes, place.size_bytes});
}

// What continues the last piece becomes a part of it.
Result<void> PageRanges::add(std::uint32_t data_file, const format::Range& range) {
  if (state_of(file_).file(data_file) == nullptr) {
    return Error(ErrorCode::kNotFound,
                 concat(file_.path(), ": its data file ",
                        quoted(file_.data_files()[data_file].name), " is not open"));
  }
  total_bytes_ += range.size_bytes;
  if (!pieces_.empty() && pieces_.back().data_file == data_file) {
    format::Range& last = pieces_.back().range;
    const bool continues =
        range.offset_bytes >= last.end() && range.offset_bytes - last.end() <= kNearBytes;
    if (continues) {
      total_bytes_ += range.offset_bytes - last.end();
      last.size_bytes = range.end() - last.offset_bytes;
      return {};
    }
  }
  pieces_.push_back({data_file, range});
  return {};
}

Result<void> PageRanges::prefault(
    const std::function<bool(std::uint64_t done_bytes)>& go_on) const {
  const Error cancelled(ErrorCode::kCancelled, concat(file_.path(), ": cancelled"));
  std::uint64_t done = 0;
  if (!go_on(done)) return cancelled;
  for (const Piece& piece : pieces_) {
    const io::MappedFile& mapped = *state_of(file_).file(piece.data_file);
    for (std::uint64_t begin = 0; begin < piece.range.size_bytes; begin += kSliceBytes) {
      const std::uint64_t size = std::min(kSliceBytes, piece.range.size_bytes - begin);
      Result<void> there = mapped.prefault(piece.range.offset_bytes + begin, size);
      if (!there) return there;
      done += size;
      if (!go_on(done)) return cancelled;
    }
  }
  return {};
}

Result<void> prefault(const WeightFile& file, const PrefaultOptions& options) {
  const Result<PageRanges> ranges = PageRanges::of(file, options.tensors);
  if (!ranges) return ranges.error();
  return ranges->prefault([&](std::uint64_t done) {
    return !options.progress || options.progress(done, ranges->total_bytes());
  });
}

struct BackgroundPrefault::Work {
  Work(WeightFile weights, PrefaultOptions asked)
      : file(std::move(weights)), options(std::move(asked)) {}

  void run() {
    const Result<PageRanges> ranges = PageRanges::of(file, options.tensors);
    if (ranges) total_bytes = ranges->total_bytes();
    outcome = ranges ? ranges->prefault([this](std::uint64_t done) { return go_on(done); })
                     : Result<void>(ranges.error());
    is_done = true;
  }

  bool go_on(std::uint64_t done) {
    done_bytes = done;
    return !is_cancelled && (!options.progress || options.progress(done, total_bytes));
  }

  const WeightFile file;
  const PrefaultOptions options;
  std::atomic<std::uint64_t> done_bytes = 0;
  std::atomic<std::uint64_t> total_bytes = 0;
  std::atomic<bool> is_cancelled = false;
  std::atomic<bool> is_done = false;
  Result<void> outcome;  // read after the thread's end
  std::jthread thread;   // last: it uses all of the above
};

BackgroundPrefault::BackgroundPrefault(WeightFile file, PrefaultOptions options)
    : work_(std::make_unique<Work>(std::move(file), std::move(options))) {
  work_->thread = std::jthread([work = work_.get()] { work->run(); });
}

BackgroundPrefault::~BackgroundPrefault() {
  if (work_ != nullptr) cancel();
}

BackgroundPrefault::BackgroundPrefault(BackgroundPrefault&&) noexcept = default;

BackgroundPrefault& BackgroundPrefault::operator=(BackgroundPrefault&& other) noexcept {
  if (this == &other) return *this;
  if (work_ != nullptr) cancel();
  work_ = std::move(other.work_);
  return *this;
}

bool BackgroundPrefault::is_done() const {
  return work_->is_done;
}

std::uint64_t BackgroundPrefault::done_bytes() const {
  return work_->done_bytes;
}

std::uint64_t BackgroundPrefault::total_bytes() const {
  return work_->total_bytes;
}

void BackgroundPrefault::cancel() {
  work_->is_cancelled = true;
}

Result<void> BackgroundPrefault::wait() {
  if (work_->thread.joinable()) work_->thread.join();
  return work_->outcome;
}

}  // namespace weightmap
