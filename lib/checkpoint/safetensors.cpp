// SPDX-License-Identifier: Apache-2.0
// The format: README.md of safetensors; what is refused: safetensors/src/tensor.rs, and torch.py
// for the dtypes.
#include "checkpoint/safetensors.h"

#include <algorithm>
#include <array>
#include <numeric>
#include <optional>
#include <string_view>
#include <utility>

#include "base/checked.h"
#include "base/little_endian.h"
#include "base/strided.h"
#include "base/text.h"
#include "checkpoint/json_events.h"
#include "checkpoint/safetensors_header.h"

namespace weightmap::checkpoint {
namespace {

constexpr std::uint64_t kLengthBytes = 8;

struct DtypeWord {
  std::string_view word;
  std::uint32_t bits;
  std::optional<Dtype> dtype;  // none: PyTorch has no such dtype
};

constexpr auto kDtypeWords = std::to_array<DtypeWord>({
    {"BOOL", 8, Dtype::kBool},
    {"F4", 4, Dtype::kFloat4E2M1FNx2},
    {"F6_E2M3", 6, std::nullopt},
    {"F6_E3M2", 6, std::nullopt},
    {"U8", 8, Dtype::kUInt8},
    {"I8", 8, Dtype::kInt8},
    {"F8_E5M2", 8, Dtype::kFloat8E5M2},
    {"F8_E4M3", 8, Dtype::kFloat8E4M3FN},
    {"F8_E8M0", 8, Dtype::kFloat8E8M0FNU},
    {"F8_E4M3FNUZ", 8, Dtype::kFloat8E4M3FNUZ},
    {"F8_E5M2FNUZ", 8, Dtype::kFloat8E5M2FNUZ},
    {"I16", 16, Dtype::kInt16},
    {"U16", 16, Dtype::kUInt16},
    {"F16", 16, Dtype::kFloat16},
    {"BF16", 16, Dtype::kBFloat16},
    {"I32", 32, Dtype::kInt32},
    {"U32", 32, Dtype::kUInt32},
    {"F32", 32, Dtype::kFloat32},
    {"C64", 64, Dtype::kComplex64},
    {"F64", 64, Dtype::kFloat64},
    {"I64", 64, Dtype::kInt64},
    {"U64", 64, Dtype::kUInt64},
});

using Described = SafetensorsHeader::Tensor;

class SafetensorsFile {
 public:
  explicit SafetensorsFile(io::File file) {
    checkpoint_.kind = "safetensors file";
    checkpoint_.files.push_back(std::move(file));
  }

  Result<Checkpoint> read();

 private:
  Result<void> read_header();
  void sort_by_place();
  Result<void> check_names() const;
  Result<void> check_metadata() const;
  Result<void> check_places() const;
  Result<void> add_tensor(const Described& described);
  Result<DtypeWord> dtype_of(const Described& described) const;
  Result<void> check_size(const Described& described, const DtypeWord& dtype) const;
  void add_values();
  std::uint32_t add_metadata();

  const io::File& file() const { return checkpoint_.files.front(); }
  Error error(ErrorCode code, std::string_view message) const {
    return {code, concat(file().path(), ": header: ", message)};
  }
  template <typename... Pieces>
  Error tensor_error(ErrorCode code, const Described& described, const Pieces&... pieces) const {
    return error(code, concat("tensor ", quoted(described.name), ": ", pieces...));
  }

