// SPDX-License-Identifier: Apache-2.0
#include "checkpoint/storage_reader.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "base/text.h"

namespace weightmap::checkpoint {
namespace {

template <typename Unit>
void swap_units(std::span<std::byte> bytes, Unit (*swapped)(Unit)) {
  for (std::size_t at = 0; at + sizeof(Unit) <= bytes.size(); at += sizeof(Unit)) {
    Unit unit{};
    std::memcpy(&unit, bytes.data() + at, sizeof unit);
    unit = swapped(unit);
    std::memcpy(bytes.data() + at, &unit, sizeof unit);
  }
}

void swap_bytes(std::span<std::byte> bytes, std::uint8_t unit_bytes) {
  switch (unit_bytes) {
    case 2:
      return swap_units<std::uint16_t>(bytes, [](auto unit) { return __builtin_bswap16(unit); });
    case 4:
      return swap_units<std::uint32_t>(bytes, [](auto unit) { return __builtin_bswap32(unit); });
    case 8:
      return swap_units<std::uint64_t>(bytes, [](auto unit) { return __builtin_bswap64(unit); });
    default: return;
  }
}

}  // namespace

StorageReader::StorageReader(const Checkpoint& checkpoint,
                             const Storage& storage,
                             io::ReadAhead& ahead)
    : checkpoint_(checkpoint),
      file_(checkpoint.files[storage.file]),
      storage_(storage),
      ahead_(ahead) {
  if (storage.packing != Packing::kDeflated) return;
  inflater_.emplace(file_, storage.offset_bytes, storage.packed_bytes,
                    concat("storage ", quoted(storage.key)));
}

Result<void> StorageReader::skip(std::uint64_t size_bytes) {
  if (!inflater_) {
    done_bytes_ += size_bytes;
    return {};
  }
  std::array<std::byte, std::size_t{16} << 10U> unused{};
  while (size_bytes > 0) {
    const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(size_bytes, unused.size()));
    if (auto read = read_unpacked(std::span(unused).first(size)); !read) return read;
    size_bytes -= size;
  }
  return {};
}

Result<void> StorageReader::read(std::span<std::byte> into) {
  auto read = read_unpacked(into);
  if (read) swap_bytes(into, storage_.swapped_bytes);
  return read;
}

Result<void> StorageReader::read_packed(std::span<std::byte> into) {
  switch (storage_.packing) {
    case Packing::kDeflated: return inflater_->read(into);
    case Packing::kChunked:
      return read_chunked(checkpoint_.chunked[storage_.chunked], checkpoint_.files, done_bytes_,
                          into);
    case Packing::kNone: break;
  }
  return ahead_.read_at(file_, storage_.offset_bytes + done_bytes_, into);
}

// The CRC is that of the bytes before they are swapped.
Result<void> StorageReader::read_unpacked(std::span<std::byte> into) {
  auto read = read_packed(into);
  if (!read) return read;
  if (storage_.crc32 && crc_bytes_ == done_bytes_) {
    crc_.update(into);
    crc_bytes_ += into.size();
  }
  done_bytes_ += into.size();
  return inflater_ && done_bytes_ == storage_.size_bytes ? inflater_->expect_end() : read;
}

std::optional<bool> StorageReader::crc_matches() const {
  if (!storage_.crc32 || crc_bytes_ != storage_.size_bytes) return std::nullopt;
  return crc_.value() == *storage_.crc32;
}

}  // namespace weightmap::checkpoint
