// SPDX-License-Identifier: Apache-2.0
// Select, pickle, lay out, stream: everything but the tensors' bytes is known before the target is
// begun, and each byte is read once.
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "weightmap/export.h"

#include "base/text.h"
#include "checkpoint/crc32.h"
#include "convert/export_selection.h"
#include "convert/export_target.h"
#include "convert/script_names.h"
#include "convert/segment_stream.h"
#include "convert/state_dicts.h"
#include "convert/torch_pickler.h"
#include "convert/torch_zip_writer.h"
#include "io/file_writer.h"
#include "runtime/target_file.h"
#include "runtime/write_parts.h"

namespace weightmap {
namespace {

using convert::SegmentDigests;
using convert::SegmentStream;
using convert::TorchPickle;
using convert::ZipLayout;
using convert::ZipRecord;

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

// What a record holds: a text, or a segment.
struct Record {
  std::string name;
  std::string text;
  std::optional<std::uint32_t> segment = {};
};

// In the order of torch.save. It ends with `.data/serialization_id`, a hash that nothing checks and
// that differs between standard libraries: left out, so that the same content gives the same bytes.
std::vector<Record> records_of(TorchPickle pickle) {
  std::vector<Record> records{{"data.pkl", std::move(pickle.bytes)},
                              {".format_version", "1"},
                              {".storage_alignment", concat(convert::kZipAlignmentBytes)},
                              {"byteorder", "little"}};
  for (std::size_t number = 0; number < pickle.storages.size(); ++number) {
    records.push_back({concat("data/", number), "", pickle.storages[number]});
  }
  records.push_back({"version", "3\n"});
  return records;
}

struct Archive {
  std::vector<Record> records;
  ZipLayout layout;              // of the same, in the same order
  std::uint64_t data_bytes = 0;  // of the segments
};

// The root is called as in what torch.save writes to a stream.
Archive lay_out(const WeightFile& file, std::vector<Record> records) {
  std::vector<ZipRecord> entries;
  entries.reserve(records.size());
  std::uint64_t data_bytes = 0;
  for (const Record& record : records) {
    const std::uint64_t segment_bytes =
        record.segment ? file.segment(*record.segment).size_bytes : 0;
    data_bytes += segment_bytes;
    entries.push_back({.name = concat("archive/", record.name),
                       .size_bytes = record.segment ? segment_bytes : record.text.size()});
  }
  return {.records = std::move(records),
          .layout = convert::lay_out_zip(std::move(entries)),
          .data_bytes = data_bytes};
}

// Records with their headers. The checksum of each is written into the layout once, by whoever
// fills its part.
class RecordFiller : public PartFiller {
 public:
  RecordFiller(const WeightFile& file, const SegmentDigests& digests, Archive& archive)
      : file_(file),
        digests_(digests),
        records_(archive.records),
        entries_(archive.layout.records) {}

  Result<void> fill(const ItemsPart& part,
                    io::FilePart& into,
                    const io::WorkProgress& progress) override {
    SegmentStream segments(file_, digests_, into, progress);
    for (std::size_t i = part.first_item; i < part.end_item; ++i) {
      Result<void> written = into.write(bytes_of(convert::local_header(entries_[i])));
      if (written) written = write_data(i, segments, into);
      if (written) written = into.write(bytes_of(convert::data_descriptor(entries_[i])));
      if (!written) return written;
    }
    return {};
  }

 private:
  Result<void> write_data(std::size_t number, SegmentStream& segments, io::FilePart& into) {
    const Record& record = records_[number];
    checkpoint::Crc32 crc;
    const auto look = [&crc](std::span<const std::byte> bytes) { crc.update(bytes); };
    if (!record.segment) look(bytes_of(record.text));
    Result<void> written =
        record.segment ? segments.copy(*record.segment, look) : into.write(bytes_of(record.text));
    entries_[number].crc32 = crc.value();
    return written;
  }