  Checkpoint checkpoint_;
  SafetensorsHeader header_;
  std::uint64_t data_begin_bytes_ = 0;
};

Result<Checkpoint> SafetensorsFile::read() {
  if (auto done = read_header(); !done) return done.error();
  sort_by_place();
  if (auto done = check_names(); !done) return done.error();
  if (auto done = check_metadata(); !done) return done.error();
  if (auto done = check_places(); !done) return done.error();
  for (const Described& described : header_.tensors) {
    if (auto done = add_tensor(described); !done) return done.error();
  }
  add_values();
  return std::move(checkpoint_);
}

Result<void> SafetensorsFile::read_header() {
  std::array<std::byte, kLengthBytes> length_bytes{};
  if (auto read = file().read_at(0, length_bytes); !read) return read.error();
  const auto length = load_little<std::uint64_t>(length_bytes, 0);
  if (length > kMaxJsonBytes) {
    return error(ErrorCode::kCorrupt,
                 concat("has ", length, " bytes, at most ", kMaxJsonBytes, " are allowed"));
  }
  if (!range_fits(kLengthBytes, length, file().size_bytes())) {
    return error(ErrorCode::kCorrupt,
                 concat("has ", length, " bytes, the file is cut short at ", file().size_bytes()));
  }
  std::vector<std::byte> text(length);
  if (auto read = file().read_at(kLengthBytes, text); !read) return read.error();
  auto header = parse_safetensors_header(text);
  if (!header) return error(header.error().code(), header.error().message());
  header_ = *std::move(header);
  data_begin_bytes_ = kLengthBytes + length;
  return {};
}

// Tensors without bytes share their place: they stay in the order of the text.
void SafetensorsFile::sort_by_place() {
  std::ranges::stable_sort(header_.tensors, {}, [](const Described& tensor) {
    return std::pair(tensor.begin_bytes, tensor.end_bytes);
  });
}

Result<void> SafetensorsFile::check_names() const {
  std::vector<std::string_view> names;
  for (const Described& described : header_.tensors)
    names.emplace_back(described.name);
  std::ranges::sort(names);
  const auto twin = std::ranges::adjacent_find(names);
  if (twin == names.end()) return {};
  return error(ErrorCode::kCorrupt, concat("two tensors have the name ", quoted(*twin)));
}

Result<void> SafetensorsFile::check_metadata() const {
  if (!header_.metadata) return {};
  std::vector<std::string_view> keys;
  for (const auto& [key, value] : *header_.metadata)
    keys.emplace_back(key);
  std::ranges::sort(keys);
  const auto twin = std::ranges::adjacent_find(keys);
  if (twin == keys.end()) return {};
  return error(ErrorCode::kCorrupt, concat("__metadata__: has the key ", quoted(*twin), " twice"));
}

// In the order of their places, tensors follow one another without a gap, from the first byte of
// the data to the last of the file.
Result<void> SafetensorsFile::check_places() const {
  std::uint64_t end = 0;
  for (const Described& described : header_.tensors) {
    if (described.begin_bytes != end) {
      return tensor_error(ErrorCode::kCorrupt, described, "begins at byte ", described.begin_bytes,
                          " of the data, expected ", end);
    }
    if (described.end_bytes < end) {
      return tensor_error(ErrorCode::kCorrupt, described, "ends at byte ", described.end_bytes,
                          " of the data, before it begins at ", end);
    }
    end = described.end_bytes;
  }
  const std::uint64_t found = file().size_bytes() - data_begin_bytes_;
  if (found == end) return {};
  return error(ErrorCode::kCorrupt, concat(found < end ? "the file is cut short, " : "",
                                           "describes ", end, " bytes of data vs ", found));
}

Result<DtypeWord> SafetensorsFile::dtype_of(const Described& described) const {
  const auto* const word = std::ranges::find(kDtypeWords, described.dtype, &DtypeWord::word);
  if (word == kDtypeWords.end()) {
    return tensor_error(ErrorCode::kCorrupt, described, "has the dtype ", quoted(described.dtype),
                        ", which is not known");
  }
  if (!word->dtype) {
    return tensor_error(ErrorCode::kUnsupported, described, "has the dtype ", word->word,
                        ", which PyTorch does not have");
  }
  return *word;
}

// The product is taken from the first size to the last, as the reference does.
Result<void> SafetensorsFile::check_size(const Described& described, const DtypeWord& dtype) const {
  const auto shape = header_.shape(described);
  auto bits = std::optional<std::uint64_t>(1);
  for (const std::int64_t size : shape) {
    bits = checked_mul(*bits, static_cast<std::uint64_t>(size));
    if (!bits) break;
  }
  if (bits) bits = checked_mul(*bits, std::uint64_t{dtype.bits});
  if (!bits) {
    return tensor_error(ErrorCode::kCorrupt, described, "has too large a shape, ",
                        list_text(shape));
  }
  const std::uint64_t found = described.end_bytes - described.begin_bytes;
  if (*bits % 8 != 0 || *bits / 8 != found) {
    return tensor_error(ErrorCode::kCorrupt, described, "of ", dtype.word, list_text(shape),
                        " has ", found, " bytes, expected ", *bits / 8,
                        *bits % 8 != 0 ? " and a half" : "");
  }
  if (dtype.bits == 4 && shape.back() % 2 != 0) {
    return tensor_error(ErrorCode::kUnsupported, described, "of F4", list_text(shape),
                        " has an odd last size, PyTorch has two in an element");
  }
  return {};
}

Result<void> SafetensorsFile::add_tensor(const Described& described) {
  const auto dtype = dtype_of(described);
  if (!dtype) return dtype.error();
  if (auto checked = check_size(described, *dtype); !checked) return checked;
  const auto stated = header_.shape(described);
  std::vector<std::int64_t> shape(stated.begin(), stated.end());
  if (dtype->bits == 4) shape.back() /= 2;
  const auto strides = checked_contiguous_strides(shape);
  if (!strides) {
    return tensor_error(ErrorCode::kCorrupt, described, "has too large a shape, ",
                        list_text(shape));
  }
  Tensor tensor{.dtype = *dtype->dtype,
                .dims_begin = static_cast<std::uint32_t>(checkpoint_.dims.size()),
                .rank = static_cast<std::uint8_t>(shape.size())};
  checkpoint_.dims.insert(checkpoint_.dims.end(), shape.begin(), shape.end());
  checkpoint_.dims.insert(checkpoint_.dims.end(), strides->begin(), strides->end());
  const std::uint64_t size_bytes = described.end_bytes - described.begin_bytes;
  if (size_bytes > 0) {
    tensor.storage = static_cast<std::uint32_t>(checkpoint_.storages.size());
    checkpoint_.storages.push_back({.key = described.name,
                                    .offset_bytes = data_begin_bytes_ + described.begin_bytes,
                                    .packed_bytes = size_bytes,
                                    .size_bytes = size_bytes});
  }
  checkpoint_.tensors.push_back(tensor);
  return {};
}

void SafetensorsFile::add_values() {
  ValueGraph& values = checkpoint_.values;
  std::vector<std::uint32_t> children;
  for (std::size_t tensor = 0; tensor < header_.tensors.size(); ++tensor) {
    children.push_back(values.add_text(ValueKind::kStr, header_.tensors[tensor].name));
    children.push_back(values.add_number(ValueKind::kTensor, tensor));
  }
  const bool has_metadata = header_.metadata.has_value();
  if (has_metadata) children.push_back(add_metadata());
  values.add_parent(ValueKind::kDict, children, {}, has_metadata);
}

// {"__metadata__": {key: value ...}}
std::uint32_t SafetensorsFile::add_metadata() {
  ValueGraph& values = checkpoint_.values;
  std::vector<std::uint32_t> pairs;
  for (const auto& [key, value] : *header_.metadata) {
    pairs.push_back(values.add_text(ValueKind::kStr, key));
    pairs.push_back(values.add_text(ValueKind::kStr, value));
  }
  const std::uint32_t map = values.add_parent(ValueKind::kDict, pairs);
  const std::array attribute{values.add_text(ValueKind::kStr, "__metadata__"), map};
  return values.add_parent(ValueKind::kDict, attribute);
}

}  // namespace

Result<Checkpoint> read_safetensors(io::File file, const ReadOptions& /*options*/) {
  return SafetensorsFile(std::move(file)).read();
}

}  // namespace weightmap::checkpoint
