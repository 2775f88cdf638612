// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <cstring>

#include "base/hash.h"
#include "support/raw_file.h"

namespace weightmap::tests {
namespace {

constexpr std::uint64_t kMebibyte = 1U << 20U;

constexpr std::uint8_t kUInt8 = 0;
constexpr std::uint8_t kInt64 = 4;
constexpr std::uint8_t kFloat32 = 6;
constexpr std::uint8_t kFloat64 = 7;
constexpr std::uint8_t kComplex64 = 9;
constexpr std::uint8_t kQUInt4x2 = 16;

constexpr std::uint16_t kParameterWithGrad = 1 + 4;
constexpr std::uint16_t kBuffer = 2;
constexpr std::uint16_t kConj = 8;
constexpr std::uint16_t kPart = 32;
constexpr std::uint16_t kMeta = 64;
constexpr std::uint16_t kLazyParameter = 128 + 1;

constexpr std::uint32_t kNoSegment = 0xFFFFFFFFU;

void add_tensors(RawIndex& index) {
  const NewTensor tensors[] = {
      {"w", kFloat32, kParameterWithGrad, {2, 2}, {2, 1}, 0, 0},
      {"tied", kFloat32, kParameterWithGrad, {2, 2}, {2, 1}, 0, 0},
      {"view", kFloat32, kBuffer, {3, 2}, {1, 4}, 1, 4},
      {"q.values", kQUInt4x2, kPart, {4, 4}, {4, 1}, 2, 0},
      {"q.scales", kFloat64, kPart, {1}, {1}, 1, 32},
      {"c", kComplex64, kConj, {2}, {1}, 0, 0},
      {"s.indices", kInt64, kPart, {1, 1}, {1, 1}, 1, 0},
      {"s.values", kFloat32, kPart, {1}, {1}, 1, 8},
      {"meta", kFloat32, kMeta, {1000, 1000}, {1000, 1}, kNoSegment, 0},
      {"lazy", kFloat32, kLazyParameter, {}, {}, kNoSegment, 0},
      {"empty", kFloat32, 0, {0, 4}, {4, 1}, kNoSegment, 0},
      {"far", kUInt8, 0, {40 << 20}, {1}, 3, 0},
      {"scalar", kInt64, kBuffer, {}, {}, 1, 0},
  };
  for (const NewTensor& tensor : tensors)
    add_tensor(index, tensor);
}

void add_composites(RawIndex& index) {
  index.composites = {
      {"q", 0, kQUInt4x2, 0, {4, 4}, {{"values", 3}, {"scales", 4}}, {0.5}, {8}},
      {"s", 3, kFloat32, 0, {1}, {{"indices", 6}, {"values", 7}}, {}, {1}},
  };
}

void add_segments(RawFile& file) {
  file.index.segments = {{0, 16}, {64, 40}, {128, 8}, {4096, 40 * kMebibyte}};
  file.blob.resize(136);
  for (std::size_t i = 0; i < file.blob.size(); ++i) {
    const bool is_padding = (i >= 16 && i < 64) || (i >= 104 && i < 128);
    file.blob[i] = is_padding ? std::byte{0} : static_cast<std::byte>(1 + i);
  }
  file.index.data_files.resize(2);
  file.index.data_files[0].segment_count = 3;
  file.index.data_files[1] = {"other.wmap", 1, 64 * kMebibyte, 4096, Digest{}, 3, 1};
  file.index.data_files[1].identity->bytes.fill(std::byte{0xAB});
}

void add_digests(RawFile& file) {
  RawExtras& extras = file.extras;
  extras.chunk_digests.resize(3);
  for (std::size_t i = 0; i < 3; ++i)
    extras.chunk_digests[i].bytes.fill(static_cast<std::byte>(i + 1));
  record_own_digests(file);
  extras.segment_digests[3] = digest_of(std::as_bytes(std::span(extras.chunk_digests)));
}

// Numbers of kinds as in FORMAT.md 4.
void add_nodes(RawExtras& extras) {
  const auto name = add_node(extras, 6, 0, "w");
  const auto tensor = add_node(extras, 21, 0);
  const auto other_name = add_node(extras, 6, 0, "tied");
  const auto none = add_node(extras, 0);
  const auto boolean = add_node(extras, 1, 1);
  const auto integer = add_node(extras, 2, ~std::uint64_t{0});
  const auto long_integer = add_node(extras, 3, 0, std::string(8, '\0') + '\1');
  const auto real = add_node(extras, 4, 0x3FF0000000000000U);
  const auto complex = add_node(extras, 5, 0, std::string(16, '\0'));
  const auto bytes = add_node(extras, 7, 0, "\xFF");
  const auto bytearray = add_node(extras, 8, 0, "");
  const auto list = add_node(extras, 9, 0, "", {boolean, integer});
  const auto tuple = add_node(extras, 10, 0, "", {list, list});
  const auto set = add_node(extras, 11, 0, "", {long_integer});
  const auto frozen = add_node(extras, 12, 0, "", {real, complex});
  const auto dict = add_node(extras, 13, 0, "", {name, none});
  const auto counter = add_node(extras, 15, 0, "", {name, integer});
  const auto defaults = add_node(extras, 16, 0, "builtins\nlist", {name, list});
  const auto size = add_node(extras, 17, 0, "", {integer, integer});
  const auto dtype = add_node(extras, 18, 6);
  const auto device = add_node(extras, 19, 0, "cuda:0");
  const auto global = add_node(extras, 20, 0, "collections\nOrderedDict");
  const auto composite = add_node(extras, 22, 0);
  const auto opaque =
      add_node(extras, 23, 0, "some.module\nClass", {tuple, dict, none, list, none});
  const auto rest = add_node(extras, 9, 0, "",
                             {bytes, bytearray, set, frozen, counter, defaults, size, dtype, device,
                              global, composite, opaque});
  add_node(extras, 14, 0, "", {name, tensor, other_name, tensor, none, rest, dict}, true);
}

}  // namespace

RawFile sample_file() {
  RawFile file;
  file.required_features = 15;
  add_tensors(file.index);
  add_composites(file.index);
  rehash(file.index);
  add_module(file.index, "", 1);
  add_module(file.index, "layer", 2);
  add_segments(file);
  add_digests(file);
  add_nodes(file.extras);
  file.extras.producer = "a test";
  return file;
}

}  // namespace weightmap::tests
