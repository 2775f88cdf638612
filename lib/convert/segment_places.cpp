// SPDX-License-Identifier: Apache-2.0
#include "convert/segment_places.h"

#include <algorithm>
#include <bit>
#include <numeric>
#include <utility>

#include "base/path_text.h"
#include "base/text.h"
#include "io/directory.h"
#include "io/write_target.h"

namespace weightmap::convert {
namespace {

// The largest that all places have.
std::uint32_t alignment_of(const std::vector<format::Range>& segments) {
  std::uint64_t all = format::kMaxAlignmentBytes;
  for (const format::Range& segment : segments)
    all |= segment.offset_bytes;
  return std::uint32_t{1} << static_cast<unsigned>(std::countr_zero(all));
}

// The numbers of `count` segments in their new order; behind those that have places here stand
// those of the data files that there are.
std::vector<std::uint32_t> ordered(const std::vector<std::optional<SegmentPlace>>& places,
                                   std::size_t count) {
  using Key = std::pair<std::uint64_t, std::uint64_t>;
  std::vector<std::uint32_t> order(count);
  std::iota(order.begin(), order.end(), 0U);
  std::ranges::stable_sort(order, {}, [&places](std::uint32_t number) {
    if (number >= places.size()) return Key{1, 0};
    const std::optional<SegmentPlace>& place = places[number];
    return place ? Key{2 + std::uint64_t{place->file}, place->offset_bytes} : Key{0, 0};
  });
  return order;
}

void renumber_tensors(format::Content& content, const std::vector<std::uint32_t>& order) {
  std::vector<std::uint32_t> new_numbers(order.size());
  for (std::uint32_t i = 0; i < order.size(); ++i)
    new_numbers[order[i]] = i;
  for (format::TensorContent& tensor : content.tensors) {
    if (tensor.segment != format::kNoSegment) tensor.segment = new_numbers[tensor.segment];
  }
}

}  // namespace

std::vector<std::uint32_t> place_segments(Plan& plan,
                                          const std::vector<std::optional<SegmentPlace>>& places,
                                          std::vector<format::DataFileContent> files) {
  std::vector<std::uint32_t> order = ordered(places, plan.segments.size());
  std::vector<SegmentSource> segments;
  std::vector<std::uint64_t> own_sizes;
  for (const std::uint32_t old : order) {
    segments.push_back(plan.segments[old]);
    if (old >= places.size()) continue;
    const std::uint64_t size_bytes = plan.content.segment_sizes_bytes[old];
    const std::optional<SegmentPlace>& place = places[old];
    if (!place) own_sizes.push_back(size_bytes);
    if (place) files[place->file].segments.push_back({place->offset_bytes, size_bytes});
  }
  renumber_tensors(plan.content, order);
  plan.segments = std::move(segments);
  plan.content.segment_sizes_bytes = std::move(own_sizes);
  for (format::DataFileContent& file : files) {
    if (file.segments.empty()) continue;
    file.alignment_bytes = alignment_of(file.segments);
    plan.content.data_files.push_back(std::move(file));
  }
  return order;
}

Result<void> check_can_refer(const std::string& target) {
  const Result<std::string> real = io::real_path(target);
  if (!real) return real.error();
  if (*real == target) return {};
  const auto opened = io::directory_identity_of(target);
  if (!opened) return opened.error();
  const auto written = io::directory_identity_of(*real);
  if (!written) return written.error();
  if (*opened == *written) return {};
  return Error(ErrorCode::kInvalidArgument,
               concat(target, ": is a link to ", *real,
                      " in another directory: files that it refers to must lie beside both names"));
}

Result<void> check_is_beside(const io::File& file, const std::string& target) {
  Result<void> possible = check_can_refer(target);
  if (!possible) return possible;
  if (!is_valid_utf8(name_in(file.path()))) {
    return Error(ErrorCode::kInvalidArgument,
                 concat(file.path(),
                        ": its name is not UTF-8, which is all that an index can refer "
                        "to: rename it"));
  }
  const Result<io::Directory> directory = io::Directory::containing(target);
  if (!directory) return directory.error();
  const Result<io::File> found = directory->open_file(name_in(file.path()));
  if (found && found->identity() == file.identity()) return {};
  return Error(ErrorCode::kInvalidArgument, concat(target, ": must lie in the directory of ",
                                                   file.path(), ", which it refers to by name"));
}

}  // namespace weightmap::convert
