// SPDX-License-Identifier: Apache-2.0
#include "checkpoint/chunked_storage.h"

#include <algorithm>
#include <functional>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "base/text.h"
#include "opened.h"

namespace weightmap::tests {
namespace {

using checkpoint::Box;
using checkpoint::Chunk;
using Sizes = std::vector<std::int64_t>;

TEST_SUITE_BEGIN("checkpoint/chunked_storage");

struct OwnedBox {
  Sizes offsets, sizes;
};

// Cuts boxes in two at random places until there are enough, or nothing is left to cut.
std::vector<OwnedBox> random_tiling(const Sizes& shape, std::size_t count, std::mt19937& random) {
  std::vector<OwnedBox> boxes{{Sizes(shape.size(), 0), shape}};
  for (int attempt = 0; attempt < 200 && boxes.size() < count && !shape.empty(); ++attempt) {
    OwnedBox& box = boxes[random() % boxes.size()];
    const std::size_t along = random() % shape.size();
    if (box.sizes[along] < 2) continue;
    const auto cut = 1 + static_cast<std::int64_t>(random()) % (box.sizes[along] - 1);
    OwnedBox rest = box;
    rest.offsets[along] += cut;
    rest.sizes[along] -= cut;
    box.sizes[along] = cut;
    boxes.push_back(rest);
  }
  std::ranges::shuffle(boxes, random);
  return boxes;
}

Sizes strides_in_order(const Sizes& sizes, const std::vector<std::size_t>& order) {
  Sizes strides(sizes.size());
  std::int64_t stride = 1;
  for (const std::size_t i : order) {
    strides[i] = stride;
    stride *= sizes[i];
  }
  return strides;
}

// Calls with each index of a box, the last dimension first.
template <typename Call>
void for_each(const Sizes& sizes, const Call& call) {
  Sizes at(sizes.size(), 0);
  for (;;) {
    call(at);
    std::size_t i = at.size();
    while (i > 0 && ++at[i - 1] == sizes[i - 1])
      at[--i] = 0;
    if (i == 0) return;
  }
}

std::int64_t place(const Sizes& at, const Sizes& strides) {
  return std::inner_product(at.begin(), at.end(), strides.begin(), std::int64_t{0});
}

// A whole of noise in pieces of one file, and the chunks that say where they are.
struct Pieces {
  std::string whole, file;
  checkpoint::ChunkedStorage storage;
};

Pieces cut_up(const Sizes& shape, bool is_row_major, std::mt19937& random) {
  constexpr std::size_t kElement = 4;
  std::vector<std::size_t> order(shape.size());
  for (std::size_t i = 0; i < order.size(); ++i)
    order[i] = order.size() - 1 - i;
  const Sizes whole_strides = strides_in_order(shape, order);
  const auto count = static_cast<std::size_t>(
      std::accumulate(shape.begin(), shape.end(), std::int64_t{1}, std::multiplies<>()));
  Pieces pieces{.whole = noise(count * kElement, random())};
  for (const OwnedBox& box : random_tiling(shape, 1 + random() % 12, random)) {
    if (!is_row_major) std::ranges::shuffle(order, random);
    const Sizes strides = strides_in_order(box.sizes, order);
    pieces.file += noise(random() % 50);
    const std::size_t begin = pieces.file.size();
    pieces.storage.chunks.push_back(checkpoint::make_chunk(
        Dtype::kFloat32, shape,
        {.begin_bytes = begin, .offsets = box.offsets, .sizes = box.sizes, .strides = strides}));
    const auto elements =
        std::accumulate(box.sizes.begin(), box.sizes.end(), std::int64_t{1}, std::multiplies<>());
    pieces.file.resize(begin + static_cast<std::size_t>(elements) * kElement);
    for_each(box.sizes, [&](const Sizes& at) {
      Sizes in_whole(at.size());
      std::ranges::transform(at, box.offsets, in_whole.begin(), std::plus<>());
      const auto from = static_cast<std::size_t>(place(in_whole, whole_strides)) * kElement;
      const auto to = begin + static_cast<std::size_t>(place(at, strides)) * kElement;
      pieces.file.replace(to, kElement, pieces.whole, from, kElement);
    });
  }
  return pieces;
}

void check_windows(const Pieces& pieces, std::mt19937& random) {
  const TempDir directory;
  write_file(directory / "pieces", pieces.file);
  auto file = io::File::open(directory / "pieces");
  REQUIRE(file);
  const std::vector<io::File> files{*file};
  for (int i = 0; i < 20; ++i) {
    const std::size_t begin = random() % pieces.whole.size();
    const std::size_t size =
        i == 0 ? pieces.whole.size() - begin : random() % (pieces.whole.size() - begin);
    std::string window(size, '\0');
    const auto read = checkpoint::read_chunked(pieces.storage, files, begin,
                                               std::as_writable_bytes(std::span(window)));
    REQUIRE_MESSAGE(read, message_of(read));
    REQUIRE(window == pieces.whole.substr(begin, size));
  }
}

TEST_CASE("any window of a whole is put together from any tiling of it") {
  std::mt19937 random(1);
  const Sizes shapes[] = {{},           {1},       {17},
                          {4, 6},       {1, 9, 1}, {5, 1, 7},
                          {3, 4, 5, 2}, {64, 1},   {2, 2, 2, 2, 2, 2},
                          {300, 2, 3},  {7, 200},  {150, 3, 200}};
  for (const Sizes& shape : shapes) {
    CAPTURE(list_text(shape));
    for (int round = 0; round < 4; ++round)
      check_windows(cut_up(shape, round % 2 == 0, random), random);
  }
}

TEST_CASE("a file that is cut short under a chunk is an error") {
  std::mt19937 random(2);
  Pieces pieces = cut_up({20, 30}, true, random);
  pieces.file.pop_back();
  const TempDir directory;
  write_file(directory / "pieces", pieces.file);
  const std::vector<io::File> files{*io::File::open(directory / "pieces")};
  std::string window(pieces.whole.size(), '\0');
  const auto read =
      checkpoint::read_chunked(pieces.storage, files, 0, std::as_writable_bytes(std::span(window)));
  REQUIRE_FALSE(read);
  CHECK(read.error().code() == ErrorCode::kCorrupt);
}

std::vector<Box> boxes_of(const std::vector<OwnedBox>& owned) {
  std::vector<Box> boxes;
  for (const OwnedBox& box : owned)
    boxes.push_back({.offsets = box.offsets, .sizes = box.sizes});
  return boxes;
}

TEST_CASE("a tiling is known from what only looks like one") {
  std::mt19937 random(3);
  const Sizes shape{6, 7, 8};
  for (int round = 0; round < 200; ++round) {
    CAPTURE(round);
    std::vector<OwnedBox> tiling = random_tiling(shape, 2 + random() % 20, random);
    std::uint64_t comparisons = checkpoint::kMaxChunkComparisons;
    const auto tiles = checkpoint::check_tiling(shape, boxes_of(tiling), comparisons);
    REQUIRE_MESSAGE(tiles, message_of(tiles));
    // Moved by one, a box leaves the shape or covers what another one has.
    OwnedBox& box = tiling[random() % tiling.size()];
    const std::size_t along = random() % shape.size();
    if (box.sizes[along] == shape[along]) continue;
    box.offsets[along] += box.offsets[along] > 0 ? -1 : 1;
    CHECK_FALSE(checkpoint::check_tiling(shape, boxes_of(tiling), comparisons));
  }
}

TEST_CASE("boxes side by side cost as many comparisons as are allowed and no more") {
  const std::int64_t count = 2000;
  std::vector<OwnedBox> columns;
  for (std::int64_t i = 0; i < count; ++i)
    columns.push_back({{0, i}, {5, 1}});
  std::uint64_t comparisons = 10;
  CHECK(checkpoint::check_tiling(Sizes{5, count}, boxes_of(columns), comparisons));
  CHECK(comparisons == 10);
  // Along each dimension many overlap.
  std::vector<OwnedBox> grid;
  for (std::int64_t i = 0; i < 20; ++i) {
    for (std::int64_t k = 0; k < 20; ++k)
      grid.push_back({{i, k}, {1, 1}});
  }
  const auto refused = checkpoint::check_tiling(Sizes{20, 20}, boxes_of(grid), comparisons);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code() == ErrorCode::kUnsupported);
  CHECK(comparisons == 0);
}

TEST_SUITE_END();

}  // namespace
}  // namespace weightmap::tests
