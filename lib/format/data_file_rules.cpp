// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <vector>

#include "base/checked.h"
#include "format/faults.h"
#include "format/flatbuffer.h"
#include "format/index_rules.h"

namespace weightmap::format {
namespace {

constexpr std::size_t kMaxFileNameBytes = 255;

std::string_view own_file_fault(const fb::DataFile& file, const Header& header) {
  if (file.kind() != fb::DataFileKind::self) return "is not of the kind self";
  if (!text_of(file.name()).empty()) return "has a name";
  if (file.size_bytes() != header.blob.end()) return "has another size than the file";
  if (file.alignment_bytes() != header.alignment_bytes) {
    return "has another alignment than the header";
  }
  return is_recorded(file.identity()) ? "has an identity" : "";
}

std::string_view file_name_fault(std::string_view name) {
  if (name.empty() || name == "." || name == "..") return "has no name of a file";
  if (name.size() > kMaxFileNameBytes) return "has a name of more than 255 bytes";
  if (name.find('/') != std::string_view::npos) return "has a name with a slash";
  return text_fault(name).empty() ? "" : "has a name with a NUL character or invalid UTF-8";
}

std::string_view sibling_fault(const fb::DataFile& file) {
  const bool is_known =
      file.kind() > fb::DataFileKind::self && file.kind() <= fb::DataFileKind::MAX;
  if (!is_known) return "is not of a kind that a sibling can be";
  if (!is_alignment(file.alignment_bytes(), 1)) return "has an alignment that is none";
  if (!is_recorded(file.identity())) return "has no identity";
  return file_name_fault(text_of(file.name()));
}

Error bad_file(std::uint32_t number, const fb::DataFile& file, std::string_view fault) {
  return corrupt("data file ", number, " (", quoted(text_of(file.name())), ") ", fault, ": kind ",
                 static_cast<unsigned>(file.kind()), ", ", file.size_bytes(), " bytes, alignment ",
                 file.alignment_bytes());
}

Result<void> check_names_differ(const flatbuffers::Vector<flatbuffers::Offset<fb::DataFile>>& all) {
  if (all.size() < 3) return {};  // the file itself has no name
  std::vector<std::string_view> names;
  names.reserve(all.size());
  for (const fb::DataFile* file : all)
    names.push_back(text_of(file->name()));
  std::ranges::sort(names);
  const auto twice = std::ranges::adjacent_find(names);
  if (twice == names.end()) return {};
  return corrupt("two data files have the name ", quoted(*twice));
}

std::string segment_text(std::uint32_t number, const fb::Segment& segment) {
  return concat("segment ", number, " (", segment.size_bytes(), " bytes at ",
                segment.offset_bytes(), ")");
}

// What the segments of one data file are held against.
struct Bounds {
  std::uint64_t file_bytes = 0;
  std::uint64_t alignment_bytes = 1;
  std::uint64_t previous_end = 0;
};

std::string_view segment_fault(const fb::Segment& segment, const Bounds& bounds) {
  const std::uint64_t offset = segment.offset_bytes();
  if (segment.size_bytes() == 0) return "is empty";
  if (!range_fits(offset, segment.size_bytes(), bounds.file_bytes))
    return "reaches out of its file";
  if (offset < bounds.previous_end) return "does not begin after the one before it";
  return (offset & (bounds.alignment_bytes - 1)) == 0 ? "" : "is not aligned";
}

Error bad_segment(std::uint32_t number,
                  const fb::Segment& segment,
                  std::string_view fault,
                  const Bounds& bounds) {
  return corrupt(segment_text(number, segment), " ", fault, ": alignment ", bounds.alignment_bytes,
                 ", the one before it ends at ", bounds.previous_end, ", the file at ",
                 bounds.file_bytes);
}

Result<void> check_segments_of(const IndexView& view, const fb::DataFile& file) {
  Bounds bounds{file.size_bytes(), file.alignment_bytes()};
  const std::uint32_t first = file.first_segment();
  const auto segments = view.segments.subspan(first, file.segment_count());
  for (std::uint32_t i = 0; i < segments.size(); ++i) {
    const std::string_view fault = segment_fault(segments[i], bounds);
    if (!fault.empty()) return bad_segment(first + i, segments[i], fault, bounds);
    bounds.previous_end = segments[i].offset_bytes() + segments[i].size_bytes();
  }
  return {};
}

// The segments of the file itself leave no more room between them than alignment asks for. Nothing
// wraps: every end lies in the file, whose end is aligned up at most by the last step.
Result<void> check_blob_is_filled(const IndexInput& input) {
  const Range& blob = input.header.blob;
  const auto segments = input.view.segments.first(input.view.own_segment_count());
  std::uint64_t end = blob.offset_bytes;
  for (std::uint32_t i = 0; i < segments.size(); ++i) {
    const auto expected = checked_align_up(end, input.header.alignment_bytes);
    if (expected != segments[i].offset_bytes()) {
      return corrupt(segment_text(i, segments[i]), " does not begin where padding ends, ", end);
    }
    end = segments[i].offset_bytes() + segments[i].size_bytes();
  }
  if (end == blob.end()) return {};
  return corrupt("the last segment ends at byte ", end, ", the blob at ", blob.end());
}

}  // namespace

// R11
Result<void> check_data_files(const IndexInput& input) {
  const auto& files = *input.view.root->data_files();
  std::uint64_t segments = 0;
  for (std::uint32_t i = 0; i < files.size(); ++i) {
    const fb::DataFile& file = *files.Get(i);
    const std::string_view fault =
        i == 0 ? own_file_fault(file, input.header) : sibling_fault(file);
    if (!fault.empty()) return bad_file(i, file, fault);
    if (file.first_segment() != segments) {
      return corrupt("data file ", i, " begins at segment ", file.first_segment(), " vs ",
                     segments);
    }
    segments += file.segment_count();
  }
  if (segments != input.view.segments.size()) {
    return corrupt("the data files have ", segments, " segments vs ", input.view.segments.size());
  }
  return check_names_differ(files);
}

// R12
Result<void> check_segments(const IndexInput& input) {
  for (const fb::DataFile* file : *input.view.root->data_files()) {
    const auto inside = check_segments_of(input.view, *file);
    if (!inside) return inside.error();
  }
  return check_blob_is_filled(input);
}

}  // namespace weightmap::format
