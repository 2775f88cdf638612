// SPDX-License-Identifier: Apache-2.0
#include "support/golden_files.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <stdexcept>
#include <string>

#include "format/segment_digest.h"

namespace weightmap::tests {
namespace {

using format::Content;
using format::TensorContent;

constexpr std::uint16_t kParameterWithGrad = format::kParameter | format::kRequiresGrad;

template <typename T>
T value_or_throw(Result<T> result) {
  if (!result) throw std::runtime_error(result.error().message());
  return *std::move(result);
}

format::ContentDigests digests_of(const std::vector<Bytes>& segments) {
  format::ContentDigests all;
  for (const Bytes& segment : segments) {
    format::SegmentDigester digester(segment.size());
    digester.update(segment);
    const auto found = digester.finish();
    all.segments.push_back(found.segment);
    std::ranges::copy(found.chunks, std::back_inserter(all.chunks));
  }
  return all;
}

template <typename T>
Bytes bytes_of_values(const std::vector<T>& values) {
  const auto bytes = std::as_bytes(std::span(values));
  return {bytes.begin(), bytes.end()};
}

Bytes counted_bytes(std::size_t count) {
  Bytes bytes(count);
  for (std::size_t i = 0; i < count; ++i)
    bytes[i] = static_cast<std::byte>(i * 7 + 1);
  return bytes;
}

// One tensor of every dtype at its place in one segment, 16 bytes each.
void add_dtypes(Content& content, std::uint32_t segment) {
  for (std::uint8_t number = 0; number < kDtypeCount; ++number) {
    const auto dtype = static_cast<Dtype>(number);
    const std::int64_t count = 128 / dtype_info(dtype).element_bits;
    content.tensors.push_back({.name = "dtypes." + std::string(dtype_name(dtype)),
                               .dtype = dtype,
                               .segment = segment,
                               .offset_bytes = std::uint64_t{16} * number,
                               .shape = {count},
                               .strides = {1}});
  }
}

void add_views(Content& content, std::uint32_t segment) {
  const auto add = [&](std::string name, std::uint64_t offset, std::vector<std::int64_t> shape,
                       std::vector<std::int64_t> strides, std::uint16_t flags = 0) {
    content.tensors.push_back({.name = std::move(name),
                               .flags = flags,
                               .segment = segment,
                               .offset_bytes = offset,
                               .shape = std::move(shape),
                               .strides = std::move(strides)});
  };
  add("views.base", 0, {4, 6}, {6, 1}, kParameterWithGrad);
  add("views.tied", 0, {4, 6}, {6, 1}, kParameterWithGrad);
  add("views.transposed", 0, {6, 4}, {1, 6});
  add("views.column", 8, {4}, {6});
  add("views.expanded", 4, {5, 3}, {0, 1}, format::kBuffer);
  add("views.overlapping", 0, {4, 3}, {2, 1});
  add("views.scalar", 92, {}, {});
  add("views.many_dimensions", 0, {1, 2, 1, 2, 1, 2, 1, 3}, {24, 12, 9, 6, 5, 3, 7, 1});
}

void add_without_values(Content& content, std::uint32_t segment) {
  content.tensors.push_back({.name = "empty", .shape = {3, 0}, .strides = {1, 1}});
  content.tensors.push_back({.name = "empty.in_segment",
                             .segment = segment,
                             .offset_bytes = 96,
                             .shape = {0},
                             .strides = {1}});
  content.tensors.push_back({.name = "meta",
                             .dtype = Dtype::kBFloat16,
                             .flags = format::kMeta,
                             .shape = {1 << 20, 1 << 20},
                             .strides = {1 << 20, 1}});
  content.tensors.push_back({.name = "lazy",
                             .flags = format::kParameter | format::kUninitialized,
                             .shape = {},
                             .strides = {}});
}

void add_flags(Content& content, std::uint32_t segment) {
  const auto add = [&](std::string name, Dtype dtype, std::uint16_t flags) {
    content.tensors.push_back({.name = std::move(name),
                               .dtype = dtype,
                               .flags = flags,
                               .segment = segment,
                               .shape = {2},
                               .strides = {1}});
  };
  add("flags.conj", Dtype::kComplex64, format::kConj);
  add("flags.neg", Dtype::kFloat64, format::kNeg);
  add("flags.conj_neg", Dtype::kComplex64, format::kConj | format::kNeg);
  add("flags.buffer", Dtype::kInt64, format::kBuffer);
  add("sch\u00f6n \u6a21\u578b.\U0001F600", Dtype::kFloat32, 0);
}

std::vector<std::int64_t> contiguous(const std::vector<std::int64_t>& shape) {
  std::vector<std::int64_t> strides(shape.size(), 1);
  for (std::size_t i = strides.size(); i-- > 1;)
    strides[i - 1] = strides[i] * std::max<std::int64_t>(shape[i], 1);
  return strides;
}

// Puts composites and their parts, all at the start of segment 0, into a content.
class CompositeParts {
 public:
  explicit CompositeParts(Content& content) : content_(content) {}

