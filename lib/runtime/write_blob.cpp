// SPDX-License-Identifier: Apache-2.0
// A thread takes some segments at a time, reads and hashes them, and writes them itself: what it
// has just read is still in its processor's cache, and one thread alone is bound by copying.
#include "runtime/write_blob.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <limits>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "format/segment_digest.h"
#include "io/start_thread.h"

namespace weightmap {
namespace {

using Digests = format::SegmentDigester::Digests;

// Small segments are taken together, up to here.
constexpr std::uint64_t kUnitBytes = 8U << 20U;
// Of a blob: from here on threads gain more than they cost.
constexpr std::uint64_t kThreadedBytes = 16U << 20U;
constexpr std::chrono::milliseconds kTellEvery{50};

// Consecutive segments, and the range of the file up to where the next ones begin.
struct Unit {
  std::size_t first_segment = 0;
  std::size_t end_segment = 0;
  io::FilePart::Range range;
};

std::vector<Unit> units_of(const format::Layout& layout) {
  std::vector<Unit> units;
  std::uint64_t begin = layout.header.blob.offset_bytes;
  for (std::size_t i = 0; i < layout.segments.size(); ++i) {
    if (units.empty() || units.back().range.end - units.back().range.begin >= kUnitBytes)
      units.push_back({.first_segment = i, .end_segment = i, .range = {begin, begin}});
    units.back().end_segment = i + 1;
    begin = i + 1 < layout.segments.size() ? layout.segments[i + 1].offset_bytes
                                           : layout.file_size_bytes;
    units.back().range.end = begin;
  }
  return units;
}

std::size_t threads_for(const std::vector<Unit>& units, unsigned jobs) {
  const bool is_small =
      units.empty() || units.back().range.end - units.front().range.begin < kThreadedBytes;
  if (is_small) return 1;
  const unsigned wanted =
      jobs != 0 ? jobs : std::min(std::thread::hardware_concurrency(), kMostJobs);
  return std::clamp<std::size_t>(wanted, 1, units.size());
}

class BlobWriting {
 public:
  BlobWriting(const io::FileWriter& writer,
              const format::Layout& layout,
              const MakeBlobSource& make_source,
              unsigned jobs,
              ProgressTeller& progress)
      : writer_(writer),
        layout_(layout),
        make_source_(make_source),
        progress_(progress),
        units_(units_of(layout)),
        threads_(threads_for(units_, jobs)),
        // Of one large segment the reading alone takes a processor.
        parts_are_threaded_(jobs != 1 && threads_ == 1),
        digests_(layout.segments.size()) {}

  Result<void> run() {
    {
      std::vector<std::optional<std::jthread>> others;
      for (std::size_t i = 1; i < threads_; ++i)
        others.push_back(start_other());
      work([this] { return tell(); });
      while (wait_for_others())
        if (Result<void> going_on = tell(); !going_on) stop(0, going_on.error());
    }
    const Result<void> last = tell();
    return last ? outcome() : last;
  }

  format::ContentDigests digests() const {
    format::ContentDigests all;
    for (const Digests& digests : digests_)
      append_digests(all, digests);
    return all;
  }

 private:
  std::optional<std::jthread> start_other() {
    running_others_.fetch_add(1);
    auto thread = io::start_thread([this] {
      work([] { return Result<void>(); });
      end_other();
    });
    if (!thread) end_other();
    return thread;
  }

  void end_other() {
    const std::scoped_lock lock(mutex_);
    running_others_.fetch_sub(1);
    changed_.notify_all();
  }

  // Whether there is one still, after a while or when the last has ended.
  bool wait_for_others() {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, kTellEvery, [this] { return running_others_ == 0; });
    return running_others_ > 0;
  }

  // Unit by unit, until none is left or an earlier one has failed.
  template <typename Tell>
  void work(const Tell& tell_now) {
    const std::unique_ptr<BlobSource> source = make_source_();
    for (std::size_t unit = next_unit_++; unit < units_.size() && !is_stopped(unit);
         unit = next_unit_++) {
      Result<void> written = write_unit(unit, *source, tell_now);
      if (!written) stop(unit, written.error());
    }
  }

