// SPDX-License-Identifier: Apache-2.0
#include <string_view>

#include "format/hostile_rows.h"
#include "support/resign.h"

namespace weightmap::tests {
namespace {

// FORMAT.md 2.1.
template <typename T>
void set_field(Bytes& file, std::size_t at, T value) {
  poke(file, at, value);
  resign_header(file);
}

template <typename T>
void add_to_field(Bytes& file, std::size_t at, T more) {
  set_field(file, at, static_cast<T>(peek<T>(file, at) + more));
}

void put_text(Bytes& file, std::string_view text) {
  std::memcpy(file.data(), text.data(), text.size());
}

std::vector<HostileRow> prelude_rows() {
  constexpr auto kWrongKind = ErrorCode::kWrongKind;
  constexpr auto kUnsupported = ErrorCode::kUnsupported;
  return {
      {1, "the magic is another", "of a kind that is not known", nullptr,
       [](Bytes& f) { set_field<char>(f, 1, 'w'); }, kWrongKind},
      {1, "a zip archive", "a zip archive", nullptr, [](Bytes& f) { put_text(f, "PK\x03\x04"); },
       kWrongKind},
      {1, "a magic cut short", "of a kind that is not known", nullptr,
       [](Bytes& f) { f.resize(7); }, kWrongKind},
      {1, "nothing at all", "an empty file", nullptr, [](Bytes& f) { f.clear(); }, kWrongKind},
      {2, "a header not signed again", "the header is damaged", nullptr,
       [](Bytes& f) { poke<std::uint16_t>(f, 10, 1); }},
      {3, "major version 2", "version 2", nullptr,
       [](Bytes& f) { set_field<std::uint16_t>(f, 8, 2); }, kUnsupported},
      {3, "a longer header", "136 vs 128", nullptr,
       [](Bytes& f) { set_field<std::uint32_t>(f, 12, 136); }, kUnsupported},
      {4, "an unknown feature", "features that are not known", nullptr,
       [](Bytes& f) { set_field<std::uint64_t>(f, 16, 16 + 15); }, kUnsupported},
      {4, "the highest feature", "features that are not known", nullptr,
       [](Bytes& f) { set_field(f, 16, std::uint64_t{1} << 63U); }, kUnsupported},
      {5, "the first reserved byte", "reserved byte 76 is 1", nullptr,
       [](Bytes& f) { set_field<char>(f, 76, 1); }},
      {5, "the last reserved byte", "reserved byte 95 is 128", nullptr,
       [](Bytes& f) { set_field<unsigned char>(f, 95, 0x80); }},
      {6, "an alignment of 32", "32 vs a power of two", nullptr,
       [](Bytes& f) { set_field<std::uint32_t>(f, 72, 32); }},
      {6, "an alignment that is no power of two", "96 vs a power of two", nullptr,
       [](Bytes& f) { set_field<std::uint32_t>(f, 72, 96); }},
      {6, "an alignment of 4 MiB", "4194304 vs a power of two", nullptr,
       [](Bytes& f) { set_field<std::uint32_t>(f, 72, 4 << 20); }},
      {6, "an alignment of 0", "0 vs a power of two", nullptr,
       [](Bytes& f) { set_field<std::uint32_t>(f, 72, 0); }},
  };
}

std::vector<HostileRow> place_rows() {
  using U64 = std::uint64_t;
  return {
      {7, "a header cut short", "the file is cut short, 127 bytes", nullptr,
       [](Bytes& f) { f.resize(127); }},
      {7, "a magic alone", "the file is cut short, 8 bytes", nullptr,
       [](Bytes& f) { f.resize(8); }},
      {7, "an index that begins later", "index_offset is 136 vs 128", nullptr,
       [](Bytes& f) { add_to_field<U64>(f, 24, 8); }},
      {7, "an empty index", "index_size is 0 vs", nullptr,
       [](Bytes& f) { set_field<U64>(f, 32, 0); }},
      {7, "an index of 2^31 - 1 bytes", "index_size is 2147483647 vs 1 to 2147483646", nullptr,
       [](Bytes& f) { set_field<U64>(f, 32, 0x7FFFFFFF); }},
      {7, "an index of 2^64 - 1 bytes", "index_size is 18446744073709551615", nullptr,
       [](Bytes& f) { set_field<U64>(f, 32, ~U64{0}); }},
      {7, "extras that begin later", "extras_offset is", nullptr,
       [](Bytes& f) { add_to_field<U64>(f, 40, 8); }},
      {7, "empty extras", "extras_size is 0 vs", nullptr,
       [](Bytes& f) { set_field<U64>(f, 48, 0); }},
      {7, "extras of 2^31 - 1 bytes", "extras_size is 2147483647 vs 1 to 2147483646", nullptr,
       [](Bytes& f) { set_field<U64>(f, 48, 0x7FFFFFFF); }},
      {7, "a blob that begins later", "blob_offset is", nullptr,
       [](Bytes& f) { add_to_field<U64>(f, 56, 64); }},
      {7, "a file cut short", "the file is cut short", nullptr, [](Bytes& f) { f.pop_back(); }},
      {7, "a file that goes on", "the file is too long", nullptr,
       [](Bytes& f) { f.push_back(std::byte{0}); }},
      {7, "a blob whose end wraps", "blob_size is 18446744073709551615", nullptr,
       [](Bytes& f) { set_field<U64>(f, 64, ~U64{0}); }},
  };
}

}  // namespace

std::vector<HostileRow> header_rows() {
  std::vector<HostileRow> rows = prelude_rows();
  for (const HostileRow& row : place_rows())
    rows.push_back(row);
  return rows;
}

}  // namespace weightmap::tests