  const WeightFile& file_;
  const SegmentDigests& digests_;
  const std::vector<Record>& records_;
  std::vector<ZipRecord>& entries_;
};

std::vector<ItemsPart> record_parts(const ZipLayout& layout) {
  std::vector<std::uint64_t> ends;
  for (std::size_t next = 1; next < layout.records.size(); ++next)
    ends.push_back(layout.records[next].header_offset);
  ends.push_back(layout.directory_offset);
  return parts_of(0, ends);
}

Result<void> write_archive(const WeightFile& file,
                           Archive& archive,
                           const ExportOptions& options,
                           const convert::ExportedFile& into) {
  const auto make_filler = [&] {
    return std::make_unique<RecordFiller>(file, into.digests, archive);
  };
  Result<void> written = write_parts(into.writer, record_parts(archive.layout), make_filler,
                                     options.jobs, into.progress);
  return written ? into.writer.write(bytes_of(convert::zip_directory(archive.layout))) : written;
}

// The tensors by their names, of what is made by code that is not known.
ValueGraph values_of_opaque(const WeightFile& file,
                            const ValueGraph& values,
                            bool is_script,
                            std::vector<std::string>& dropped) {
  dropped = {concat("the top: all but the tensors of a ",
                    convert::dotted(values.text(values.root())), ", by their names")};
  if (!is_script) return convert::values_of_names(file);
  const std::vector<bool> others = convert::find_other_names(file, values);
  for (std::uint32_t number = 0; number < file.tensor_count(); ++number) {
    if (others[number]) dropped.push_back(concat(file.name(number), ": another name"));
  }
  return convert::values_of_names(file, others);
}

// The object, with a state dict where a module was saved whole.
Result<ValueGraph> values_to_write(const WeightFile& file,
                                   const ExportOptions& options,
                                   std::vector<std::string>& dropped) {
  Result<ValueGraph> values = file.values();
  if (!values) return values.error();
  if (values->empty()) return convert::values_of_names(file);
  values = convert::with_state_dicts(*values, dropped);
  if (!values) return values.error().with_context(file.path());
  if (values->node(values->root()).kind != ValueKind::kOpaque) return values;
  const std::string class_name = convert::dotted(values->text(values->root()));
  const bool is_script = class_name.starts_with("__torch__.");
  if (!is_script && !options.drop_opaque) return values;
  return values_of_opaque(file, *values, is_script, dropped);
}

Result<TorchPickle> make_pickle(const WeightFile& file,
                                const ExportOptions& options,
                                std::vector<std::string>& dropped) {
  const Result<ValueGraph> values = values_to_write(file, options, dropped);
  if (!values) return values.error();
  Result<convert::Selection> selection = convert::select_values(file, *values, options.drop_opaque);
  if (!selection) return selection.error().with_context(file.path());
  dropped.insert(dropped.end(), selection->dropped.begin(), selection->dropped.end());
  Result<TorchPickle> pickle = convert::pickle_values(file, *values, *selection);
  if (!pickle) return pickle.error().with_context(file.path());
  return pickle;
}

}  // namespace

Result<ExportReport> export_torch(const WeightFile& file,
                                  const std::string& target,
                                  const ExportOptions& options) {
  const Result<void> target_ok = convert::check_export_target(
      file, target, {.kind = "a checkpoint", .is_kind = io::is_torch_zip}, options);
  if (!target_ok) return target_ok.error();
  ExportReport report;
  Result<TorchPickle> pickle = make_pickle(file, options, report.dropped);
  if (!pickle) return pickle.error();
  report.tensor_count = pickle->tensor_count;
  Archive archive = lay_out(file, records_of(std::move(*pickle)));
  report.data_bytes = archive.data_bytes;
  report.file_bytes = archive.layout.file_size_bytes;
  const Result<bool> all_checked = convert::write_export(
      file, target, options, {.file = report.file_bytes, .data = report.data_bytes},
      [&](const convert::ExportedFile& into) {
        return write_archive(file, archive, options, into);
      });
  if (!all_checked) return all_checked.error();
  report.checked = *all_checked;
  return report;
}

}  // namespace weightmap
