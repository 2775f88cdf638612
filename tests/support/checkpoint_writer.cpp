// SPDX-License-Identifier: Apache-2.0
#include "support/checkpoint_writer.h"

#include <algorithm>
#include <array>
#include <bit>
#include <stdexcept>

namespace weightmap::tests {
namespace {

using pickle::little;

constexpr std::uint32_t kLook = 0xFFFFFFFFU;

// PyTorch pads with a field 'FB' so that the data begins at a multiple of the alignment.
std::string padding(std::size_t header_end, std::uint32_t alignment) {
  const std::size_t data = header_end + 4;
  const std::size_t fill = (alignment - data % alignment) % alignment;
  return "FB" + little(fill, 2) + std::string(fill, 'Z');
}

std::string local_header(const ZipEntry& entry, std::size_t offset, std::uint32_t alignment) {
  const std::string extra = padding(offset + 30 + entry.name.size(), alignment);
  return little(entry.local_signature, 4) + little(0, 2) + little(entry.flags, 2) +
         little(entry.method, 2) + little(0, 4 + 12) + little(entry.name.size(), 2) +
         little(entry.local_extra_bytes.value_or(static_cast<std::uint16_t>(extra.size())), 2) +
         entry.name + extra;
}

std::string data_descriptor(const ZipEntry& entry) {
  if ((entry.flags & 8U) == 0) return {};
  const int size_bytes = entry.zip64 == Zip64::kNo ? 4 : 8;
  return little(0x08074B50, 4) + little(crc32(entry.data), 4) +
         little(entry.data.size(), size_bytes) + little(entry.data.size(), size_bytes);
}

std::string directory_entry(const ZipEntry& entry, std::size_t offset) {
  const std::uint64_t stored = entry.stored_bytes.value_or(entry.data.size());
  const std::uint64_t size = entry.size_bytes.value_or(entry.data.size());
  const std::uint64_t header = entry.header_offset.value_or(offset);
  const bool is_large = entry.zip64 != Zip64::kNo;
  const std::string block =
      little(1, 2) + little(24, 2) + little(size, 8) + little(stored, 8) + little(header, 8);
  const std::string extra = entry.zip64 == Zip64::kYes ? block : "";
  return little(0x02014B50, 4) + little(0, 4) + little(entry.flags, 2) + little(entry.method, 2) +
         little(0, 4) + little(entry.crc32.value_or(crc32(entry.data)), 4) +
         little(is_large ? kLook : stored, 4) + little(is_large ? kLook : size, 4) +
         little(entry.name.size(), 2) + little(extra.size(), 2) + little(0, 2 + 2 + 2 + 4) +
         little(is_large ? kLook : header, 4) + entry.name + extra;
}

std::string zip64_end(const ZipEnd& end, std::uint64_t own_offset, const ZipLayout& layout) {
  std::uint64_t offset = own_offset;
  if (layout.edit_locator != nullptr) layout.edit_locator(offset);
  return little(0x06064B50, 4) + little(44, 8) + little(0x031E, 2) + little(45, 2) +
         little(0, 4 + 4) + little(end.record_count, 8) + little(end.record_count, 8) +
         little(end.directory_bytes, 8) + little(end.directory_offset, 8) + little(0x07064B50, 4) +
         little(0, 4) + little(offset, 8) + little(1, 4);
}

std::string small_end(const ZipEnd& end, const std::string& comment) {
  return little(0x06054B50, 4) + little(0, 4) + little(end.record_count, 2) +
         little(end.record_count, 2) + little(end.directory_bytes, 4) +
         little(end.directory_offset, 4) + little(comment.size(), 2) + comment;
}

std::array<std::uint32_t, 256> crc32_of_each_byte() {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    table[byte] = byte;
    for (int bit = 0; bit < 8; ++bit)
      table[byte] = (table[byte] >> 1U) ^ ((table[byte] & 1U) != 0 ? 0xEDB88320U : 0U);
  }
  return table;
}

}  // namespace

// By a table: bit by bit, fuzzers spent a fifth of their time here.
std::uint32_t crc32(std::string_view bytes) {
  static const std::array<std::uint32_t, 256> table = crc32_of_each_byte();
  std::uint32_t crc = 0xFFFFFFFFU;
  for (const char byte : bytes)
    crc = (crc >> 8U) ^ table[(crc ^ static_cast<unsigned char>(byte)) & 0xFFU];
  return ~crc;
}

std::string write_zip(const std::vector<ZipEntry>& entries, const ZipLayout& layout) {
  std::string file;
  std::string directory;
  for (const ZipEntry& entry : entries) {
    const std::size_t offset = file.size();
    file += local_header(entry, offset, layout.alignment) + entry.data + data_descriptor(entry);
    directory += directory_entry(entry, offset);
  }
  ZipEnd small{entries.size(), directory.size(), file.size()};
  ZipEnd large = small;
  if (layout.edit_end != nullptr) layout.edit_end(small, large);
  file += directory;
  if (layout.zip64_end) file += zip64_end(large, file.size(), layout);
  return file + small_end(small, layout.comment) + layout.behind;
}

