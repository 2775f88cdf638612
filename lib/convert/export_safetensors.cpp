// SPDX-License-Identifier: Apache-2.0
#include <bit>
#include <optional>
#include <utility>

#include "weightmap/export.h"

#include "base/text.h"
#include "convert/export_target.h"
#include "convert/safetensors_header.h"
#include "convert/safetensors_plan.h"
#include "convert/segment_stream.h"
#include "convert/strided_copy.h"
#include "io/file_writer.h"

namespace weightmap {
namespace {

using convert::SafetensorsEntry;
using convert::SegmentStream;

constexpr std::uint32_t kLeastAlignmentBytes = 8;
constexpr std::uint32_t kMostAlignmentBytes = 2U << 20U;

Result<void> check_alignment(std::uint32_t bytes) {
  if (std::has_single_bit(bytes) && bytes >= kLeastAlignmentBytes && bytes <= kMostAlignmentBytes) {
    return {};
  }
  return Error(ErrorCode::kInvalidArgument,
               concat("an alignment is a power of two from ", kLeastAlignmentBytes, " to ",
                      kMostAlignmentBytes, ", not ", bytes));
}

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
// of it, before otherwise.
class DataPass {
 public:
  DataPass(const WeightFile& file, SegmentStream& segments, io::FileWriter& writer)
      : file_(file),
        segments_(segments),
        writer_(writer),
        is_checked_(file.segment_count(), false) {}

  Result<void> write(std::uint32_t number) {
    const TensorView tensor = file_.tensor(number);
    const TensorPlace place = file_.place(number);
    if (!place.segment || tensor.element_count() == 0) return {};
    const std::uint64_t size = file_.segment(*place.segment).size_bytes;
    if (tensor.is_contiguous() && tensor.extent().size() == size) {
      is_checked_[*place.segment] = true;
      return segments_.copy(*place.segment, writer_, [](auto) {});
    }
    Result<void> checked = check(*place.segment);
    if (!checked) return checked;
    const std::uint64_t offset = place.offset_bytes - file_.segment(*place.segment).offset_bytes;
    if (tensor.is_contiguous()) {
      return segments_.copy_part(*place.segment, offset, tensor.extent().size(), writer_);
    }
    return gather(tensor, *place.segment, offset);
  }

 private:
  Result<void> check(std::uint32_t segment) {
    if (is_checked_[segment]) return {};
    is_checked_[segment] = true;
    return segments_.check(segment);
  }

  Result<void> gather(const TensorView& tensor, std::uint32_t segment, std::uint64_t begin) {
    const auto read = [&](std::uint64_t offset, std::span<std::byte> into) {
      return file_.read_segment(segment, begin + offset, into);
    };
    const auto put = [&](std::span<const std::byte> bytes) {
      Result<void> written = writer_.write(bytes);
      return written ? segments_.advance(bytes.size()) : written;
    };
    return convert::copy_row_major(tensor, read, put);
  }

  const WeightFile& file_;
  SegmentStream& segments_;
  io::FileWriter& writer_;
  std::vector<bool> is_checked_;  // by segment
};

Result<void> write_file(const WeightFile& file,
                        const std::vector<std::uint32_t>& tensors,
                        const std::string& header,
                        SegmentStream& segments,
                        io::FileWriter& writer) {
  Result<void> begun = writer.write(std::as_bytes(std::span(header.data(), header.size())));
  if (!begun) return begun;
  DataPass pass(file, segments, writer);
  for (const std::uint32_t number : tensors) {
    Result<void> written = pass.write(number);
    if (!written) return written;
  }
  return writer.commit();
}

}  // namespace

Result<ExportReport> export_safetensors(const WeightFile& file,
                                        const std::string& target,
                                        const ExportOptions& options) {
  Result<void> ready = check_alignment(options.safetensors.alignment_bytes);
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
  const auto entries = entries_of(file, *plan);
  if (!entries) return entries.error();
  const auto header =
      convert::safetensors_header(plan->metadata, *entries, options.safetensors.alignment_bytes);
  if (!header) return header.error().with_context(file.path());

  const std::uint64_t data_bytes = entries->empty() ? 0 : entries->back().end_bytes;
  Result<SegmentStream> segments = SegmentStream::open(file, options, data_bytes);
  if (!segments) return segments.error();
  Result<io::FileWriter> writer = io::FileWriter::create(
      target, {.size_bytes = header->size() + data_bytes, .sync = options.sync});
  if (!writer) return writer.error();
  const Result<void> written = write_file(file, plan->tensors, *header, *segments, *writer);
  if (!written) return written.error();
  return ExportReport{.tensor_count = static_cast<std::uint32_t>(entries->size()),
                      .data_bytes = data_bytes,
                      .file_bytes = header->size() + data_bytes,
                      .dropped = std::move(plan->dropped),
                      .checked = segments->all_checked()};
}

}  // namespace weightmap
