// SPDX-License-Identifier: Apache-2.0
// The records of such an archive: caffe2/serialize/inline_container.h and torch/serialization.py
// of 2.13. All have one root directory, whatever its name; `data.pkl` is the object, `data/<key>`
// a storage's bytes.
#include "checkpoint/torch_zip.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <libdeflate.h>
#include <numeric>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/text.h"
#include "checkpoint/big_endian.h"
#include "checkpoint/inflater.h"
#include "checkpoint/pickle.h"
#include "checkpoint/torch_values.h"
#include "checkpoint/zip_archive.h"

namespace weightmap::checkpoint {
namespace {

constexpr std::string_view kPickleRecord = "data.pkl";
constexpr std::uint64_t kMaxTextBytes = 32;
constexpr int kFirstVersion = 1;
constexpr int kLastVersion = 10;

// A record that tells that the archive is something else.
struct Sign {
  std::string_view record;
  ErrorCode code;
  std::string_view meaning;
};

constexpr auto kSigns = std::to_array<Sign>({
    {"constants.pkl", ErrorCode::kUnsupported,
     "a TorchScript archive: load it with torch.jit.load and torch.save its state_dict()"},
    {".data/extern_modules", ErrorCode::kWrongKind,
     "a torch.package: load the model with torch.package and torch.save its state_dict()"},
    {"archive_format", ErrorCode::kWrongKind,
     "an exported program (.pt2): load it with torch.export.load and torch.save its state_dict"},
    {"model.json", ErrorCode::kUnsupported, "a TorchScript archive from before 1.2"},
});

class TorchZip {
 public:
  TorchZip(io::File file, ZipArchive archive)
      : archive_(std::move(archive)), storage_of_(archive_.records().size(), kNoStorage) {
    checkpoint_.kind = "zip checkpoint";
    checkpoint_.files.push_back(std::move(file));
  }

  Result<Checkpoint> read(const ReadOptions& options);

 private:
  Result<void> find_root();
  Result<void> check_kind() const;
  Result<void> check_version();
  Result<void> check_byte_order();
  Result<void> read_pickle(const ReadOptions& options);
  Result<void> place_storages();
  Result<void> check_overlaps();

  const io::File& file() const { return checkpoint_.files.front(); }
  const ZipRecord* find(std::string_view name) const { return archive_.find(concat(root_, name)); }
  Result<std::vector<std::byte>> read_record(const ZipRecord& record, std::uint64_t max_bytes);
  Result<void> read_bytes(const ZipRecord& record, std::uint64_t offset, std::span<std::byte> into);
  Result<std::string> read_text(const ZipRecord& record);
  Result<std::uint32_t> find_storage(std::string_view key);

  Error error(ErrorCode code, std::string_view message) const {
    return {code, concat(file().path(), ": ", message)};
  }

  struct UsedRange {
    std::uint64_t offset_bytes;
    const ZipRecord* record;
  };

