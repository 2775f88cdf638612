// SPDX-License-Identifier: Apache-2.0
// Every byte outside of header and index, in pieces, on several threads: padding against zero,
// chunks of segments against their digests. Pages are asked for before they are touched, so that a
// file that was cut short, or a bad disk, is told and not a signal.
#include <algorithm>
#include <atomic>
#include <mutex>
#include <thread>

#include "weightmap/weight_file.h"

#include "base/text.h"
#include "format/blob.h"
#include "format/extras_view.h"
#include "runtime/weight_file_state.h"

namespace weightmap {
namespace {

using format::Chunk;
using format::Range;

bool overlap(const Range& a, std::uint64_t begin, std::uint64_t size) {
  return begin < a.end() && a.offset_bytes < begin + size;
}

std::vector<std::string_view> tensors_in(const WeightFile& file, const Range& range) {
  std::vector<std::string_view> names;
  for (std::uint32_t number = 0; number < file.tensor_count(); ++number) {
    const TensorView tensor = file.tensor(number);
    const TensorPlace place = file.place(number);
    if (place.segment && overlap(range, place.offset_bytes, tensor.extent().size())) {
      names.push_back(tensor.name());
    }
  }
  return names;
}

// The work, and what has been found so far. Shared by the threads.
class Verification {
 public:
  Verification(const WeightFile& file,
               const io::MappedFile& mapped,
               std::vector<Range> padding,
               std::vector<Chunk> chunks)
      : file_(file), mapped_(mapped), padding_(std::move(padding)), chunks_(std::move(chunks)) {
    for (const Chunk& chunk : chunks_)
      total_bytes_ += chunk.range.size_bytes;
  }

  // The calling thread works too, and is the one that tells progress. False: it was told to stop.
  bool run(const VerifyOptions& options) {
    check_all_padding();
    std::vector<std::jthread> helpers;
    for (unsigned i = 1; i < thread_count(options); ++i) {
      helpers.emplace_back([this] { work([](std::uint64_t) { return true; }); });
    }
    work([&](std::uint64_t done) {
      return !options.progress || options.progress(done, total_bytes_);
    });
    helpers.clear();
    std::ranges::sort(damages_, {}, &Damage::begin_bytes);
    return !stopped_;
  }

  std::uint64_t total_bytes() const { return total_bytes_; }
  std::vector<Damage> take_damages() { return std::move(damages_); }

 private:
  unsigned thread_count(const VerifyOptions& options) const {
    const unsigned wanted =
        options.threads != 0 ? options.threads : std::thread::hardware_concurrency();
    const auto useful = static_cast<unsigned>(std::min<std::size_t>(chunks_.size(), 64));
    return std::clamp(wanted, 1U, std::max(useful, 1U));
  }

  template <typename Progress>
  void work(const Progress& progress) {
    for (std::size_t next = next_++; next < chunks_.size() && !stopped_; next = next_++) {
      check(chunks_[next]);
      done_bytes_ += chunks_[next].range.size_bytes;
      if (!progress(done_bytes_)) stopped_ = true;
    }
  }

  void check_all_padding() {
    for (const Range& range : padding_) {
      const Result<void> readable = mapped_.prefault(range.offset_bytes, range.size_bytes);
      note(range, readable ? format::check_padding(range, bytes_of(range)) : readable);
    }
  }

  void check(const Chunk& chunk) {
    const Result<void> readable =
        mapped_.prefault(chunk.range.offset_bytes, chunk.range.size_bytes);
    note(chunk.range, readable ? format::check_chunk(chunk, bytes_of(chunk.range)) : readable);
  }

  std::span<const std::byte> bytes_of(const Range& range) const {
    return mapped_.bytes().subspan(range.offset_bytes, range.size_bytes);
  }

  void note(const Range& range, const Result<void>& outcome) {
    if (outcome) return;
    Damage damage{.begin_bytes = range.offset_bytes,
                  .end_bytes = range.end(),
                  .what = outcome.error().message(),
                  .tensors = tensors_in(file_, range)};
    const std::scoped_lock lock(mutex_);
    damages_.push_back(std::move(damage));
  }

  const WeightFile& file_;
  const io::MappedFile& mapped_;
  const std::vector<Range> padding_;
  const std::vector<Chunk> chunks_;
  std::uint64_t total_bytes_ = 0;
  std::atomic<std::size_t> next_ = 0;
  std::atomic<std::uint64_t> done_bytes_ = 0;
  std::atomic<bool> stopped_ = false;
  std::mutex mutex_;
  std::vector<Damage> damages_;
};

std::uint64_t count_without_digest(const format::Extras& extras, std::uint32_t segments) {
  std::uint64_t count = 0;
  for (std::uint32_t segment = 0; segment < segments; ++segment) {
    if (!format::recorded_digest(extras, segment)) ++count;
  }
  return count;
}

}  // namespace

Result<VerifyReport> WeightFile::verify(const VerifyOptions& options) const {
  const State& state = *state_;
  const Result<format::Extras> extras = read_file_extras(state);
  if (!extras) return extras.error();
  Result<void> consistent = format::check_structure_digest(state.index);
  if (consistent) consistent = format::check_digests_of_chunks(state.index, *extras);
  if (!consistent) return consistent.error().with_context(path());

  Verification verification(*this, state.mapped, format::padding_ranges(state.header, state.index),
                            format::recorded_chunks(state.index, *extras));
  if (!verification.run(options)) {
    return Error(ErrorCode::kCancelled, concat(path(), ": cancelled"));
  }
  const std::uint64_t unknown = count_without_digest(*extras, segment_count());
  return VerifyReport{.bytes_checked = verification.total_bytes(),
                      .segments_checked = segment_count() - unknown,
                      .segments_without_digest = unknown,
                      .damages = verification.take_damages()};
}

}  // namespace weightmap