std::vector<ZipEntry> checkpoint_entries(const std::string& pickle,
                                         const std::vector<StorageBytes>& storages,
                                         const std::string& root) {
  std::vector<ZipEntry> entries{{.name = root + "/data.pkl", .data = pickle},
                                {.name = root + "/byteorder", .data = "little"}};
  for (const StorageBytes& storage : storages) {
    entries.push_back({.name = root + "/data/" + storage.key, .data = storage.bytes});
  }
  entries.push_back({.name = root + "/version", .data = "3\n"});
  return entries;
}

std::string checkpoint_file(const std::string& pickle, const std::vector<StorageBytes>& storages) {
  return write_zip(checkpoint_entries(pickle, storages));
}

ZipEntry& entry_named(std::vector<ZipEntry>& entries, std::string_view name) {
  const auto found = std::ranges::find(entries, name, &ZipEntry::name);
  if (found == entries.end()) throw std::runtime_error("no entry " + std::string(name));
  return *found;
}

namespace pickle {

std::string little(std::uint64_t value, int bytes) {
  std::string out;
  for (int i = 0; i < bytes; ++i) {
    out += static_cast<char>(i < 8 ? (value >> (8 * i)) & 0xFFU : 0);
  }
  return out;
}

std::string proto(std::uint8_t version) {
  return "\x80" + little(version, 1);
}

std::string text(std::string_view value) {
  return "X" + little(value.size(), 4) + std::string(value);
}

std::string short_text(std::string_view value) {
  return "\x8c" + little(value.size(), 1) + std::string(value);
}

std::string integer(std::int64_t value) {
  if (value >= 0 && value < 256) return "K" + little(static_cast<std::uint64_t>(value), 1);
  if (value == static_cast<std::int32_t>(value)) {
    return "J" + little(static_cast<std::uint64_t>(value), 4);
  }
  return long1(little(static_cast<std::uint64_t>(value), 8));
}

std::string long1(std::string_view bytes) {
  return "\x8a" + little(bytes.size(), 1) + std::string(bytes);
}

std::string real(double value) {
  std::string bytes = little(std::bit_cast<std::uint64_t>(value), 8);
  std::ranges::reverse(bytes);
  return "G" + bytes;
}

std::string boolean(bool value) {
  return value ? "\x88" : "\x89";
}

std::string global(std::string_view module, std::string_view name) {
  return "c" + std::string(module) + "\n" + std::string(name) + "\n";
}

std::string stack_global(std::string_view module, std::string_view name) {
  return short_text(module) + short_text(name) + "\x93";
}

std::string put(std::uint8_t number) {
  return "q" + little(number, 1);
}

std::string get(std::uint8_t number) {
  return "h" + little(number, 1);
}

std::string long_put(std::uint32_t number) {
  return "r" + little(number, 4);
}

std::string joined(const std::vector<std::string>& parts) {
  std::string out;
  for (const std::string& part : parts)
    out += part;
  return out;
}

std::string tuple(const std::vector<std::string>& items) {
  return "(" + joined(items) + "t";
}

std::string list(const std::vector<std::string>& items) {
  return "](" + joined(items) + "e";
}

std::string dict(const std::vector<std::string>& keys_and_values) {
  return "}(" + joined(keys_and_values) + "u";
}

std::string ordered_dict(const std::vector<std::string>& keys_and_values) {
  return call(global("collections", "OrderedDict"), {}) + "(" + joined(keys_and_values) + "u";
}

std::string call(std::string_view function, const std::vector<std::string>& arguments) {
  return std::string(function) + tuple(arguments) + "R";
}

std::string repeat(std::string_view bytes, std::size_t count) {
  std::string out;
  out.reserve(bytes.size() * count);
  for (std::size_t i = 0; i < count; ++i)
    out += bytes;
  return out;
}

std::string whole(std::string_view value) {
  return proto() + std::string(value) + ".";
}

std::string sizes(const std::vector<std::int64_t>& numbers) {
  std::vector<std::string> items(numbers.size());
  std::ranges::transform(numbers, items.begin(), integer);
  return tuple(items);
}

std::string storage(const TensorCall& of) {
  return tuple({text("storage"), global("torch", of.storage_class), text(of.key), text(of.location),
                integer(of.numel)}) +
         "Q";
}

std::string tensor(const TensorCall& tensor) {
  return call(global("torch._utils", "_rebuild_tensor_v2"),
              {storage(tensor), integer(tensor.offset), sizes(tensor.shape), sizes(tensor.strides),
               boolean(false), ordered_dict({}), tensor.more});
}

}  // namespace pickle
}  // namespace weightmap::tests
