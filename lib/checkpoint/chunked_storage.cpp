// SPDX-License-Identifier: Apache-2.0
// Chunk and whole are both row-major, so the bytes of a chunk come in the same order in both: those
// that fall into a window of the whole are one range of the chunk.
#include "checkpoint/chunked_storage.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <numeric>

#include "base/checked.h"
#include "base/strided.h"
#include "base/text.h"

namespace weightmap::checkpoint {
namespace {

constexpr std::size_t kPieceBytes = std::size_t{256} << 10U;

// The first byte of the chunk that stands at `position` of the whole or later; the chunk's size if
// there is none.
std::uint64_t first_at(const Chunk& chunk, std::uint64_t position) {
  std::uint64_t whole_below = 1;  // bytes of the whole below the dimension
  std::uint64_t chunk_below = 1;
  for (std::size_t i = 0; i < chunk.shape.size(); ++i) {
    whole_below *= chunk.shape[i];
    chunk_below *= chunk.sizes[i];
  }
  if (position >= whole_below) return chunk_below;
  std::uint64_t before = 0;  // boxes of the dimensions so far that lie wholly before it
  for (std::size_t i = 0; i < chunk.shape.size(); ++i) {
    whole_below /= chunk.shape[i];
    const std::uint64_t at = position / whole_below;
    position %= whole_below;
    if (at < chunk.offsets[i]) return before * chunk_below;
    if (at >= chunk.offsets[i] + chunk.sizes[i]) return (before + 1) * chunk_below;
    before = before * chunk.sizes[i] + (at - chunk.offsets[i]);
    chunk_below /= chunk.sizes[i];
  }
  return before;
}

// Where a byte of the chunk stands.
struct Place {
  std::uint64_t in_whole = 0;
  std::uint64_t in_file = 0;    // from the chunk's first byte
  std::uint64_t row_bytes = 0;  // so many are neighbours in both
};

Place place_of(const Chunk& chunk, std::uint64_t byte) {
  Place place{.in_file = chunk.strides.empty() ? byte : 0};
  std::uint64_t whole_stride = 1;
  for (std::size_t i = chunk.shape.size(); i-- > 0;) {
    const std::uint64_t at = byte % chunk.sizes[i];
    byte /= chunk.sizes[i];
    place.in_whole += (chunk.offsets[i] + at) * whole_stride;
    if (!chunk.strides.empty()) place.in_file += at * chunk.strides[i];
    if (i + 1 == chunk.shape.size()) place.row_bytes = chunk.sizes[i] - at;
    whole_stride *= chunk.shape[i];
  }
  return place;
}

// The bytes [begin, end) of a chunk, to their places in a window of the whole.
class ChunkCopy {
 public:
  ChunkCopy(const Chunk& chunk, const io::File& file, std::uint64_t window_begin)
      : chunk_(chunk), file_(file), window_begin_(window_begin) {}

  Result<void> run(std::uint64_t begin, std::uint64_t end, std::span<std::byte> window) const {
    while (begin < end) {
      const auto copied =
          chunk_.strides.empty() ? copy_piece(begin, end, window) : copy_row(begin, end, window);
      if (!copied) return copied.error();
      begin += *copied;
    }
    return {};
  }

 private:
  // As many rows as a piece holds, read at once.
  Result<std::uint64_t> copy_piece(std::uint64_t begin,
                                   std::uint64_t end,
                                   std::span<std::byte> window) const {
    const Place first = place_of(chunk_, begin);
    if (first.row_bytes >= std::min<std::uint64_t>(end - begin, kPieceBytes)) {
      return copy_row(begin, end, window);
    }
    std::vector<std::byte> piece(std::min<std::uint64_t>(end - begin, kPieceBytes));
    auto read = file_.read_at(chunk_.begin_bytes + begin, piece);
    if (!read) return read.error();
    for (std::size_t done = 0; done < piece.size();) {
      const Place place = place_of(chunk_, begin + done);
      const std::size_t size = std::min<std::uint64_t>(place.row_bytes, piece.size() - done);
      std::memcpy(window.data() + (place.in_whole - window_begin_), piece.data() + done, size);
      done += size;
    }
    return piece.size();
  }

  Result<std::uint64_t> copy_row(std::uint64_t begin,
                                 std::uint64_t end,
                                 std::span<std::byte> window) const {
    const Place place = place_of(chunk_, begin);
    const std::uint64_t size = std::min(place.row_bytes, end - begin);
    auto read = file_.read_at(chunk_.begin_bytes + place.in_file,
                              window.subspan(place.in_whole - window_begin_, size));
    if (!read) return read.error();
    return size;
  }

