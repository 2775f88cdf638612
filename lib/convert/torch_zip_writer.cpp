// SPDX-License-Identifier: Apache-2.0
// APPNOTE.TXT 4.3, in the words of caffe2/serialize and miniz: versions and dates are 0, local
// headers say no sizes, and a ZIP64 block stands where 32 bits do not suffice.
#include "convert/torch_zip_writer.h"

#include <algorithm>
#include <utility>

namespace weightmap::convert {
namespace {

constexpr std::uint64_t kFull32 = 0xFFFFFFFF;
constexpr std::uint64_t kFull16 = 0xFFFF;
constexpr std::uint64_t kLocalHeaderBytes = 30;
constexpr std::uint64_t kPaddingHeaderBytes = 4;
constexpr std::uint64_t kZip64HeaderBytes = 4;
constexpr std::uint64_t kUtf8Names = 0x0800;
constexpr std::uint64_t kDescriptorFollows = 0x0008;
constexpr std::uint64_t kZip64BlockId = 0x0001;

class Bytes {
 public:
  Bytes& u16(std::uint64_t value) { return little(value, 2); }
  Bytes& u32(std::uint64_t value) { return little(value, 4); }
  Bytes& u64(std::uint64_t value) { return little(value, 8); }
  Bytes& text(std::string_view text) {
    bytes_ += text;
    return *this;
  }
  std::uint64_t size() const { return bytes_.size(); }
  std::string take() { return std::move(bytes_); }

 private:
  Bytes& little(std::uint64_t value, int size_bytes) {
    for (int i = 0; i < size_bytes; ++i) {
      bytes_ += static_cast<char>(value & 0xFFU);
      value >>= 8U;
    }
    return *this;
  }

  std::string bytes_;
};

bool is_large(const ZipRecord& record) {
  return record.size_bytes >= kFull32;
}
bool is_far(const ZipRecord& record) {
  return record.header_offset >= kFull32;
}
bool needs_zip64(const ZipRecord& record) {
  return is_large(record) || is_far(record);
}

std::uint64_t flags_of(const ZipRecord& record) {
  return kUtf8Names | (record.size_bytes > 0 ? kDescriptorFollows : 0);
}

std::uint64_t local_zip64_bytes(const ZipRecord& record) {
  if (!needs_zip64(record)) return 0;
  return kZip64HeaderBytes + (is_large(record) ? 16 : 0) + (is_far(record) ? 8 : 0);
}

std::uint64_t descriptor_bytes(const ZipRecord& record) {
  if (record.size_bytes == 0) return 0;
  return needs_zip64(record) ? 24 : 16;
}

// The compressed size is left 0 in local headers, as the reference has it.
void add_local_zip64(const ZipRecord& record, Bytes& out) {
  if (!needs_zip64(record)) return;
  out.u16(kZip64BlockId).u16(local_zip64_bytes(record) - kZip64HeaderBytes);
  if (is_large(record)) out.u64(record.size_bytes).u64(0);
  if (is_far(record)) out.u64(record.header_offset);
}

std::string directory_zip64(const ZipRecord& record) {
  if (!needs_zip64(record)) return {};
  Bytes block;
  block.u16(kZip64BlockId).u16((is_large(record) ? 16U : 0U) + (is_far(record) ? 8U : 0U));
  if (is_large(record)) block.u64(record.size_bytes).u64(record.size_bytes);
  if (is_far(record)) block.u64(record.header_offset);
  return block.take();
}

std::string directory_entry(const ZipRecord& record) {
  const std::string zip64 = directory_zip64(record);
  const std::uint64_t size = std::min(record.size_bytes, kFull32);
  Bytes entry;
  entry.text("PK\x01\x02").u16(0).u16(0).u16(flags_of(record)).u16(0);
  entry.u32(0).u32(record.crc32).u32(size).u32(size);
  entry.u16(record.name.size()).u16(zip64.size()).u16(0);
  entry.u16(0).u16(0).u32(0).u32(std::min(record.header_offset, kFull32));
  return entry.text(record.name).text(zip64).take();
}

std::string directory_end(std::uint64_t count, std::uint64_t offset, std::uint64_t size) {
  constexpr std::uint64_t kMadeBy = 0x031E;
  constexpr std::uint64_t kNeeded = 0x002D;
  constexpr std::uint64_t kRestOfEnd = 44;
  Bytes end;
  end.text("PK\x06\x06").u64(kRestOfEnd).u16(kMadeBy).u16(kNeeded).u32(0).u32(0);
  end.u64(count).u64(count).u64(size).u64(offset);
  end.text("PK\x06\x07").u32(0).u64(offset + size).u32(1);
  end.text("PK\x05\x06").u16(0).u16(0);
  end.u16(std::min(count, kFull16)).u16(std::min(count, kFull16));
  end.u32(std::min(size, kFull32)).u32(std::min(offset, kFull32)).u16(0);
  return end.take();
}

}  // namespace

ZipLayout lay_out_zip(std::vector<ZipRecord> records) {
  ZipLayout layout{.records = std::move(records)};
  std::uint64_t place = 0;
  for (ZipRecord& record : layout.records) {
    record.header_offset = place;
    const std::uint64_t unpadded = place + kLocalHeaderBytes + record.name.size() +
                                   local_zip64_bytes(record) + kPaddingHeaderBytes;
    record.data_offset = (unpadded + kZipAlignmentBytes - 1) & ~(kZipAlignmentBytes - 1);
    place = record.data_offset + record.size_bytes + descriptor_bytes(record);
  }
  layout.directory_offset = place;
  layout.file_size_bytes = place + zip_directory(layout).size();
  return layout;
}

std::string local_header(const ZipRecord& record) {
  const std::uint64_t header_bytes = record.data_offset - record.header_offset;
  const std::uint64_t extra_bytes = header_bytes - kLocalHeaderBytes - record.name.size();
  const std::uint64_t padding_bytes = extra_bytes - local_zip64_bytes(record) - kPaddingHeaderBytes;
  Bytes header;
  header.text("PK\x03\x04").u16(0).u16(flags_of(record)).u16(0);
  header.u32(0).u32(0).u32(0).u32(0);
  header.u16(record.name.size()).u16(extra_bytes).text(record.name);
  add_local_zip64(record, header);
  header.text("FB").u16(padding_bytes).text(std::string(padding_bytes, 'Z'));
  return header.take();
}

std::string data_descriptor(const ZipRecord& record) {
  if (record.size_bytes == 0) return {};
  Bytes descriptor;
  descriptor.text("PK\x07\x08").u32(record.crc32);
  if (needs_zip64(record)) return descriptor.u64(record.size_bytes).u64(record.size_bytes).take();
  return descriptor.u32(record.size_bytes).u32(record.size_bytes).take();
}

std::string zip_directory(const ZipLayout& layout) {
  std::string directory;
  for (const ZipRecord& record : layout.records)
    directory += directory_entry(record);
  return directory +
         directory_end(layout.records.size(), layout.directory_offset, directory.size());
}

}  // namespace weightmap::convert
