// SPDX-License-Identifier: Apache-2.0
// The layout is APPNOTE.TXT 6.3.10's; what PyTorch's writer makes of it (miniz: no version needed,
// no date, sizes of local headers zero, ZIP64 ends in every file) is taken as it comes.
#include "checkpoint/zip_archive.h"

#include <algorithm>
#include <array>
#include <limits>
#include <optional>
#include <string>

#include "base/checked.h"
#include "base/hash.h"
#include "base/little_endian.h"
#include "base/text.h"
#include "checkpoint/inflater.h"

namespace weightmap::checkpoint {
namespace {

constexpr std::uint32_t kLocalHeader = 0x04034B50;
constexpr std::uint32_t kDirectoryEntry = 0x02014B50;
constexpr std::uint32_t kEnd = 0x06054B50;
constexpr std::uint32_t kZip64End = 0x06064B50;
constexpr std::uint32_t kZip64Locator = 0x07064B50;

constexpr std::size_t kLocalHeaderBytes = 30;
constexpr std::size_t kDirectoryEntryBytes = 46;
constexpr std::size_t kEndBytes = 22;
constexpr std::size_t kZip64EndBytes = 56;
constexpr std::size_t kZip64LocatorBytes = 20;
constexpr std::size_t kMaxCommentBytes = 0xFFFF;
constexpr std::uint16_t kZip64Extra = 1;

// Fields of old that hold this have their real number in a ZIP64 structure.
constexpr std::uint16_t kIn64From16 = 0xFFFF;
constexpr std::uint32_t kIn64From32 = 0xFFFFFFFF;

template <typename... Pieces>
Error corrupt(const io::File& file, const Pieces&... pieces) {
  return {ErrorCode::kCorrupt, concat(file.path(), ": ", pieces...)};
}

// What the end of an archive says about its directory.
struct End {
  std::uint64_t offset_bytes = 0;  // of the end structure itself: the directory lies before it
  std::uint64_t directory_offset_bytes = 0;
  std::uint64_t directory_bytes = 0;
  std::uint64_t record_count = 0;
};

// The numbers as they stand in the end structure that every zip has.
struct SmallEnd {
  std::uint64_t offset_bytes = 0;
  std::uint16_t disk = 0;
  std::uint16_t record_count = 0;
  std::uint32_t directory_bytes = 0;
  std::uint32_t directory_offset_bytes = 0;
};

// The last place where an end structure stands with a comment that fits after it. What follows
// the comment does not matter: PyTorch, too, searches the last 64 KiB.
std::optional<std::size_t> find_end(std::span<const std::byte> tail) {
  for (std::size_t at = tail.size() - kEndBytes + 1; at-- > 0;) {
    if (load_little<std::uint32_t>(tail, at) != kEnd) continue;
    const auto comment_bytes = load_little<std::uint16_t>(tail, at + 20);
    if (comment_bytes <= tail.size() - at - kEndBytes) return at;
  }
  return std::nullopt;
}

Result<SmallEnd> read_small_end(const io::File& file) {
  const std::uint64_t size = file.size_bytes();
  std::vector<std::byte> tail(std::min<std::uint64_t>(size, kEndBytes + kMaxCommentBytes));
  if (auto read = file.read_at(size - tail.size(), tail); !read) return read.error();
  const auto at = tail.size() < kEndBytes ? std::nullopt : find_end(tail);
  if (!at) {
    return corrupt(file, "the file is cut short: there is no zip directory at its end, it has ",
                   size, " bytes: download or copy it again");
  }
  const auto end = std::span<const std::byte>(tail).subspan(*at);
  return SmallEnd{.offset_bytes = size - tail.size() + *at,
                  .disk = load_little<std::uint16_t>(end, 4),
                  .record_count = load_little<std::uint16_t>(end, 10),
                  .directory_bytes = load_little<std::uint32_t>(end, 12),
                  .directory_offset_bytes = load_little<std::uint32_t>(end, 16)};
}

// Where the ZIP64 end stands, if a locator in front of the small end says that there is one.
Result<std::optional<std::uint64_t>> find_zip64_end(const io::File& file, const SmallEnd& small) {
  if (small.offset_bytes < kZip64LocatorBytes) return std::optional<std::uint64_t>();
  const std::uint64_t locator_offset = small.offset_bytes - kZip64LocatorBytes;
  std::array<std::byte, kZip64LocatorBytes> locator{};
  if (auto read = file.read_at(locator_offset, locator); !read) return read.error();
  if (load_little<std::uint32_t>(locator, 0) != kZip64Locator) {
    return std::optional<std::uint64_t>();
  }
  const auto offset = load_little<std::uint64_t>(locator, 8);
  if (!range_fits(offset, kZip64EndBytes, locator_offset)) {
    return corrupt(file, "zip: the ZIP64 end is said to be at byte ", offset,
                   ", its locator is at ", locator_offset);
  }
  return std::optional(offset);
}

// A number that stands in two places must be the same, or the first place says where to look.
bool agree(std::uint64_t small, std::uint64_t look_there, std::uint64_t large) {
  return small == look_there || small == large;
}

Result<End> read_zip64_end(const io::File& file, const SmallEnd& small, std::uint64_t offset) {
  std::array<std::byte, kZip64EndBytes> bytes{};
  if (auto read = file.read_at(offset, bytes); !read) return read.error();
  if (load_little<std::uint32_t>(bytes, 0) != kZip64End) {
    return corrupt(file, "zip: there is no ZIP64 end at byte ", offset);
  }
  const End end{.offset_bytes = offset,
                .directory_offset_bytes = load_little<std::uint64_t>(bytes, 48),
                .directory_bytes = load_little<std::uint64_t>(bytes, 40),
                .record_count = load_little<std::uint64_t>(bytes, 32)};
  if (!agree(small.record_count, kIn64From16, end.record_count) ||
      !agree(small.directory_bytes, kIn64From32, end.directory_bytes) ||
      !agree(small.directory_offset_bytes, kIn64From32, end.directory_offset_bytes)) {
    return corrupt(file, "zip: the two ends of the archive contradict each other");
  }
  return end;
}

Result<End> read_end(const io::File& file) {
  const auto small = read_small_end(file);
  if (!small) return small.error();
  if (small->disk != 0 && small->disk != kIn64From16) {
    return Error(ErrorCode::kUnsupported,
                 concat(file.path(), ": zip: the archive spans several disks"));
  }
  const auto zip64 = find_zip64_end(file, *small);
  if (!zip64) return zip64.error();
  if (*zip64) return read_zip64_end(file, *small, **zip64);
  return End{.offset_bytes = small->offset_bytes,
             .directory_offset_bytes = small->directory_offset_bytes,
             .directory_bytes = small->directory_bytes,
             .record_count = small->record_count};
}

Result<void> check_end(const io::File& file, const End& end) {
  if (!range_fits(end.directory_offset_bytes, end.directory_bytes, end.offset_bytes)) {
    return corrupt(file, "zip: the directory is said to be ", end.directory_bytes,
                   " bytes at byte ", end.directory_offset_bytes, ", its end is at byte ",
                   end.offset_bytes, " of ", file.size_bytes());
  }
  if (end.directory_bytes > ZipArchive::kMaxDirectoryBytes) {
    return Error(ErrorCode::kUnsupported,
                 concat(file.path(), ": zip: a directory of ", end.directory_bytes, " bytes"));
  }
  if (end.record_count > end.directory_bytes / kDirectoryEntryBytes) {
    return corrupt(file, "zip: ", end.record_count, " records do not fit into a directory of ",
                   end.directory_bytes, " bytes");
  }
  return {};
}

// The ZIP64 block among the extra fields of a directory entry; empty when there is none.
std::span<const std::byte> zip64_block(std::span<const std::byte> extra) {
  while (extra.size() >= 4) {
    const auto id = load_little<std::uint16_t>(extra, 0);
    const auto size = load_little<std::uint16_t>(extra, 2);
    extra = extra.subspan(4);
    if (size > extra.size()) break;
    if (id == kZip64Extra) return extra.first(size);
    extra = extra.subspan(size);
  }
  return {};
}

// Takes the next number of the block if the field of old sends there; false: it is missing.
bool widen(std::uint64_t& field, std::span<const std::byte>& block) {
  if (field != kIn64From32) return true;
  if (block.size() < sizeof field) return false;
  field = load_little<std::uint64_t>(block, 0);
  block = block.subspan(sizeof field);
  return true;
}

struct Entry {
  ZipRecord record;
  std::size_t size_bytes = 0;  // in the directory
};

// The entry at the start of what is left of the directory, or what is wrong with it.
std::optional<Entry> parse_entry(std::span<const std::byte> directory, std::string_view& problem) {
  problem = "is cut short";
  if (directory.size() < kDirectoryEntryBytes) return std::nullopt;
  const std::size_t name_bytes = load_little<std::uint16_t>(directory, 28);
  const std::size_t extra_bytes = load_little<std::uint16_t>(directory, 30);
  const std::size_t comment_bytes = load_little<std::uint16_t>(directory, 32);
  const std::size_t size = kDirectoryEntryBytes + name_bytes + extra_bytes + comment_bytes;
  if (directory.size() < size) return std::nullopt;
  problem = "has no signature";
  if (load_little<std::uint32_t>(directory, 0) != kDirectoryEntry) return std::nullopt;
  const auto name = directory.subspan(kDirectoryEntryBytes, name_bytes);
  ZipRecord record{
      .name = {reinterpret_cast<const char*>(name.data()), name.size()},
      .header_offset_bytes = load_little<std::uint32_t>(directory, 42),
      .stored_bytes = load_little<std::uint32_t>(directory, 20),
      .size_bytes = load_little<std::uint32_t>(directory, 24),
      .crc32 = load_little<std::uint32_t>(directory, 16),
      .flags = load_little<std::uint16_t>(directory, 8),
      .method = load_little<std::uint16_t>(directory, 10),
  };
  problem = "lacks a ZIP64 number";
  auto block = zip64_block(directory.subspan(kDirectoryEntryBytes + name_bytes, extra_bytes));
  if (!widen(record.size_bytes, block) || !widen(record.stored_bytes, block) ||
      !widen(record.header_offset_bytes, block)) {
    return std::nullopt;
  }
  return Entry{record, size};
}

char small_letter(char letter) {
  return letter >= 'A' && letter <= 'Z' ? static_cast<char>(letter - 'A' + 'a') : letter;
}

std::uint64_t caseless_hash(std::string_view name) {
  std::string small(name);
  std::ranges::transform(small, small.begin(), small_letter);
  return name_hash(small);
}

int caseless_order(std::string_view a, std::string_view b) {
  const auto [at_a, at_b] = std::ranges::mismatch(a, b, {}, small_letter, small_letter);
  if (at_a == a.end() || at_b == b.end()) {
    return static_cast<int>(at_a != a.end()) - static_cast<int>(at_b != b.end());
  }
  return small_letter(*at_a) < small_letter(*at_b) ? -1 : 1;
}

bool is_before(std::string_view a, std::string_view b) {
  const int order = caseless_order(a, b);
  return order != 0 ? order < 0 : a < b;
}

// Whether the stored bytes can be what the record is said to unpack to.
Result<void> check_packing(const io::File& file, const ZipRecord& record) {
  const bool is_packed = record.method != 0;
  if (record.is_encrypted() || (is_packed && !record.is_deflated())) {
    return Error(ErrorCode::kUnsupported,
                 concat(file.path(), ": record ", quoted(record.name),
                        record.is_encrypted() ? " is encrypted"
                                              : concat(" is packed by method ", record.method),
                        ", torch.save only stores"));
  }
  const std::uint64_t most = is_packed ? checked_mul(record.stored_bytes, kMostInflation)
                                             .value_or(std::numeric_limits<std::uint64_t>::max())
                                       : record.stored_bytes;
  const bool is_possible = is_packed ? record.size_bytes <= most : record.size_bytes == most;
  if (is_possible) return {};
  return corrupt(file, "zip: record ", quoted(record.name), " is said to have ", record.size_bytes,
                 " bytes, ", record.stored_bytes, is_packed ? " deflated" : " stored",
                 " ones make ", is_packed ? "at most " : "", most);
}

}  // namespace

Result<ZipArchive> ZipArchive::read(const io::File& file) {
  const auto end = read_end(file);
  if (!end) return end.error();
  if (auto checked = check_end(file, *end); !checked) return checked.error();
  ZipArchive archive;
  archive.directory_offset_bytes_ = end->directory_offset_bytes;
  archive.directory_.resize(end->directory_bytes);
  if (auto read = file.read_at(end->directory_offset_bytes, archive.directory_); !read) {
    return read.error();
  }
  if (auto read = archive.read_records(file, end->record_count); !read) return read.error();
  if (auto sorted = archive.sort_names(file); !sorted) return sorted.error();
  return archive;
}

Result<void> ZipArchive::read_records(const io::File& file, std::uint64_t count) {
  records_.reserve(count);
  std::span<const std::byte> left = directory_;
  for (std::uint64_t i = 0; i < count; ++i) {
    std::string_view problem;
    const auto entry = parse_entry(left, problem);
    if (!entry) return corrupt(file, "zip: entry ", i, " of the directory ", problem);
    const ZipRecord& record = entry->record;
    if (!range_fits(record.header_offset_bytes, kLocalHeaderBytes, directory_offset_bytes_) ||
        record.stored_bytes > directory_offset_bytes_) {
      return corrupt(file, "zip: record ", quoted(record.name),
                     " does not lie before the directory");
    }
    records_.push_back(record);
    left = left.subspan(entry->size_bytes);
  }
  if (!left.empty()) {
    return corrupt(file, "zip: ", left.size(), " bytes of the directory follow its ", count,
                   " records");
  }
  return {};
}

// Sorted rather than hashed into a table: names that were chosen to collide cost nothing.
Result<void> ZipArchive::sort_names(const io::File& file) {
  by_name_.reserve(records_.size());
  for (const ZipRecord& record : records_) {
    by_name_.push_back({caseless_hash(record.name), static_cast<std::uint32_t>(by_name_.size())});
  }
  std::ranges::sort(by_name_, [this](const NamePlace& a, const NamePlace& b) {
    return a.hash != b.hash ? a.hash < b.hash : is_before(name_of(a), name_of(b));
  });
  const auto twin =
      std::ranges::adjacent_find(by_name_, [this](const NamePlace& a, const NamePlace& b) {
        return a.hash == b.hash && name_of(a) == name_of(b);
      });
  if (twin == by_name_.end()) return {};
  return corrupt(file, "zip: two records have the name ", quoted(name_of(*twin)));
}

const ZipRecord* ZipArchive::find(std::string_view name) const {
  const std::uint64_t hash = caseless_hash(name);
  const auto exact = std::ranges::partition_point(by_name_, [&](const NamePlace& place) {
    return place.hash != hash ? place.hash < hash : is_before(name_of(place), name);
  });
  if (exact != by_name_.end() && name_of(*exact) == name) return &records_[exact->record];
  const auto alike = std::ranges::partition_point(by_name_, [&](const NamePlace& place) {
    return place.hash != hash ? place.hash < hash : caseless_order(name_of(place), name) < 0;
  });
  if (alike == by_name_.end() || caseless_order(name_of(*alike), name) != 0) return nullptr;
  return &records_[alike->record];
}

Result<std::uint64_t> ZipArchive::data_offset(const io::File& file,
                                              const ZipRecord& record,
                                              io::ReadAhead& ahead) const {
  if (auto packing = check_packing(file, record); !packing) return packing.error();
  std::array<std::byte, kLocalHeaderBytes> header{};
  if (auto read = ahead.read_at(file, record.header_offset_bytes, header); !read) {
    return read.error();
  }
  if (load_little<std::uint32_t>(header, 0) != kLocalHeader) {
    return corrupt(file, "zip: record ", quoted(record.name), " has no header at byte ",
                   record.header_offset_bytes);
  }
  const std::uint64_t offset = record.header_offset_bytes + kLocalHeaderBytes +
                               load_little<std::uint16_t>(header, 26) +
                               load_little<std::uint16_t>(header, 28);
  if (!range_fits(offset, record.stored_bytes, directory_offset_bytes_)) {
    return corrupt(file, "zip: record ", quoted(record.name), " is said to be ",
                   record.stored_bytes, " bytes at byte ", offset, ", the directory is at ",
                   directory_offset_bytes_);
  }
  return offset;
}

}  // namespace weightmap::checkpoint
