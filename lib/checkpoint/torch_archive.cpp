// SPDX-License-Identifier: Apache-2.0
// The records of such an archive: caffe2/serialize/inline_container.h and torch/serialization.py
// of 2.13. All have one root directory, whatever its name.
#include "checkpoint/torch_archive.h"

#include <algorithm>
#include <charconv>
#include <numeric>
#include <optional>
#include <utility>

#include "base/text.h"
#include "checkpoint/big_endian.h"
#include "checkpoint/crc32.h"
#include "checkpoint/inflater.h"
#include "checkpoint/torch_values.h"

namespace weightmap::checkpoint {
namespace {

constexpr std::uint64_t kMaxTextBytes = 32;
constexpr int kFirstVersion = 1;
constexpr int kLastVersion = 10;

// What is read of a pickle takes some times its memory, so that a small file must not make a large
// one: those that are packed by others shrink to a tenth or a thirtieth.
std::uint64_t most_pickle_bytes(const ZipRecord& record) {
  if (!record.is_deflated()) return PickleLimits::kMaxBytes;
  return std::min(
      PickleLimits::kMaxBytes,
      PickleLimits::kFreePackedBytes +
          PickleLimits::kMostPacking * std::min(record.stored_bytes, PickleLimits::kMaxBytes));
}

bool is_numpy_archive(const ZipArchive& zip) {
  return std::ranges::all_of(zip.records(),
                             [](const ZipRecord& record) { return record.name.ends_with(".npy"); });
}

}  // namespace

Result<TorchArchive> TorchArchive::open(io::File file) {
  auto zip = ZipArchive::read(file);
  if (!zip) return zip.error();
  TorchArchive archive(std::move(file), *std::move(zip));
  if (auto found = archive.find_root(); !found) return found.error();
  return archive;
}

TorchArchive::TorchArchive(io::File file, ZipArchive zip)
    : zip_(std::move(zip)), storage_of_(zip_.records().size(), kNoStorage) {
  checkpoint_.files.push_back(std::move(file));
}

Error TorchArchive::error(ErrorCode code, std::string_view message) const {
  return {code, concat(file().path(), ": ", message)};
}

// The reference takes the first entry's directory, and minds entries outside of it.
Result<void> TorchArchive::find_root() {
  if (zip_.records().empty()) return error(ErrorCode::kWrongKind, "is an empty zip archive");
  if (is_numpy_archive(zip_)) {
    return error(ErrorCode::kWrongKind,
                 "is a NumPy archive (.npz): read it with numpy.load and torch.save its arrays as "
                 "tensors");
  }
  const std::string_view first = zip_.records().front().name;
  const auto slash = first.find('/');
  if (slash == std::string_view::npos) {
    return error(ErrorCode::kWrongKind, concat("is a zip archive, but no checkpoint: record ",
                                               quoted(first), " lies in no directory"));
  }
  root_ = first.substr(0, slash + 1);
  return {};
}

Result<void> TorchArchive::check_layout() {
  const auto outside = std::ranges::find_if(
      zip_.records(), [this](const ZipRecord& record) { return !record.name.starts_with(root_); });
  if (outside != zip_.records().end()) {
    return error(ErrorCode::kCorrupt,
                 concat("record ", quoted(outside->name), " lies outside of ", quoted(root_)));
  }
  if (auto done = check_version(); !done) return done;
  return check_byte_order();
}

Result<void> TorchArchive::check_version() {
  const ZipRecord* record = find(".data/version");
  if (record == nullptr) record = find("version");
  if (record == nullptr) return error(ErrorCode::kCorrupt, "there is no record `version`");
  auto text = read_text(*record);
  if (!text) return text.error();
  int version = 0;
  const char* end = text->data() + text->size();
  const auto [rest, problem] = std::from_chars(text->data(), end, version);
  const bool is_number = problem == std::errc() && (rest == end || std::string_view(rest) == "\n");
  if (!is_number) {
    return error(ErrorCode::kCorrupt, concat("the record `version` is ", quoted(*text)));
  }
  if (version < kFirstVersion || version > kLastVersion) {
    return error(ErrorCode::kUnsupported, concat("is of version ", version, ", known are ",
                                                 kFirstVersion, " to ", kLastVersion));
  }
  return {};
}

// Files from before 2.1 do not say; they are little-endian, as PyTorch takes them.
Result<void> TorchArchive::check_byte_order() {
  const ZipRecord* record = find("byteorder");
  if (record == nullptr) return {};
  const auto order = read_text(*record);
  if (!order) return order.error();
  if (*order == "little") return {};
  is_big_endian_ = *order == "big";
  if (is_big_endian_) return {};
  return error(ErrorCode::kCorrupt, concat("the record `byteorder` is ", quoted(*order)));
}

Result<OwnedPickle> TorchArchive::read_pickle(std::string_view name, const ReadOptions& options) {
  const ZipRecord& record = *find(name);
  auto bytes = read_record(record, most_pickle_bytes(record));
  if (!bytes) return bytes.error();
  OwnedPickle read{.bytes = *std::move(bytes), .pickle = {}};
  auto pickle = decode_pickle(read.bytes, [&](const GlobalName& global) {
    return check_global(global, options.strict_globals, options.globals);
  });
  if (!pickle) {
    return error(pickle.error().code(), concat(name, ": ", pickle.error().message()));
  }
  read.pickle = *std::move(pickle);
  return read;
}

Result<void> TorchArchive::read_values(const Pickle& pickle,
                                       std::string_view name,
                                       std::string_view folder) {
  const auto read = read_torch_values(
      pickle, [&](std::string_view key) { return find_storage(folder, key); }, checkpoint_);
  if (read) return {};
  return error(read.error().code(), concat(name, ": ", read.error().message()));
}

Result<std::vector<std::byte>> TorchArchive::read_record(const ZipRecord& record,
                                                         std::uint64_t max_bytes) {
  if (record.size_bytes > max_bytes) {
    return error(ErrorCode::kUnsupported, concat("record ", quoted(record.name), " has ",
                                                 record.size_bytes, " bytes, at most ", max_bytes));
  }
  io::ReadAhead alone;
  const auto offset = zip_.data_offset(file(), record, alone);
  if (!offset) return offset.error();
  used_.push_back({*offset, &record});
  std::vector<std::byte> bytes(record.size_bytes);
  if (auto read = read_bytes(record, *offset, bytes); !read) return read.error();
  Crc32 crc;
  crc.update(bytes);
  if (record.has_crc() && crc.value() != record.crc32) {
    checkpoint_.crc_mismatches.push_back({.record = std::string(record.name)});
  }
  return bytes;
}

Result<void> TorchArchive::read_bytes(const ZipRecord& record,
                                      std::uint64_t offset,
                                      std::span<std::byte> into) {
  if (!record.is_deflated()) return file().read_at(offset, into);
  Inflater inflater(file(), offset, record.stored_bytes, concat("record ", quoted(record.name)));
  if (auto read = inflater.read(into); !read) return read;
  return inflater.expect_end();
}

Result<std::string> TorchArchive::read_text(const ZipRecord& record) {
  const auto bytes = read_record(record, kMaxTextBytes);
  if (!bytes) return bytes.error();
  return std::string(reinterpret_cast<const char*>(bytes->data()), bytes->size());
}

// By the directory alone: the file is not read while values are.
Result<std::uint32_t> TorchArchive::find_storage(std::string_view folder, std::string_view key) {
  const ZipRecord* record = find(concat(folder, key));
  if (record == nullptr) {
    return Error(ErrorCode::kCorrupt,
                 concat("there is no record ", quoted(concat(root_, folder, key))));
  }
  if (record->size_bytes == 0) return kNoStorage;
  std::uint32_t& storage = storage_of_[static_cast<std::size_t>(record - zip_.records().data())];
  if (storage == kNoStorage) {
    storage = static_cast<std::uint32_t>(storage_records_.size());
    storage_records_.push_back(record);
    checkpoint_.storages.push_back(
        {.key = std::string(key),
         .packed_bytes = record->stored_bytes,
         .size_bytes = record->size_bytes,
         .packing = record->is_deflated() ? Packing::kDeflated : Packing::kNone,
         .crc32 = record->has_crc() ? std::optional(record->crc32) : std::nullopt});
  }
  return storage;
}

Result<Checkpoint> TorchArchive::finish(std::string kind) && {
  if (is_big_endian_) {
    const auto swapped = swap_storages(checkpoint_);
    if (!swapped) return error(swapped.error().code(), swapped.error().message());
  }
  if (auto done = place_storages(); !done) return done.error();
  if (auto done = check_overlaps(); !done) return done.error();
  checkpoint_.kind = std::move(kind);
  return std::move(checkpoint_);
}

// Reads the local headers, in the order in which they stand in the file.
Result<void> TorchArchive::place_storages() {
  std::vector<std::uint32_t> order(storage_records_.size());
  std::iota(order.begin(), order.end(), 0U);
  const auto header_offset = [this](std::uint32_t storage) {
    return storage_records_[storage]->header_offset_bytes;
  };
  if (!std::ranges::is_sorted(order, {}, header_offset))
    std::ranges::sort(order, {}, header_offset);
  io::ReadAhead ahead;
  for (const std::uint32_t storage : order) {
    const ZipRecord& record = *storage_records_[storage];
    const auto offset = zip_.data_offset(file(), record, ahead);
    if (!offset) return offset.error();
    checkpoint_.storages[storage].offset_bytes = *offset;
    used_.push_back({*offset, &record});
  }
  return {};
}

Result<void> TorchArchive::check_overlaps() {
  std::ranges::sort(used_, {}, &UsedRange::offset_bytes);
  const auto overlap =
      std::ranges::adjacent_find(used_, [](const UsedRange& a, const UsedRange& b) {
        return b.offset_bytes - a.offset_bytes < a.record->stored_bytes;
      });
  if (overlap == used_.end()) return {};
  return error(ErrorCode::kCorrupt, concat("records ", quoted(overlap->record->name), " and ",
                                           quoted((overlap + 1)->record->name), " overlap"));
}

}  // namespace weightmap::checkpoint