  ZipArchive archive_;
  Checkpoint checkpoint_;
  std::string root_;  // "archive/"
  bool is_big_endian_ = false;
  std::vector<std::uint32_t> storage_of_;          // by place in the archive's records
  std::vector<const ZipRecord*> storage_records_;  // by storage
  std::vector<UsedRange> used_;
};

Result<Checkpoint> TorchZip::read(const ReadOptions& options) {
  if (auto done = find_root(); !done) return done.error();
  if (auto done = check_kind(); !done) return done.error();
  if (auto done = check_version(); !done) return done.error();
  if (auto done = check_byte_order(); !done) return done.error();
  if (auto done = read_pickle(options); !done) return done.error();
  if (is_big_endian_) {
    if (auto done = swap_storages(checkpoint_); !done) {
      return error(done.error().code(), done.error().message());
    }
  }
  if (auto done = place_storages(); !done) return done.error();
  if (auto done = check_overlaps(); !done) return done.error();
  return std::move(checkpoint_);
}

// The reference takes the first entry's directory, and minds entries outside of it.
Result<void> TorchZip::find_root() {
  if (archive_.records().empty()) return error(ErrorCode::kWrongKind, "is an empty zip archive");
  const std::string_view first = archive_.records().front().name;
  const auto slash = first.find('/');
  if (slash == std::string_view::npos) {
    return error(ErrorCode::kWrongKind, concat("is a zip archive, but no checkpoint: record ",
                                               quoted(first), " lies in no directory"));
  }
  root_ = first.substr(0, slash + 1);
  return {};
}

Result<void> TorchZip::check_kind() const {
  for (const Sign& sign : kSigns) {
    if (find(sign.record) != nullptr) {
      return error(sign.code, concat("is ", sign.meaning));
    }
  }
  if (find(kPickleRecord) == nullptr) {
    return error(ErrorCode::kWrongKind,
                 concat("is a zip archive, but no checkpoint: there is no record ",
                        quoted(concat(root_, kPickleRecord))));
  }
  const auto outside = std::ranges::find_if(archive_.records(), [this](const ZipRecord& record) {
    return !record.name.starts_with(root_);
  });
  if (outside == archive_.records().end()) return {};
  return error(ErrorCode::kCorrupt,
               concat("record ", quoted(outside->name), " lies outside of ", quoted(root_)));
}

Result<void> TorchZip::check_version() {
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
Result<void> TorchZip::check_byte_order() {
  const ZipRecord* record = find("byteorder");
  if (record == nullptr) return {};
  const auto order = read_text(*record);
  if (!order) return order.error();
  if (*order == "little") return {};
  is_big_endian_ = *order == "big";
  if (is_big_endian_) return {};
  return error(ErrorCode::kCorrupt, concat("the record `byteorder` is ", quoted(*order)));
}

Result<void> TorchZip::read_pickle(const ReadOptions& options) {
  const auto bytes = read_record(*find(kPickleRecord), PickleLimits::kMaxBytes);
  if (!bytes) return bytes.error();
  const auto in_pickle = [this](const Error& from) {
    return error(from.code(), concat(kPickleRecord, ": ", from.message()));
  };
  const auto pickle = decode_pickle(*bytes, [&](const GlobalName& global) {
    return check_global(global, options.strict_globals, options.globals);
  });
  if (!pickle) return in_pickle(pickle.error());
  if (options.globals != nullptr) return {};
  const auto read = read_torch_values(
      *pickle, [this](std::string_view key) { return find_storage(key); }, checkpoint_);
  if (!read) return in_pickle(read.error());
  return {};
}

Result<std::vector<std::byte>> TorchZip::read_record(const ZipRecord& record,
                                                     std::uint64_t max_bytes) {
  if (record.size_bytes > max_bytes) {
    return error(ErrorCode::kUnsupported, concat("record ", quoted(record.name), " has ",
                                                 record.size_bytes, " bytes, at most ", max_bytes));
  }
  const auto offset = archive_.data_offset(file(), record);
  if (!offset) return offset.error();
  used_.push_back({*offset, &record});
  std::vector<std::byte> bytes(record.size_bytes);
  if (auto read = read_bytes(record, *offset, bytes); !read) return read.error();
  if (record.has_crc() && ::libdeflate_crc32(0, bytes.data(), bytes.size()) != record.crc32) {
    checkpoint_.crc_mismatches.emplace_back(record.name);
  }
  return bytes;
}

Result<void> TorchZip::read_bytes(const ZipRecord& record,
                                  std::uint64_t offset,
                                  std::span<std::byte> into) {
  if (!record.is_deflated()) return file().read_at(offset, into);
  Inflater inflater(file(), offset, record.stored_bytes, concat("record ", quoted(record.name)));
  if (auto read = inflater.read(into); !read) return read;
  return inflater.expect_end();
}

Result<std::string> TorchZip::read_text(const ZipRecord& record) {
  const auto bytes = read_record(record, kMaxTextBytes);
  if (!bytes) return bytes.error();
  return std::string(reinterpret_cast<const char*>(bytes->data()), bytes->size());
}

// By the directory alone: the file is not read while values are.
Result<std::uint32_t> TorchZip::find_storage(std::string_view key) {
  const ZipRecord* record = find(concat("data/", key));
  if (record == nullptr) {
    return Error(ErrorCode::kCorrupt,
                 concat("there is no record ", quoted(concat(root_, "data/", key))));
  }
  if (record->size_bytes == 0) return kNoStorage;
  std::uint32_t& storage =
      storage_of_[static_cast<std::size_t>(record - archive_.records().data())];
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

// Reads the local headers, in the order in which they stand in the file.
Result<void> TorchZip::place_storages() {
  std::vector<std::uint32_t> order(storage_records_.size());
  std::iota(order.begin(), order.end(), 0U);
  std::ranges::sort(order, {}, [this](std::uint32_t storage) {
    return storage_records_[storage]->header_offset_bytes;
  });
  for (const std::uint32_t storage : order) {
    const ZipRecord& record = *storage_records_[storage];
    const auto offset = archive_.data_offset(file(), record);
    if (!offset) return offset.error();
    checkpoint_.storages[storage].offset_bytes = *offset;
    used_.push_back({*offset, &record});
  }
  return {};
}

Result<void> TorchZip::check_overlaps() {
  std::ranges::sort(used_, {}, &UsedRange::offset_bytes);
  const auto overlap =
      std::ranges::adjacent_find(used_, [](const UsedRange& a, const UsedRange& b) {
        return b.offset_bytes - a.offset_bytes < a.record->stored_bytes;
      });
  if (overlap == used_.end()) return {};
  return error(ErrorCode::kCorrupt, concat("records ", quoted(overlap->record->name), " and ",
                                           quoted((overlap + 1)->record->name), " overlap"));
}

}  // namespace

Result<Checkpoint> read_torch_zip(io::File file, const ReadOptions& options) {
  auto archive = ZipArchive::read(file);
  if (!archive) return archive.error();
  return TorchZip(std::move(file), *std::move(archive)).read(options);
}

}  // namespace weightmap::checkpoint
