// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "weightmap/export.h"

#include "base/text.h"
#include "convert/export_target.h"
#include "convert/safetensors_header.h"
#include "convert/safetensors_plan.h"
#include "convert/segment_stream.h"
#include "convert/strided_copy.h"
#include "io/file_writer.h"
#include "runtime/target_file.h"
#include "runtime/write_parts.h"

namespace weightmap {
namespace {

using convert::SafetensorsEntry;
using convert::SegmentDigests;
using convert::SegmentStream;

constexpr std::uint32_t kLeastAlignmentBytes = 8;

// Entries one behind the other. Errors: kUnsupported for more bytes than a file can have.
Result<std::vector<SafetensorsEntry>> entries_of(const WeightFile& file,
                                                 const convert::SafetensorsPlan& plan) {
  constexpr std::uint64_t kMostBytes = std::uint64_t{1} << 62U;
  std::vector<SafetensorsEntry> entries;
  std::uint64_t begin = 0;
  for (const std::uint32_t number : plan.tensors) {
    const TensorView tensor = file.tensor(number);
    const auto count = static_cast<std::uint64_t>(tensor.element_count());
    const std::uint64_t element_bytes = dtype_info(tensor.dtype()).element_bits / 8;
    if (count > (kMostBytes - begin) / element_bytes) {
      return Error(ErrorCode::kUnsupported, concat(file.path(), ": ", quoted(tensor.name()),
                                                   " has more elements than a file can"));
    }
    const std::uint64_t end = begin + count * element_bytes;
    entries.push_back({.name = std::string(tensor.name()),
                       .dtype = tensor.dtype(),
                       .shape = {tensor.shape().begin(), tensor.shape().end()},
                       .begin_bytes = begin,
                       .end_bytes = end});
    begin = end;
  }
  return entries;
}

// Writes the tensors' bytes, each segment held against its digest: on its way where a tensor is all
// of it, else before the first of its tensors.
class TensorFiller : public PartFiller {
 public:
  TensorFiller(const WeightFile& file,
               const SegmentDigests& digests,
               const std::vector<std::uint32_t>& tensors,
               const std::vector<std::size_t>& firsts)
      : file_(file), digests_(digests), tensors_(tensors), firsts_(firsts) {}

  Result<void> fill(const ItemsPart& part,
                    io::FilePart& into,
                    const io::WorkProgress& progress) override {
    SegmentStream segments(file_, digests_, into, progress);
    for (std::size_t i = part.first_item; i < part.end_item; ++i) {
      Result<void> written = write(i, segments, into, progress);
      if (!written) return written;
    }
    return {};
  }

 private:
  Result<void> write(std::size_t place_in_target,
                     SegmentStream& segments,
                     io::FilePart& into,
                     const io::WorkProgress& progress) {
    const TensorView tensor = file_.tensor(tensors_[place_in_target]);
    const TensorPlace place = file_.place(tensors_[place_in_target]);
    if (!place.segment || tensor.element_count() == 0) return {};
    const SegmentInfo segment = file_.segment(*place.segment);
    const bool is_first = firsts_[*place.segment] == place_in_target;
    if (tensor.is_contiguous() && tensor.extent().size() == segment.size_bytes)
      return segments.copy(*place.segment, [](auto) {});
    Result<void> checked = is_first ? segments.check(*place.segment) : Result<void>();
    if (!checked) return checked;
    const std::uint64_t offset = place.offset_bytes - segment.offset_bytes;
    if (tensor.is_contiguous())
      return segments.copy_part(*place.segment, offset, tensor.extent().size());
    return gather(tensor, *place.segment, offset, into, progress);
  }

