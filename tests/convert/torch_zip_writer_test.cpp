// SPDX-License-Identifier: Apache-2.0
#include "convert/torch_zip_writer.h"

#include <doctest/doctest.h>

#include "support/checkpoint_writer.h"

namespace weightmap::convert {
namespace {

using tests::ZipEntry;
using tests::pickle::little;

constexpr std::uint64_t kGiB = std::uint64_t{1} << 30U;
// CRC-32 of the texts below, from Python's zlib.crc32.
constexpr std::uint32_t kCrcOfAbc = 0x352441C2;

std::string archive_of(const ZipLayout& layout, const std::vector<std::string>& data) {
  std::string bytes;
  for (std::size_t i = 0; i < data.size(); ++i) {
    bytes += local_header(layout.records[i]);
    CHECK(bytes.size() == layout.records[i].data_offset);
    bytes += data[i] + data_descriptor(layout.records[i]);
  }
  CHECK(bytes.size() == layout.directory_offset);
  bytes += zip_directory(layout);
  CHECK(bytes.size() == layout.file_size_bytes);
  return bytes;
}

TEST_SUITE_BEGIN("convert/torch_zip_writer");

TEST_CASE("an archive is what its documented layout says byte for byte") {
  // 33 bytes of name leave no room for padding before the next boundary.
  const std::string long_name(30, 'n');
  const std::vector<std::string> names = {"archive/data.pkl", "archive/empty", long_name};
  const std::vector<std::string> data = {"abc", "", std::string(64, '\0')};
  ZipLayout layout = lay_out_zip({{names[0], 3}, {names[1], 0}, {names[2], 64}});
  layout.records[0].crc32 = kCrcOfAbc;
  layout.records[2].crc32 = 0x758D6336;  // zlib.crc32(bytes(64))
  const std::string expected = tests::write_zip({{.name = names[0], .data = data[0]},
                                                 {.name = names[1], .data = "", .flags = 0x0800},
                                                 {.name = names[2], .data = data[2]}});
  CHECK(archive_of(layout, data) == expected);
}

TEST_CASE("data begins at multiples of 64") {
  for (std::size_t size = 0; size < 130; ++size) {
    const ZipLayout layout = lay_out_zip({{std::string(size + 1, 'a'), size}, {"b", size}});
    CAPTURE(size);
    for (const ZipRecord& record : layout.records) {
      CHECK(record.data_offset % 64 == 0);
      CHECK(local_header(record).size() == record.data_offset - record.header_offset);
    }
  }
}

TEST_CASE("sizes and offsets beyond 32 bits stand in ZIP64 blocks") {
  const ZipLayout layout = lay_out_zip({{"large", 5 * kGiB}, {"far", 12}});
  const ZipRecord& large = layout.records[0];
  const ZipRecord& far = layout.records[1];
  CHECK(far.header_offset == large.data_offset + 5 * kGiB + 24);

  const std::string large_block = little(1, 2) + little(16, 2) + little(5 * kGiB, 8) + little(0, 8);
  CHECK(local_header(large).substr(30 + 5, 20) == large_block);
  const std::string far_block = little(1, 2) + little(8, 2) + little(far.header_offset, 8);
  CHECK(local_header(far).substr(30 + 3, 12) == far_block);
  CHECK(data_descriptor(large) ==
        "PK\x07\x08" + little(0, 4) + little(5 * kGiB, 8) + little(5 * kGiB, 8));
  CHECK(data_descriptor(far) == "PK\x07\x08" + little(0, 4) + little(12, 8) + little(12, 8));

  const std::string directory = zip_directory(layout);
  const std::string full = little(0xFFFFFFFF, 4);
  CHECK(directory.substr(20, 8) == full + full);
  CHECK(directory.substr(46 + 5, 20) ==
        little(1, 2) + little(16, 2) + little(5 * kGiB, 8) + little(5 * kGiB, 8));
  const std::size_t second = 46 + 5 + 20;
  CHECK(directory.substr(second + 20, 8) == little(12, 4) + little(12, 4));
  CHECK(directory.substr(second + 42, 4) == full);
  CHECK(directory.substr(second + 46 + 3, 12) == far_block);
}

TEST_CASE("the last size of 32 bits is the first that is large") {
  CHECK(data_descriptor(lay_out_zip({{"a", 0xFFFFFFFE}}).records[0]).size() == 16);
  CHECK(data_descriptor(lay_out_zip({{"a", 0xFFFFFFFF}}).records[0]).size() == 24);
}

}  // namespace
}  // namespace weightmap::convert
