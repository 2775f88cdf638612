// SPDX-License-Identifier: Apache-2.0
#include "listing.h"

#include <algorithm>
#include <tuple>
#include <utility>

namespace weightmap::tool {
namespace {

ListedTensor listed(const CheckpointTensor& tensor) {
  const TensorView view({.name = tensor.name,
                         .dtype = tensor.dtype,
                         .flags = tensor.flags,
                         .shape = tensor.shape,
                         .strides = tensor.strides});
  return {view, tensor.segment, tensor.offset_bytes, tensor.extent_bytes};
}

// REQUIRES: the listing's tensors are those of the same checkpoint.
CompositeView listed(const CheckpointComposite& composite, const Listing& listing) {
  CompositeView::Facts facts{.name = composite.name,
                             .kind = composite.kind,
                             .dtype = composite.dtype,
                             .flags = composite.flags,
                             .shape = composite.shape,
                             .reals = composite.reals,
                             .integers = composite.integers,
                             .class_name = composite.class_name};
  for (const CheckpointPart& part : composite.parts) {
    facts.parts.push_back({part.role, part.tensor, listing.tensors[part.tensor].view});
  }
  return CompositeView(std::move(facts));
}

std::vector<SegmentInfo> segments_of(const std::vector<CheckpointTensor>& tensors) {
  std::vector<SegmentInfo> segments;
  for (const CheckpointTensor& tensor : tensors) {
    if (!tensor.segment) continue;
    if (*tensor.segment >= segments.size()) segments.resize(*tensor.segment + std::size_t{1});
    segments[*tensor.segment] = {.data_file = tensor.file,
                                 .offset_bytes = tensor.segment_offset_bytes,
                                 .size_bytes = tensor.segment_size_bytes};
  }
  return segments;
}

struct Range {
  std::uint32_t segment;  // no two have bytes in common
  std::uint64_t begin_bytes, end_bytes;
};

std::vector<Range> ascending_ranges(const Listing& listing) {
  std::vector<Range> ranges;
  for (const ListedTensor& tensor : listing.tensors) {
    if (!tensor.segment || tensor.size_bytes == 0) continue;
    ranges.push_back(
        {*tensor.segment, tensor.offset_bytes, tensor.offset_bytes + tensor.size_bytes});
  }
  const auto place = [](const Range& range) {
    return std::tuple(range.segment, range.begin_bytes);
  };
  if (!std::ranges::is_sorted(ranges, {}, place)) std::ranges::sort(ranges, {}, place);
  return ranges;
}

Result<Listing> list_opened(const WeightFile& file) {
  auto values = file.values();
  if (!values) return values.error();
  Listing listing = list_weight_file(file);
  listing.values = std::move(*values);
  return listing;
}

}  // namespace

Listing list_weight_file(const WeightFile& file) {
  Listing listing{.path = file.path(),
                  .kind = "weight file",
                  .format_version = file.format_version(),
                  .digest = file.digest(),
                  .alignment_bytes = file.alignment_bytes(),
                  .size_bytes = file.size_bytes(),
                  .data_files = file.data_files(),
                  .modules = file.modules(),
                  .owner = std::make_shared<WeightFile>(file)};
  for (std::uint32_t i = 0; i < file.tensor_count(); ++i) {
    const TensorView view = file.tensor(i);
    const TensorPlace place = file.place(i);
    listing.tensors.push_back({view, place.segment, place.offset_bytes, place.size_bytes});
  }
  for (std::uint32_t i = 0; i < file.composite_count(); ++i) {
    listing.composites.push_back(file.composite(i));
  }
  for (std::uint32_t i = 0; i < file.segment_count(); ++i) {
    listing.segments.push_back(file.segment(i));
  }
  return listing;
}

Listing list_checkpoint(const std::string& path, CheckpointContent content) {
  const auto kept = std::make_shared<const CheckpointContent>(std::move(content));
  Listing listing{.path = path,
                  .kind = kept->source_kind,
                  .size_bytes = kept->size_bytes,
                  .segments = segments_of(kept->tensors),
                  .values = kept->values,
                  .owner = kept};
  // The first is the one that was given: its name stands above.
  for (const CheckpointFile& file : kept->files) {
    DataFileInfo info{.size_bytes = file.size_bytes};
    if (listing.data_files.empty()) {
      info.kind = kept->source_kind;
    } else {
      info.name = file.path;
      info.name.remove_prefix(file.path.rfind('/') + 1);
    }
    listing.data_files.push_back(info);
  }
  for (const CheckpointTensor& tensor : kept->tensors) {
    listing.tensors.push_back(listed(tensor));
  }
  for (const CheckpointComposite& composite : kept->composites) {
    listing.composites.push_back(listed(composite, listing));
  }
  for (const CheckpointModule& module : kept->modules) {
    listing.modules.push_back({module.path, module.version});
  }
  return listing;
}

Result<Listing> list_any(const std::string& path, const CheckpointOptions& options) {
  const auto file = WeightFile::open(path, look_only());
  if (file && !options.root.empty()) {
    return Error(ErrorCode::kInvalidArgument,
                 path + ": --root is for checkpoints, this is a weight file");
  }
  if (file) return list_opened(*file);
  const bool is_other = file.error().code() == ErrorCode::kWrongKind ||
                        file.error().code() == ErrorCode::kInvalidArgument;  // a directory
  if (!is_other) return file.error();
  auto content = read_checkpoint(path, options);
  if (!content) return content.error();
  return list_checkpoint(path, std::move(*content));
}

std::uint64_t data_bytes(const Listing& listing) {
  std::uint64_t sum = 0;
  for (const SegmentInfo& segment : listing.segments) {
    sum += segment.size_bytes;
  }
  return sum;
}

std::uint64_t shared_bytes(const Listing& listing) {
  std::uint64_t shared = 0;
  Range seen{0, 0, 0};  // the last range of bytes that some tensor refers to
  for (const Range& range : ascending_ranges(listing)) {
    if (range.segment != seen.segment || range.begin_bytes >= seen.end_bytes) {
      seen = range;
      continue;
    }
    shared += std::min(range.end_bytes, seen.end_bytes) - range.begin_bytes;
    seen.end_bytes = std::max(range.end_bytes, seen.end_bytes);
  }
  return shared;
}

}  // namespace weightmap::tool