  const Chunk& chunk_;
  const io::File& file_;
  std::uint64_t window_begin_;
};

// Rows that are whole rows of the tensor are one longer row.
void join_dimensions(Chunk& chunk) {
  while (chunk.shape.size() > 1 && chunk.sizes.back() == chunk.shape.back()) {
    const std::uint64_t inner = chunk.shape.back();
    for (auto* const list : {&chunk.shape, &chunk.offsets, &chunk.sizes}) {
      list->pop_back();
      list->back() *= inner;
    }
  }
}

bool overlaps(const Box& a, const Box& b) {
  for (std::size_t i = 0; i < a.sizes.size(); ++i) {
    const bool is_apart =
        a.offsets[i] + a.sizes[i] <= b.offsets[i] || b.offsets[i] + b.sizes[i] <= a.offsets[i];
    if (is_apart) return false;
  }
  return true;
}

// The dimension along which boxes begin at the most places: there, few of them stand side by side.
std::size_t longest_cut(std::span<const Box> boxes, std::size_t rank) {
  std::size_t best = 0;
  std::size_t most = 0;
  std::vector<std::int64_t> begins(boxes.size());
  for (std::size_t i = 0; i < rank; ++i) {
    std::ranges::transform(boxes, begins.begin(), [i](const Box& box) { return box.offsets[i]; });
    std::ranges::sort(begins);
    const auto count =
        static_cast<std::size_t>(std::unique(begins.begin(), begins.end()) - begins.begin());
    if (count > most) {
      best = i;
      most = count;
    }
  }
  return best;
}

// Two boxes that overlap also do so along one dimension: only those are compared.
Result<void> check_apart(std::span<const Box> boxes,
                         std::size_t along,
                         std::uint64_t& comparisons_left) {
  std::vector<Box> sorted(boxes.begin(), boxes.end());
  std::ranges::sort(sorted, {}, [along](const Box& box) { return box.offsets[along]; });
  for (std::size_t i = 0; i < sorted.size(); ++i) {
    const std::int64_t end = sorted[i].offsets[along] + sorted[i].sizes[along];
    for (std::size_t k = i + 1; k < sorted.size() && sorted[k].offsets[along] < end; ++k) {
      if (comparisons_left == 0) {
        return Error(ErrorCode::kUnsupported, "has too many chunks side by side");
      }
      --comparisons_left;
      if (overlaps(sorted[i], sorted[k])) {
        return Error(ErrorCode::kCorrupt,
                     concat("has chunks that overlap, at ", list_text(sorted[i].offsets),
                            " and at ", list_text(sorted[k].offsets)));
      }
    }
  }
  return {};
}

}  // namespace

Chunk make_chunk(Dtype dtype, std::span<const std::int64_t> shape, const ChunkPlace& place) {
  const std::uint64_t element_bytes = dtype_info(dtype).element_bits / 8;
  Chunk chunk{.file = place.file, .begin_bytes = place.begin_bytes};
  chunk.shape.assign(shape.begin(), shape.end());
  chunk.offsets.assign(place.offsets.begin(), place.offsets.end());
  chunk.sizes.assign(place.sizes.begin(), place.sizes.end());
  chunk.shape.push_back(element_bytes);
  chunk.offsets.push_back(0);
  chunk.sizes.push_back(element_bytes);
  if (is_contiguous(place.sizes, place.strides)) {
    join_dimensions(chunk);
    return chunk;
  }
  for (const std::int64_t stride : place.strides)
    chunk.strides.push_back(static_cast<std::uint64_t>(stride) * element_bytes);
  chunk.strides.push_back(1);
  return chunk;
}

Result<void> check_tiling(std::span<const std::int64_t> shape,
                          std::span<const Box> boxes,
                          std::uint64_t& comparisons_left) {
  std::int64_t left = *checked_element_count(shape);
  for (const Box& box : boxes) {
    std::int64_t count = 1;
    for (std::size_t i = 0; i < shape.size(); ++i) {
      const bool fits = box.offsets[i] <= shape[i] && box.sizes[i] <= shape[i] - box.offsets[i];
      if (!fits) {
        return Error(ErrorCode::kCorrupt,
                     concat("of ", list_text(shape), " has a chunk of ", list_text(box.sizes),
                            " at ", list_text(box.offsets), ", which does not lie inside"));
      }
      count *= box.sizes[i];
    }
    // Before they are proven to be apart, they may be more than the whole.
    if (count > left) return Error(ErrorCode::kCorrupt, "has chunks that overlap");
    left -= count;
  }
  if (left > 0) {
    return Error(ErrorCode::kCorrupt,
                 concat("of ", list_text(shape), " has no chunk for ", left, " of its elements"));
  }
  return boxes.size() < 2 ? Result<void>()
                          : check_apart(boxes, longest_cut(boxes, shape.size()), comparisons_left);
}

Result<void> read_chunked(const ChunkedStorage& storage,
                          std::span<const io::File> files,
                          std::uint64_t begin_bytes,
                          std::span<std::byte> into) {
  for (const Chunk& chunk : storage.chunks) {
    const std::uint64_t begin = first_at(chunk, begin_bytes);
    const std::uint64_t end = first_at(chunk, begin_bytes + into.size());
    auto copied = ChunkCopy(chunk, files[chunk.file], begin_bytes).run(begin, end, into);
    if (!copied) return copied;
  }
  return {};
}

}  // namespace weightmap::checkpoint
