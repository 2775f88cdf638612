// SPDX-License-Identifier: Apache-2.0
// A thread takes a part at a time, reads what it is made of, hashes it and writes it itself: what
// it has just read is still in its processor's cache, and one thread alone is bound by copying.
#include "runtime/write_parts.h"

#include <algorithm>

namespace weightmap {
namespace {

// Small items are taken together, up to here.
constexpr std::uint64_t kPartBytes = 8U << 20U;

std::uint64_t size_of(const io::FilePart::Range& range) {
  return range.end - range.begin;
}

std::uint64_t size_of(std::span<const ItemsPart> parts) {
  return parts.empty() ? 0 : parts.back().range.end - parts.front().range.begin;
}

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
  const std::size_t threads = io::threads_for(size_of(parts), jobs);
  // When all others are done half of such a part would still be left: it is read by one thread and
  // written by another. There are at most half as many as threads.
  const auto is_for_two = [&](const ItemsPart& part) {
    return size_of(part.range) >= io::kThreadedBytes &&
           size_of(part.range) / 2 > size_of(parts) / (threads + 1);
  };
  const auto writers = static_cast<std::size_t>(std::ranges::count_if(parts, is_for_two));
  const auto make_worker = [&]() -> io::Worker {
    return [&, filler = std::shared_ptr<PartFiller>(make_filler())](
               std::size_t number, const io::WorkProgress& more) -> Result<void> {
      const ItemsPart& part = parts[number];
      io::FilePart into = writer.part(part.range, is_for_two(part));
      Result<void> filled = filler->fill(part, into, more);
      return filled ? into.finish() : filled;
    };
  };
  Result<void> written = io::share_work({.items = parts.size(),
                                         .threads = threads - writers,
                                         .make_worker = make_worker,
                                         .tell = progress.as_work_progress()});
  if (!written || parts.empty()) return written;
  return writer.pass_to(parts.back().range.end);
}

}  // namespace weightmap
