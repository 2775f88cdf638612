// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

// Zip archives and pickles byte by byte, from their documented layouts (APPNOTE.TXT, pickletools)
// and from nothing of the library. Everything that can be written can be written wrong.
namespace weightmap::tests {

// ---- zip

enum class Zip64 : std::uint8_t {
  kNo,
  kYes,      // sizes and offset of the directory entry stand in a ZIP64 block
  kMissing,  // the entry says so, but there is no block
};

struct ZipEntry {
  std::string name;
  std::string data;
  std::uint16_t flags = 0x0808;  // sizes follow the data, names are UTF-8
  std::uint16_t method = 0;
  Zip64 zip64 = Zip64::kNo;

  // What is written instead of the truth.
  std::optional<std::uint64_t> stored_bytes = {};
  std::optional<std::uint64_t> size_bytes = {};
  std::optional<std::uint32_t> crc32 = {};
  std::optional<std::uint64_t> header_offset = {};
  std::optional<std::uint16_t> local_extra_bytes = {};
  std::uint32_t local_signature = 0x04034B50;
};

struct ZipEnd {
  std::uint64_t record_count = 0;
  std::uint64_t directory_bytes = 0;
  std::uint64_t directory_offset = 0;
};

struct ZipLayout {
  std::uint32_t alignment = 64;  // of the data, by padding in the local headers
  bool zip64_end = true;         // as PyTorch's writer always has it
  std::string comment;           // of the archive
  std::string behind;            // bytes behind the end
  // Change what the ends say, and where they are.
  void (*edit_end)(ZipEnd& small, ZipEnd& large) = nullptr;
  void (*edit_locator)(std::uint64_t& zip64_end_offset) = nullptr;
};

std::uint32_t crc32(std::string_view bytes);
std::string write_zip(const std::vector<ZipEntry>& entries, const ZipLayout& layout = {});

// ---- a checkpoint

struct StorageBytes {
  std::string key;
  std::string bytes;
};

// The records of torch.save: data.pkl, byteorder, data/<key> ..., version.
std::vector<ZipEntry> checkpoint_entries(const std::string& pickle,
                                         const std::vector<StorageBytes>& storages = {},
                                         const std::string& root = "archive");
std::string checkpoint_file(const std::string& pickle,
                            const std::vector<StorageBytes>& storages = {});

// The entry of that name, which there must be.
ZipEntry& entry_named(std::vector<ZipEntry>& entries, std::string_view name);

// ---- pickles

// Each function returns the bytes of one opcode or of several that make one value.
namespace pickle {

std::string little(std::uint64_t value, int bytes);

std::string proto(std::uint8_t version = 2);
std::string text(std::string_view value);        // BINUNICODE
std::string short_text(std::string_view value);  // SHORT_BINUNICODE
std::string integer(std::int64_t value);         // BININT1, BININT or LONG1, as Python chooses
std::string long1(std::string_view bytes);
std::string real(double value);
std::string boolean(bool value);
std::string global(std::string_view module, std::string_view name);        // GLOBAL
std::string stack_global(std::string_view module, std::string_view name);  // STACK_GLOBAL
std::string put(std::uint8_t number);
std::string get(std::uint8_t number);
std::string long_put(std::uint32_t number);

std::string tuple(const std::vector<std::string>& items);  // MARK ... TUPLE
std::string list(const std::vector<std::string>& items);   // EMPTY_LIST MARK ... APPENDS
std::string dict(const std::vector<std::string>& keys_and_values);
std::string ordered_dict(const std::vector<std::string>& keys_and_values);
std::string call(std::string_view function, const std::vector<std::string>& arguments);
std::string repeat(std::string_view bytes, std::size_t count);

// PROTO 2 and STOP around a value.
std::string whole(std::string_view value);

struct TensorCall {
  std::string key = "0";
  std::string storage_class = "FloatStorage";
  std::int64_t numel = 4;
  std::int64_t offset = 0;
  std::vector<std::int64_t> shape = {4};
  std::vector<std::int64_t> strides = {1};
  std::string location = "cpu";
  std::string more;  // arguments after the hooks
};
std::string storage(const TensorCall& of);
std::string tensor(const TensorCall& tensor = {});  // _rebuild_tensor_v2
std::string sizes(const std::vector<std::int64_t>& numbers);

}  // namespace pickle
}  // namespace weightmap::tests