  void begin(format::CompositeContent composite) { composite_ = std::move(composite); }

  CompositeParts& add(const std::string& role, Dtype dtype, std::vector<std::int64_t> shape) {
    composite_.parts.push_back({role, static_cast<std::uint32_t>(content_.tensors.size())});
    add_plain(composite_.name + "." + role, dtype, std::move(shape), format::kPart);
    return *this;
  }

  void end(Dtype dtype,
           std::vector<std::int64_t> shape,
           std::vector<double> reals,
           std::vector<std::int64_t> integers) {
    composite_.dtype = dtype;
    composite_.shape = std::move(shape);
    composite_.reals = std::move(reals);
    composite_.integers = std::move(integers);
    content_.composites.push_back(std::move(composite_));
  }

  void add_plain(std::string name,
                 Dtype dtype,
                 std::vector<std::int64_t> shape,
                 std::uint16_t flags = 0) {
    const auto strides = contiguous(shape);
    content_.tensors.push_back({.name = std::move(name),
                                .dtype = dtype,
                                .flags = flags,
                                .segment = 0,
                                .shape = std::move(shape),
                                .strides = strides});
  }

 private:
  Content& content_;
  format::CompositeContent composite_;
};

void add_composite_values(Content& content) {
  std::vector<std::uint32_t> items;
  ValueGraph& values = content.values;
  for (std::uint32_t i = 0; i < content.composites.size(); ++i) {
    items.push_back(values.add_text(ValueKind::kStr, content.composites[i].name));
    items.push_back(values.add_number(ValueKind::kComposite, i));
  }
  items.push_back(values.add_text(ValueKind::kStr, "plain"));
  const auto plain = static_cast<std::uint32_t>(content.tensors.size() - 1);
  items.push_back(values.add_number(ValueKind::kTensor, plain));
  values.add_parent(ValueKind::kDict, items);
}

std::uint32_t add_scalars(ValueGraph& values) {
  using enum ValueKind;
  const auto integer = values.add_number(kInt, ~std::uint64_t{6});
  const std::uint32_t all[] = {
      values.add_number(kNone, 0),
      values.add_number(kBool, 1),
      integer,
      values.add_text(kBigInt, std::string(8, '\0') + '\1'),
      values.add_number(kFloat, std::bit_cast<std::uint64_t>(0.1)),
      values.add_text(kComplex, std::string_view("\0\0\0\0\0\0\xF0\x3F\0\0\0\0\0\0\0\xC0", 16)),
      values.add_text(kStr, "text \u00e9"),
      values.add_text(kBytes, std::string_view("\0\xFF", 2)),
      values.add_text(kByteArray, "bytearray"),
      values.add_number(kDtype, 15),
      values.add_text(kDevice, "cuda:0"),
      values.add_text(kGlobal, "collections\nOrderedDict"),
      values.add_parent(kSize, std::vector{integer, integer}),
  };
  return values.add_parent(kList, all);
}

std::uint32_t add_containers(ValueGraph& values, std::uint32_t scalars) {
  using enum ValueKind;
  const auto key = values.add_text(kStr, "key");
  const auto none = values.add_number(kNone, 0);
  const auto tuple = values.add_parent(kTuple, std::vector{scalars, scalars});
  const auto dict = values.add_parent(kDict, std::vector{key, tuple});
  const std::uint32_t all[] = {
      tuple,
      values.add_parent(kSet, std::vector{key}),
      values.add_parent(kFrozenSet, std::vector{key, none}),
      dict,
      values.add_parent(kCounter, std::vector{key, values.add_number(kInt, 3)}),
      values.add_parent(kDefaultDict, std::vector{key, scalars}, "builtins\nlist"),
      values.add_parent(kOpaque, std::vector{tuple, none, dict, scalars, none}, "some\nClass"),
  };
  return values.add_parent(kList, all);
}

void add_values(Content& content) {
  using enum ValueKind;
  ValueGraph& values = content.values;
  std::vector<std::uint32_t> state;
  std::uint32_t base = 0;
  for (std::uint32_t i = 0; i < content.tensors.size(); ++i) {
    const std::string& name = content.tensors[i].name;
    state.push_back(values.add_text(kStr, name));
    state.push_back(name == "views.tied" ? base : values.add_number(kTensor, i));
    if (name == "views.base") base = state.back();
  }
  const auto version = values.add_parent(
      kDict, std::vector{values.add_text(kStr, "version"), values.add_number(kInt, 2)});
  const auto metadata =
      values.add_parent(kOrderedDict, std::vector{values.add_text(kStr, ""), version});
  state.push_back(
      values.add_parent(kDict, std::vector{values.add_text(kStr, "_metadata"), metadata}));
  const auto state_dict = values.add_parent(kOrderedDict, state, {}, true);
  const auto scalars = add_scalars(values);
  const auto containers = add_containers(values, scalars);
  values.add_parent(kDict, std::vector{values.add_text(kStr, "model"), state_dict,
                                       values.add_text(kStr, "rest"), containers});
}

}  // namespace

Bytes encode_file(WholeContent whole) {
  whole.content.segment_sizes_bytes.clear();
  for (const Bytes& segment : whole.segments)
    whole.content.segment_sizes_bytes.push_back(segment.size());
  const auto layout = value_or_throw(format::lay_out(whole.content));
  Bytes file =
      value_or_throw(format::encode_front(whole.content, layout, digests_of(whole.segments)));
  file.resize(layout.file_size_bytes);
  for (std::size_t i = 0; i < whole.segments.size(); ++i) {
    std::ranges::copy(whole.segments[i],
                      file.begin() + static_cast<std::ptrdiff_t>(layout.segments[i].offset_bytes));
  }
  return file;
}

WholeContent minimal_content() {
  WholeContent whole;
  const TensorContent w{
      .name = "w", .flags = kParameterWithGrad, .segment = 0, .shape = {2, 2}, .strides = {2, 1}};
  TensorContent tied = w;
  tied.name = "tied";
  whole.content.tensors = {w, tied};
  whole.content.modules = {{"", 1}};
  whole.content.producer = "weightmap 0.1.0";
  ValueGraph& values = whole.content.values;
  const auto key = values.add_text(ValueKind::kStr, "w");
  const auto tensor = values.add_number(ValueKind::kTensor, 0);
  const auto other_key = values.add_text(ValueKind::kStr, "tied");
  values.add_parent(ValueKind::kDict, std::vector{key, tensor, other_key, tensor});
  whole.segments = {bytes_of_values(std::vector<float>{1, 2, 3, 4})};
  return whole;
}

WholeContent composites_content() {
  WholeContent whole;
  whole.segments = {counted_bytes(64)};
  whole.content.producer = "weightmap 0.1.0";
  CompositeParts parts(whole.content);
  const auto integer = Dtype::kInt64;
  parts.begin({.name = "channels", .kind = CompositeKind::kQuantizedPerChannel});
  parts.add("values", Dtype::kQInt8, {2, 4}).add("scales", Dtype::kFloat64, {2});
  parts.add("zero_points", integer, {2}).end(Dtype::kQInt8, {2, 4}, {}, {0});
  parts.begin({.name = "coo", .kind = CompositeKind::kSparseCoo, .flags = kParameterWithGrad});
  parts.add("indices", integer, {2, 3}).add("values", Dtype::kFloat32, {3});
  parts.end(Dtype::kFloat32, {4, 5}, {}, {1});
  const std::pair<std::string, CompositeKind> compressed[] = {{"bsr", CompositeKind::kSparseBsr},
                                                              {"csr", CompositeKind::kSparseCsr}};
  for (const auto& [name, kind] : compressed) {
    parts.begin({.name = "layers." + name, .kind = kind});
    parts.add("crow_indices", integer, {3}).add("col_indices", Dtype::kInt32, {2});
    parts.add("values", Dtype::kComplex64, {2}).end(Dtype::kComplex64, {2, 2}, {}, {});
  }
  parts.begin({.name = "nested", .kind = CompositeKind::kNested, .flags = format::kBuffer});
  parts.add("values", Dtype::kFloat16, {5}).add("sizes", integer, {2, 1});
  parts.add("strides", integer, {2, 1}).add("offsets", integer, {2});
  parts.end(Dtype::kFloat16, {2, 3}, {}, {});
  parts.begin({.name = "packed", .kind = CompositeKind::kQuantizedPerChannelFloat});
  parts.add("values", Dtype::kQUInt4x2, {2, 4}).add("scales", Dtype::kFloat32, {2});
  parts.add("zero_points", Dtype::kFloat32, {2}).end(Dtype::kQUInt4x2, {2, 4}, {}, {1});
  parts.begin({.name = "q", .kind = CompositeKind::kQuantizedPerTensor});
  parts.add("values", Dtype::kQUInt8, {}).end(Dtype::kQUInt8, {}, {0.1}, {-3});
  parts.begin({.name = "sch\u00f6n", .kind = CompositeKind::kSparseCsc});
  parts.add("ccol_indices", integer, {3}).add("row_indices", integer, {0});
  parts.add("values", Dtype::kFloat64, {0}).end(Dtype::kFloat64, {0, 2}, {}, {});
  parts.begin({.name = "sub", .kind = CompositeKind::kSparseBsc});
  parts.add("ccol_indices", integer, {2}).add("row_indices", integer, {1});
  parts.add("values", Dtype::kInt8, {1, 2, 2}).end(Dtype::kInt8, {2, 2}, {}, {});
  parts.begin({.name = "wrapped",
               .kind = CompositeKind::kWrapperSubclass,
               .class_name = "torchao.AffineQuantizedTensor"});
  parts.add("tensor_impl.int_data", Dtype::kInt8, {3, 2}).add("scale", Dtype::kBFloat16, {3});
  parts.end(Dtype::kBFloat16, {3, 2}, {1e300, -0.0}, {-1, INT64_MAX});
  parts.add_plain("plain", Dtype::kFloat32, {4});
  add_composite_values(whole.content);
  return whole;
}

WholeContent features_content() {
  WholeContent whole;
  add_dtypes(whole.content, 0);
  add_views(whole.content, 1);
  add_without_values(whole.content, 1);
  add_flags(whole.content, 2);
  add_values(whole.content);
  whole.content.modules = {{"views", 2}, {"", 1}, {"dtypes", -1}};
  whole.content.producer = "weightmap 0.1.0";
  std::vector<float> numbers;
  for (int i = 0; i < 24; ++i)
    numbers.push_back(static_cast<float>(i) / 2);
  whole.segments = {counted_bytes(std::size_t{16} * kDtypeCount), bytes_of_values(numbers),
                    counted_bytes(16)};
  return whole;
}

}  // namespace weightmap::tests