  template <typename Tell>
  Result<void> write_unit(std::size_t unit, BlobSource& source, const Tell& tell_now) {
    io::FilePart part = writer_.part(units_[unit].range, parts_are_threaded_);
    for (std::size_t i = units_[unit].first_segment; i < units_[unit].end_segment; ++i) {
      Result<void> done = part.pad_to(layout_.segments[i].offset_bytes);
      if (done) done = source.begin_segment(i);
      if (done) done = write_segment(unit, i, source, part, tell_now);
      if (done) done = source.end_segment();
      if (!done) return done;
    }
    Result<void> padded = part.pad_to(units_[unit].range.end);
    return padded ? part.finish() : padded;
  }

  template <typename Tell>
  Result<void> write_segment(std::size_t unit,
                             std::size_t segment,
                             BlobSource& source,
                             io::FilePart& part,
                             const Tell& tell_now) {
    const std::uint64_t size_bytes = layout_.segments[segment].size_bytes;
    format::SegmentDigester digester(size_bytes);
    for (std::uint64_t done = 0; done < size_bytes;) {
      const std::span<std::byte> room = part.room(size_bytes - done);
      if (Result<void> read = source.read(room); !read) return read;
      digester.update(room);
      if (Result<void> written = part.advance(room.size()); !written) return written;
      done += room.size();
      done_bytes_ += room.size();
      if (Result<void> going_on = tell_now(); !going_on) return stop(0, going_on.error());
      if (is_stopped(unit)) return outcome();
    }
    digests_[segment] = digester.finish();
    return {};
  }

  // By the caller's thread only. Who has been told that it goes wrong, or has stopped it, is not
  // asked again.
  Result<void> tell() {
    if (is_stopped(units_.size())) return {};
    const std::uint64_t done = done_bytes_;
    return progress_.tell(done - std::exchange(told_bytes_, done));
  }

  // Units before one that failed go on: theirs is the error to tell, if they have any.
  bool is_stopped(std::size_t unit) const { return unit >= stopped_from_; }

  Error stop(std::size_t unit, const Error& error) {
    const std::scoped_lock lock(mutex_);
    if (unit < stopped_from_) {
      error_ = error;
      stopped_from_ = unit;
    }
    return error;
  }

  Result<void> outcome() const {
    const std::scoped_lock lock(mutex_);
    return error_ ? Result<void>(*error_) : Result<void>();
  }

  const io::FileWriter& writer_;
  const format::Layout& layout_;
  const MakeBlobSource& make_source_;
  ProgressTeller& progress_;
  const std::vector<Unit> units_;
  const std::size_t threads_;
  const bool parts_are_threaded_;
  std::vector<Digests> digests_;  // by segment

  std::atomic<std::size_t> next_unit_ = 0;
  std::atomic<std::uint64_t> done_bytes_ = 0;
  std::atomic<std::size_t> running_others_ = 0;
  std::atomic<std::size_t> stopped_from_ = std::numeric_limits<std::size_t>::max();
  std::uint64_t told_bytes_ = 0;

  mutable std::mutex mutex_;  // guards:
  std::condition_variable changed_;
  std::optional<Error> error_;  // of the unit stopped_from_, or the wish to stop
};

}  // namespace

Result<format::ContentDigests> write_blob(io::FileWriter& writer,
                                          const format::Layout& layout,
                                          const MakeBlobSource& make_source,
                                          unsigned jobs,
                                          ProgressTeller& progress) {
  BlobWriting writing(writer, layout, make_source, jobs, progress);
  const Result<void> written = writing.run();
  if (!written) return written.error();
  const Result<void> passed = writer.pass_to(layout.file_size_bytes);
  if (!passed) return passed.error();
  return writing.digests();
}

}  // namespace weightmap