  Result<void> gather(const TensorView& tensor,
                      std::uint32_t segment,
                      std::uint64_t begin,
                      io::FilePart& into,
                      const io::WorkProgress& progress) {
    const auto read = [&](std::uint64_t offset, std::span<std::byte> bytes) {
      return file_.read_segment(segment, begin + offset, bytes);
    };
    const auto put = [&](std::span<const std::byte> bytes) {
      Result<void> written = into.write(bytes);
      return written ? progress(bytes.size()) : written;
    };
    return convert::copy_row_major(tensor, read, put);
  }

  const WeightFile& file_;
  const SegmentDigests& digests_;
  const std::vector<std::uint32_t>& tensors_;
  const std::vector<std::size_t>& firsts_;  // by segment
};

struct Target {
  std::vector<std::uint32_t> tensors;
  std::vector<SafetensorsEntry> entries;  // of the same
  std::string header;

  std::uint64_t data_bytes() const { return entries.empty() ? 0 : entries.back().end_bytes; }
  std::uint64_t file_bytes() const { return header.size() + data_bytes(); }
};

// Of each segment, which of these tensors is the first that has bytes of it.
std::vector<std::size_t> first_tensors(const WeightFile& file,
                                       const std::vector<std::uint32_t>& tensors) {
  std::vector<std::size_t> firsts(file.segment_count(), tensors.size());
  for (std::size_t i = tensors.size(); i-- > 0;) {
    const auto segment = file.place(tensors[i]).segment;
    if (segment && file.tensor(tensors[i]).element_count() > 0) firsts[*segment] = i;
  }
  return firsts;
}

std::vector<ItemsPart> tensor_parts(const Target& target) {
  std::vector<std::uint64_t> ends;
  for (const SafetensorsEntry& entry : target.entries)
    ends.push_back(target.header.size() + entry.end_bytes);
  return parts_of(target.header.size(), ends);
}

Result<void> write_file(const WeightFile& file,
                        const Target& target,
                        const ExportOptions& options,
                        const convert::ExportedFile& into) {
  const std::vector<std::size_t> firsts = first_tensors(file, target.tensors);
  const auto make_filler = [&] {
    return std::make_unique<TensorFiller>(file, into.digests, target.tensors, firsts);
  };
  Result<void> begun = into.writer.write(std::as_bytes(std::span(target.header)));
  if (!begun) return begun;
  return write_parts(into.writer, tensor_parts(target), make_filler, options.jobs, into.progress);
}

}  // namespace

Result<ExportReport> export_safetensors(const WeightFile& file,
                                        const std::string& target,
                                        const ExportOptions& options) {
  Result<void> ready = check_alignment(options.safetensors.alignment_bytes, kLeastAlignmentBytes);
  if (ready) {
    ready = convert::check_export_target(
        file, target, {.kind = "a safetensors file", .is_kind = io::is_safetensors}, options);
  }
  if (!ready) return ready.error();
  const Result<ValueGraph> values = file.values();
  if (!values) return values.error();
  Result<convert::SafetensorsPlan> plan =
      convert::plan_safetensors(file, *values, options.safetensors);
  if (!plan) return plan.error().with_context(file.path());
  Result<std::vector<SafetensorsEntry>> entries = entries_of(file, *plan);
  if (!entries) return entries.error();
  Result<std::string> header =
      convert::safetensors_header(plan->metadata, *entries, options.safetensors.alignment_bytes);
  if (!header) return header.error().with_context(file.path());
  const Target written{.tensors = std::move(plan->tensors),
                       .entries = std::move(*entries),
                       .header = std::move(*header)};
  const Result<bool> all_checked = convert::write_export(
      file, target, options, {.file = written.file_bytes(), .data = written.data_bytes()},
      [&](const convert::ExportedFile& into) { return write_file(file, written, options, into); });
  if (!all_checked) return all_checked.error();
  return ExportReport{.tensor_count = static_cast<std::uint32_t>(written.entries.size()),
                      .data_bytes = written.data_bytes(),
                      .file_bytes = written.file_bytes(),
                      .dropped = std::move(plan->dropped),
                      .checked = *all_checked};
}

}  // namespace weightmap
