// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <iterator>
#include <string>

#include "format/hostile_rows.h"

namespace weightmap::tests {
namespace {

// Numbers of tensors in the sample file.
constexpr std::size_t kW = 0;
constexpr std::size_t kView = 2;
constexpr std::size_t kPacked = 3;
constexpr std::size_t kScales = 4;
constexpr std::size_t kConjugate = 5;
constexpr std::size_t kMetaTensor = 8;
constexpr std::size_t kLazy = 9;
constexpr std::size_t kEmpty = 10;
constexpr std::size_t kFar = 11;
constexpr std::size_t kScalar = 12;

constexpr std::int64_t kHuge = INT64_MAX;

std::int64_t& shape_of(RawFile& file, std::size_t tensor, std::size_t dimension) {
  return file.index.dims[file.index.entries[tensor].shape_begin + dimension];
}
std::int64_t& stride_of(RawFile& file, std::size_t tensor, std::size_t dimension) {
  return file.index.dims[file.index.entries[tensor].strides_begin + dimension];
}

// A new tensor of that shape, row-major strides or others, in segment 1 of 40 bytes.
void add(RawFile& file,
         const std::vector<std::int64_t>& shape,
         const std::vector<std::int64_t>& strides,
         std::uint8_t dtype = 0) {
  add_tensor(file.index, {"new", dtype, 0, shape, strides, 1, 0});
  rehash(file.index);
}

std::vector<HostileRow> entry_rows() {
  return {
      {16, "an unknown dtype", "tensor `w` has an unknown dtype: dtype 47",
       [](RawFile& f) { f.index.entries[kW].dtype = 47; }},
      {16, "dtype 255", "dtype 255", [](RawFile& f) { f.index.entries[kW].dtype = 255; }},
      {16, "65 dimensions", "more than 64 dimensions",
       [](RawFile& f) { f.index.entries[kW].rank = 65; }},
      {16, "an unknown flag", "tensor `w` has an unknown flag: dtype 6, flags 261",
       [](RawFile& f) { f.index.entries[kW].flags |= 256; }},
      {16, "the highest flag", "an unknown flag",
       [](RawFile& f) { f.index.entries[kW].flags |= 0x8000; }},
      {16, "reserved bytes", "reserved 1", [](RawFile& f) { f.index.entries[kW].reserved = 1; }},
      {16, "parameter and buffer", "both parameter and buffer",
       [](RawFile& f) { f.index.entries[kW].flags = 3; }},
      {16, "conj of real numbers", "conj but no complex dtype",
       [](RawFile& f) { f.index.entries[kConjugate].dtype = 6; }},
      {16, "meta and uninitialized", "both meta and uninitialized",
       [](RawFile& f) { f.index.entries[kLazy].flags |= 64; }},
      {16, "uninitialized with a shape", "uninitialized but has dimensions",
       [](RawFile& f) { f.index.entries[kMetaTensor].flags = 128; }},
  };
}

std::vector<HostileRow> dims_rows() {
  return {
      {17, "a shape that ends outside", "tensor `scalar` has a shape or strides outside",
       [](RawFile& f) { f.index.entries[kScalar].rank = 1; }},
      {17, "a shape that begins outside", "outside of `dims`",
       [](RawFile& f) { f.index.entries[kW].shape_begin = 0xFFFFFFFFU; }},
      {17, "strides that begin outside", "outside of `dims`",
       [](RawFile& f) { f.index.entries[kW].strides_begin = 0x7FFFFFFFU; }},
      {17, "the place of no dimensions outside", "outside of `dims`",
       [](RawFile& f) { f.index.entries[kScalar].shape_begin += 1; }},
      {17, "a negative size", "a negative number in its shape: shape [-2, 2]",
       [](RawFile& f) { shape_of(f, kW, 0) = -2; }},
      {17, "a negative stride", "a negative stride: shape [2, 2], strides [-2, 1]",
       [](RawFile& f) { stride_of(f, kW, 0) = -2; }},
      {17, "a negative stride of no elements", "a negative stride",
       [](RawFile& f) { stride_of(f, kEmpty, 0) = INT64_MIN; }},
      {17, "2^63 elements, expanded", "2^63 elements or more",
       [](RawFile& f) {
         add(f, {std::int64_t{1} << 62, 2}, {0, 0});
       }},
      {17, "2^64 elements, expanded", "2^63 elements or more",
       [](RawFile& f) {
         add(f, {std::int64_t{1} << 32, std::int64_t{1} << 32}, {0, 0});
       }},
      {17, "2^63 elements without values", "2^63 elements or more",
       [](RawFile& f) { shape_of(f, kMetaTensor, 0) = kHuge; }},
  };
}

std::vector<HostileRow> extent_rows() {
  return {
      {18, "one element too many", "tensor `far` reaches out of its segment",
       [](RawFile& f) { shape_of(f, kFar, 0) += 1; }},
      {18, "an offset too far", "tensor `view` reaches out of its segment",
       [](RawFile& f) { f.index.entries[kView].offset_bytes = 16; }},
      {18, "an offset behind the segment", "reaches out",
       [](RawFile& f) { f.index.entries[kView].offset_bytes = 44; }},
      {18, "an offset that wraps", "reaches out",
       [](RawFile& f) { f.index.entries[kView].offset_bytes = ~std::uint64_t{3}; }},
      {18, "a stride too long", "reaches out", [](RawFile& f) { stride_of(f, kView, 1) = 7; }},
      {18, "4 bits an element, half a byte too many", "quint4x2, shape [4, 4], strides [5, 1]",
       [](RawFile& f) { stride_of(f, kPacked, 0) = 5; }},
      {18, "a reach that wraps in one dimension", "reaches out",
       [](RawFile& f) { add(f, {std::int64_t{1} << 33}, {std::int64_t{1} << 33}); }},
      {18, "a reach that wraps in the sum", "reaches out",
       [](RawFile& f) {
         add(f, {2, 2, 2}, {kHuge, kHuge, kHuge});
       }},
      {18, "a reach that wraps in bytes", "reaches out",
       [](RawFile& f) { add(f, {2}, {std::int64_t{1} << 61}, 7); }},
      {18, "a reach that wraps to one element", "reaches out",
       [](RawFile& f) {
         add(f, {3, 3}, {kHuge, 1});
       }},
      {18, "an offset inside an element", "a multiple of its element's size",
       [](RawFile& f) { f.index.entries[kScales].offset_bytes = 4; }},
      {18, "a segment that does not exist", "segment 4 vs 4 segments",
       [](RawFile& f) { f.index.entries[kW].segment = 4; }},
      {18, "elements without a segment", "has elements but no segment",
       [](RawFile& f) { f.index.entries[kW].segment = 0xFFFFFFFFU; }},
      {18, "an offset without a segment", "no segment but an offset",
       [](RawFile& f) { f.index.entries[kEmpty].offset_bytes = 8; }},
      {18, "an empty tensor behind its segment", "reaches out",
       [](RawFile& f) {
         f.index.entries[kEmpty].segment = 0;
         f.index.entries[kEmpty].offset_bytes = 20;
       }},
      {18, "a meta tensor with a segment", "its flags say no values",
       [](RawFile& f) { f.index.entries[kMetaTensor].segment = 0; }},
      {18, "a lazy parameter with a segment", "its flags say no values",
       [](RawFile& f) { f.index.entries[kLazy].segment = 0; }},
  };
}

}  // namespace

std::vector<HostileRow> tensor_rows() {
  std::vector<HostileRow> rows = entry_rows();
  std::ranges::copy(dims_rows(), std::back_inserter(rows));
  std::ranges::copy(extent_rows(), std::back_inserter(rows));
  return rows;
}

std::vector<HostileRow> composite_rows() {
  return {
      {19, "a composite without a name", "composite `` is empty",
       [](RawFile& f) { f.index.composites[0].name.clear(); }},
      {19, "a name that is too long", "longer than 65535 bytes",
       [](RawFile& f) { f.index.composites[0].name = std::string(65536, 'q'); }},
      {19, "a NUL in the name", "contains a NUL",
       [](RawFile& f) { f.index.composites[0].name = std::string("q\0", 2); }},
      {19, "a name that is not UTF-8", "is not valid UTF-8",
       [](RawFile& f) { f.index.composites[0].name = std::string("\x80"); }},
      {19, "the name of a tensor", "composite `tied` has the name of a tensor",
       [](RawFile& f) { f.index.composites[1].name = std::string("tied"); }},
      {19, "names that descend", "composite `a` does not come after",
       [](RawFile& f) { f.index.composites[1].name = std::string("a"); }},
      {19, "two of one name", "composite `q` does not come after",
       [](RawFile& f) { f.index.composites[1].name = std::string("q"); }},
      {19, "an unknown kind", "kind 10", [](RawFile& f) { f.index.composites[0].kind = 10; }},
      {19, "an unknown dtype", "dtype 47", [](RawFile& f) { f.index.composites[0].dtype = 47; }},
      {19, "an unknown flag", "unknown flag: kind 0, dtype 16, flags 256",
       [](RawFile& f) { f.index.composites[0].flags = 256; }},
      {19, "a negative size", "a negative number in its shape",
       [](RawFile& f) { f.index.composites[0].shape = {-1}; }},
      {19, "2^63 elements", "2^63 elements or more",
       [](RawFile& f) {
         f.index.composites[0].shape = {kHuge, 2};
       }},
      {19, "65 dimensions", "more than 64 dimensions",
       [](RawFile& f) { f.index.composites[0].shape.assign(65, 1); }},
      {19, "a class name that is not UTF-8", "has a class name with a NUL character or invalid",
       [](RawFile& f) { f.index.composites[0].class_name = std::string("a.\xFF"); }},
      {19, "a NUL in a class name", "has a class name with a NUL character or invalid",
       [](RawFile& f) { f.index.composites[0].class_name = std::string("a.\0", 3); }},
      {19, "no parts", "composite `q` has no parts",
       [](RawFile& f) { f.index.composites[0].parts.clear(); }},
      {19, "a part without a role", "a role that is not 1 to 255 bytes of text",
       [](RawFile& f) { f.index.composites[0].parts[0].role.clear(); }},
      {19, "a role that is too long", "a role that is not 1 to 255 bytes of text",
       [](RawFile& f) { f.index.composites[0].parts[0].role = std::string(256, 'r'); }},
      {19, "a role that is not UTF-8", "a role that is not 1 to 255 bytes of text",
       [](RawFile& f) { f.index.composites[0].parts[0].role = std::string("\xFF"); }},
      {19, "two parts with one role", "two parts with one role",
       [](RawFile& f) { f.index.composites[0].parts[0].role = std::string("scales"); }},
      {19, "a part that does not exist", "a part that does not exist",
       [](RawFile& f) { f.index.composites[0].parts[0].entry = 13; }},
      {19, "a part without the flag", "a part without the flag",
       [](RawFile& f) { f.index.composites[0].parts[0].entry = kW; }},
      {19, "a part of two composites", "already belongs to a composite",
       [](RawFile& f) { f.index.composites[1].parts[0].entry = kPacked; }},
      {19, "a part of no composite", "composites have 3 parts vs 4",
       [](RawFile& f) { f.index.composites[1].parts.pop_back(); }},
      {19, "parts but no composites", "composites have 0 parts vs 4",
       [](RawFile& f) { f.index.composites.clear(); }},
  };
}

}  // namespace weightmap::tests
