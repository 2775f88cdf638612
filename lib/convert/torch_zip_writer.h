// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

// Zip archives byte by byte as torch.save writes them: records stored, each aligned by padding in
// its local header, sizes and checksum behind the data, so that an archive is written in one pass.
namespace weightmap::convert {

inline constexpr std::uint64_t kZipAlignmentBytes = 64;

struct ZipRecord {
  std::string name;
  std::uint64_t size_bytes = 0;
  std::uint64_t header_offset = 0;
  std::uint64_t data_offset = 0;
  std::uint32_t crc32 = 0;  // known when the data is written
};

struct ZipLayout {
  std::vector<ZipRecord> records;
  std::uint64_t directory_offset = 0;
  std::uint64_t file_size_bytes = 0;
};

// Gives the records their places, in order; all sizes of the archive are known from theirs.
// REQUIRES: names below 64 KiB; sizes that a file can have.
ZipLayout lay_out_zip(std::vector<ZipRecord> records);

std::string local_header(const ZipRecord& record);     // from header_offset to data_offset
std::string data_descriptor(const ZipRecord& record);  // behind the data; may be nothing
std::string zip_directory(const ZipLayout& layout);    // from directory_offset to the end

}  // namespace weightmap::convert
