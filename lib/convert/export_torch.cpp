// SPDX-License-Identifier: Apache-2.0
// Select, pickle, lay out, stream: everything but the tensors' bytes is known before the target is
// begun, and each byte is read once.
#include <utility>

#include "weightmap/export.h"

#include "base/text.h"
#include "checkpoint/crc32.h"
#include "convert/export_selection.h"
#include "convert/export_target.h"
#include "convert/segment_stream.h"
#include "convert/state_dicts.h"
#include "convert/torch_pickler.h"
#include "convert/torch_zip_writer.h"
#include "io/file_writer.h"

namespace weightmap {
namespace {

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

// The root is called as in what torch.save writes to a stream.
ZipLayout lay_out(const WeightFile& file, const std::vector<Record>& records) {
  std::vector<ZipRecord> entries;
  entries.reserve(records.size());
  for (const Record& record : records) {
    entries.push_back({.name = concat("archive/", record.name),
                       .size_bytes = record.segment ? file.segment(*record.segment).size_bytes
                                                    : record.text.size()});
  }
  return convert::lay_out_zip(std::move(entries));
}

// Writes the data of a record and learns its checksum.
Result<std::uint32_t> write_data(const Record& record,
                                 SegmentStream& segments,
                                 io::FileWriter& writer) {
  checkpoint::Crc32 crc;
  if (record.segment) {
    const auto look = [&crc](std::span<const std::byte> bytes) { crc.update(bytes); };
    const Result<void> copied = segments.copy(*record.segment, writer, look);
    if (!copied) return copied.error();
    return crc.value();
  }
  crc.update(bytes_of(record.text));
  const Result<void> written = writer.write(bytes_of(record.text));
  if (!written) return written.error();
  return crc.value();
}

Result<void> write_records(const std::vector<Record>& records,
                           ZipLayout& layout,
                           SegmentStream& segments,
                           io::FileWriter& writer) {
  for (std::size_t i = 0; i < records.size(); ++i) {
    ZipRecord& entry = layout.records[i];
    Result<void> begun = writer.write(bytes_of(convert::local_header(entry)));
    if (!begun) return begun;
    const Result<std::uint32_t> crc = write_data(records[i], segments, writer);
    if (!crc) return crc.error();
    entry.crc32 = *crc;
    Result<void> ended = writer.write(bytes_of(convert::data_descriptor(entry)));
    if (!ended) return ended;
  }
  return writer.write(bytes_of(convert::zip_directory(layout)));
}

Result<TorchPickle> make_pickle(const WeightFile& file,
                                const ExportOptions& options,
                                std::vector<std::string>& dropped) {
  Result<ValueGraph> values = file.values();
  if (!values) return values.error();
  if (values->empty()) *values = convert::values_of_names(file);
  values = convert::with_state_dicts(*values, dropped);
  if (!values) return values.error().with_context(file.path());
  Result<convert::Selection> selection = convert::select_values(file, *values, options.drop_opaque);
  if (!selection) return selection.error().with_context(file.path());
  dropped.insert(dropped.end(), selection->dropped.begin(), selection->dropped.end());
  Result<TorchPickle> pickle = convert::pickle_values(file, *values, *selection);
  if (!pickle) return pickle.error().with_context(file.path());
  return pickle;
}

std::uint64_t data_bytes(const WeightFile& file, const std::vector<Record>& records) {
  std::uint64_t total = 0;
  for (const Record& record : records)
    total += record.segment ? file.segment(*record.segment).size_bytes : 0;
  return total;
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
  const std::vector<Record> records = records_of(std::move(*pickle));
  ZipLayout layout = lay_out(file, records);
  report.data_bytes = data_bytes(file, records);
  report.file_bytes = layout.file_size_bytes;

  Result<SegmentStream> segments = SegmentStream::open(file, options, report.data_bytes);
  if (!segments) return segments.error();
  Result<io::FileWriter> writer =
      io::FileWriter::create(target, {.size_bytes = layout.file_size_bytes, .sync = options.sync});
  if (!writer) return writer.error();
  const Result<void> written = write_records(records, layout, *segments, *writer);
  if (!written) return written.error();
  const Result<void> committed = writer->commit();
  if (!committed) return committed.error();
  report.checked = segments->all_checked();
  return report;
}

}  // namespace weightmap
