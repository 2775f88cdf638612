// SPDX-License-Identifier: Apache-2.0
#include "weightmap/prefault.h"

#include <algorithm>
#include <utility>

#include "base/text.h"
#include "format/flatbuffer.h"
#include "io/start_thread.h"
#include "runtime/page_ranges.h"
#include "runtime/prefault_work.h"
#include "runtime/weight_file_state.h"

namespace weightmap {
namespace {

constexpr std::uint64_t kSliceBytes = std::uint64_t{32} << 20U;
constexpr std::uint64_t kNearBytes = std::uint64_t{64} << 10U;  // less than a call costs

}  // namespace

Result<PageRanges> PageRanges::of(const WeightFile::State& file,
                                  std::span<const std::uint32_t> tensors) {
  PageRanges ranges(file);
  Result<void> added;
  for (std::size_t i = 0; added && i < tensors.size(); ++i)
    added = ranges.add_tensor(tensors[i]);
  const std::size_t data_files = tensors.empty() ? file.siblings.size() + 1 : 0;
  for (std::uint32_t number = 0; added && number < data_files; ++number) {
    const io::MappedFile* const mapped = file.file(number);
    added = ranges.add(number, {0, mapped == nullptr ? 0 : mapped->bytes().size()});
  }
  if (!added) return added.error();
  return ranges;
}

Result<void> PageRanges::add_tensor(std::uint32_t number) {
  const fb::Entry& entry = file_.index.entries[number];
  const std::optional<format::Range> place = file_.index.place(entry);
  if (!place || place->size_bytes == 0) return {};
  return add(file_.index.data_file_of(entry.segment()), *place);
}

// What continues the last piece becomes a part of it.
Result<void> PageRanges::add(std::uint32_t data_file, const format::Range& range) {
  if (file_.file(data_file) == nullptr) {
    const auto* const name = file_.index.root->data_files()->Get(data_file)->name();
    return Error(ErrorCode::kNotFound, concat(file_.path(), ": its data file ",
                                              quoted(format::text_of(name)), " is not open"));
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
    const io::MappedFile& mapped = *file_.file(piece.data_file);
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
  return prefault(state_of(file), options);
}

Result<void> prefault(const WeightFile::State& file, const PrefaultOptions& options) {
  const Result<PageRanges> ranges = PageRanges::of(file, options.tensors);
  if (!ranges) return ranges.error();
  return ranges->prefault([&](std::uint64_t done) {
    return !options.progress || options.progress(done, ranges->total_bytes());
  });
}

PrefaultWork::PrefaultWork(const WeightFile::State& file, PrefaultOptions options)
    : file_(file), options_(std::move(options)), thread_(io::start_thread([this] { run(); })) {
  if (thread_) return;
  outcome_ = Error(ErrorCode::kIo, concat(file_.path(), ": there is no thread for a prefault"));
  is_done_ = true;
}

void PrefaultWork::run() {
  const Result<PageRanges> ranges = PageRanges::of(file_, options_.tensors);
  if (ranges) total_bytes_ = ranges->total_bytes();
  outcome_ = ranges ? ranges->prefault([this](std::uint64_t done) { return go_on(done); })
                    : Result<void>(ranges.error());
  is_done_ = true;
}

bool PrefaultWork::go_on(std::uint64_t done) {
  done_bytes_ = done;
  return !is_cancelled_ && (!options_.progress || options_.progress(done, total_bytes_));
}

struct BackgroundPrefault::Work {
  Work(WeightFile weights, PrefaultOptions options)
      : file(std::move(weights)), prefault(state_of(file), std::move(options)) {}

  const WeightFile file;
  PrefaultWork prefault;
};

BackgroundPrefault::BackgroundPrefault(WeightFile file, PrefaultOptions options)
    : work_(std::make_unique<Work>(std::move(file), std::move(options))) {}

BackgroundPrefault::~BackgroundPrefault() = default;
BackgroundPrefault::BackgroundPrefault(BackgroundPrefault&&) noexcept = default;
BackgroundPrefault& BackgroundPrefault::operator=(BackgroundPrefault&&) noexcept = default;

bool BackgroundPrefault::is_done() const {
  return work_->prefault.is_done();
}

std::uint64_t BackgroundPrefault::done_bytes() const {
  return work_->prefault.done_bytes();
}

std::uint64_t BackgroundPrefault::total_bytes() const {
  return work_->prefault.total_bytes();
}

void BackgroundPrefault::cancel() {
  work_->prefault.cancel();
}

Result<void> BackgroundPrefault::wait() {
  work_->prefault.join();
  return work_->prefault.outcome();
}

}  // namespace weightmap
