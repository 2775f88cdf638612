// SPDX-License-Identifier: Apache-2.0
#include "base/copy_elements.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <fstream>
#include <iterator>
#include <limits>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "base/number_cast.h"

namespace weightmap {
namespace {

using Bytes = std::vector<std::byte>;
using Sizes = std::vector<std::int64_t>;

std::size_t bytes_of(Dtype dtype) {
  return dtype_info(dtype).element_bits / 8;
}

Bytes copied(Dtype from, std::span<const std::byte> elements, Dtype to, bool neg = false) {
  const Sizes shape{static_cast<std::int64_t>(elements.size() / bytes_of(from))};
  const Sizes strides{1};
  Bytes result(static_cast<std::size_t>(shape[0]) * bytes_of(to));
  copy_elements(
      {.dtype = from, .shape = shape, .strides = strides, .data = elements.data(), .neg = neg},
      {.dtype = to, .strides = strides, .data = result.data()});
  return result;
}

template <typename To, typename From>
To copied_one(Dtype from, From value, Dtype to, bool neg = false) {
  const Bytes bytes = copied(from, std::as_bytes(std::span(&value, 1)), to, neg);
  To result{};
  REQUIRE(bytes.size() == sizeof result);
  std::memcpy(&result, bytes.data(), sizeof result);
  return result;
}

// What casts.bin holds, read from its start to its end: tests/data/copy/make_copy.py has the
// layout.
class Recorded {
 public:
  Recorded() {
    std::ifstream file(WEIGHTMAP_TEST_DATA "/copy/casts.bin", std::ios::binary);
    const std::string text(std::istreambuf_iterator<char>(file), {});
    bytes_.resize(text.size());
    std::memcpy(bytes_.data(), text.data(), text.size());
  }

  bool is_at_end() const { return at_ == bytes_.size(); }

  template <typename T>
  T number() {
    T value{};
    std::memcpy(&value, bytes(sizeof value).data(), sizeof value);
    return value;
  }
  Dtype dtype() { return static_cast<Dtype>(number<std::uint8_t>()); }

  Bytes bytes(std::size_t count) {
    REQUIRE(count <= bytes_.size() - at_);
    const auto first = bytes_.begin() + static_cast<std::ptrdiff_t>(at_);
    at_ += count;
    return {first, first + static_cast<std::ptrdiff_t>(count)};
  }

 private:
  Bytes bytes_;
  std::size_t at_ = 0;
};

Bytes every_pattern(Dtype dtype, std::size_t count) {
  Bytes bytes(count * bytes_of(dtype));
  for (std::size_t i = 0; i < count; ++i)
    std::memcpy(bytes.data() + i * bytes_of(dtype), &i, bytes_of(dtype));
  return bytes;
}

// Any NaN as the one that was recorded, by the bits of each float dtype.
template <typename Bits>
void make_nans_equal(Bytes& bytes, Bits sign, Bits infinity, Bits nan) {
  for (std::size_t at = 0; at < bytes.size(); at += sizeof(Bits)) {
    Bits bits{};
    std::memcpy(&bits, bytes.data() + at, sizeof bits);
    if (static_cast<Bits>(bits & static_cast<Bits>(~sign)) <= infinity) continue;
    std::memcpy(bytes.data() + at, &nan, sizeof nan);
  }
}

void make_nans_equal(Dtype dtype, Bytes& bytes) {
  using std::uint16_t;
  using std::uint32_t;
  using std::uint64_t;
  using std::uint8_t;
  switch (parts_of_element(dtype).dtype) {
    case Dtype::kFloat8E5M2: return make_nans_equal<uint8_t>(bytes, 0x80, 0x7C, 0x7F);
    case Dtype::kFloat8E4M3FN: return make_nans_equal<uint8_t>(bytes, 0x80, 0x7E, 0x7F);
    case Dtype::kFloat16: return make_nans_equal<uint16_t>(bytes, 0x8000, 0x7C00, 0x7E00);
    case Dtype::kBFloat16: return make_nans_equal<uint16_t>(bytes, 0x8000, 0x7F80, 0x7FC0);
    case Dtype::kFloat32:
      return make_nans_equal<uint32_t>(bytes, 0x80000000, 0x7F800000, 0x7FC00000);
    case Dtype::kFloat64:
      return make_nans_equal<uint64_t>(bytes, uint64_t{1} << 63U, uint64_t{0x7FF} << 52U,
                                       uint64_t{0xFFF} << 51U);
    default: return;  // one NaN or none
  }
}

std::uint32_t crc32_of(const Bytes& bytes) {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t i = 0; i < table.size(); ++i) {
    table[i] = i;
    for (int bit = 0; bit < 8; ++bit)
      table[i] = (table[i] >> 1U) ^ ((table[i] & 1U) != 0 ? 0xEDB88320U : 0U);
  }
  std::uint32_t crc = 0xFFFFFFFFU;
  for (const std::byte byte : bytes)
    crc = (crc >> 8U) ^ table[(crc ^ std::to_integer<std::uint32_t>(byte)) & 0xFFU];
  return ~crc;
}

std::string hex(const Bytes& bytes, std::size_t at, std::size_t size) {
  std::string text;
  for (std::size_t i = size; i-- > 0;) {
    constexpr std::string_view kDigits = "0123456789abcdef";
    text += kDigits[std::to_integer<std::size_t>(bytes[at + i] >> 4U)];
    text += kDigits[std::to_integer<std::size_t>(bytes[at + i] & std::byte{15})];
  }
  return text;
}

TEST_SUITE_BEGIN("base/copy_elements");

TEST_CASE("every number becomes in every dtype what PyTorch makes of it") {
  Recorded recorded;
  std::size_t pairs = 0;
  while (!recorded.is_at_end()) {
    const Dtype from = recorded.dtype();
    const bool is_every = recorded.number<std::uint8_t>() != 0;
    const auto count = recorded.number<std::uint32_t>();
    const Bytes inputs =
        is_every ? every_pattern(from, count) : recorded.bytes(count * bytes_of(from));
    const auto targets = recorded.number<std::uint8_t>();
    for (unsigned target = 0; target < targets; ++target, ++pairs) {
      const Dtype to = recorded.dtype();
      CAPTURE(dtype_name(from));
      CAPTURE(dtype_name(to));
      Bytes results = copied(from, inputs, to);
      make_nans_equal(to, results);
      if (recorded.number<std::uint8_t>() != 0) {
        CHECK(crc32_of(results) == recorded.number<std::uint32_t>());
        continue;
      }
      const Bytes expected = recorded.bytes(results.size());
      const auto [ours, theirs] = std::ranges::mismatch(results, expected);
      if (ours == results.end()) continue;
      const auto at = static_cast<std::size_t>(ours - results.begin()) / bytes_of(to);
      CAPTURE(hex(inputs, at * bytes_of(from), bytes_of(from)));
      CHECK(hex(results, at * bytes_of(to), bytes_of(to)) ==
            hex(expected, at * bytes_of(to), bytes_of(to)));
    }
  }
  CHECK(pairs == 21 * 21);
}

TEST_CASE("a float that no integer holds becomes what the header says") {
  struct Row {
    double value;
    std::uint8_t uint8;
    std::int16_t int16;
    std::int32_t int32;
    std::uint32_t uint32;
    std::int64_t int64;
    std::uint64_t uint64;
  };
  constexpr auto kMin32 = std::numeric_limits<std::int32_t>::min();
  constexpr auto kMin64 = std::numeric_limits<std::int64_t>::min();
  constexpr std::uint64_t kTop = std::uint64_t{1} << 63U;
  const Row rows[] = {
      {-1.5, 255, -1, -1, 0xFFFFFFFF, -1, ~std::uint64_t{0}},
      {300.9, 44, 300, 300, 300, 300, 300},
      {65537, 1, 1, 65537, 65537, 65537, 65537},
      {0x1p31 + 5, 5, 0, kMin32, 0x80000005, 0x80000005, 0x80000005},
      {-0x1p31 - 1, 255, 0, kMin32, 0x7FFFFFFF, -0x80000001LL, ~std::uint64_t{0x80000000}},
      {0x1p32 + 5, 5, 0, kMin32, 5, 0x100000005, 0x100000005},
      {0x1p63, 0, 0, kMin32, 0, kMin64, kTop},
      {0x1p63 + 0x1p20, 0, 0, kMin32, 0, kMin64, kTop + 0x100000},
      {0x1p64, 0, 0, kMin32, 0, kMin64, 0},
      {-0x1p64, 0, 0, kMin32, 0, kMin64, kTop},
      {INFINITY, 0, 0, kMin32, 0, kMin64, 0},
      {-INFINITY, 0, 0, kMin32, 0, kMin64, kTop},
      {NAN, 0, 0, kMin32, 0, kMin64, kTop},
  };
  for (const Row& row : rows) {
    CAPTURE(row.value);
    constexpr Dtype kFrom = Dtype::kFloat64;
    CHECK(copied_one<std::uint8_t>(kFrom, row.value, Dtype::kUInt8) == row.uint8);
    CHECK(copied_one<std::int16_t>(kFrom, row.value, Dtype::kInt16) == row.int16);
    CHECK(copied_one<std::int32_t>(kFrom, row.value, Dtype::kInt32) == row.int32);
    CHECK(copied_one<std::uint32_t>(kFrom, row.value, Dtype::kUInt32) == row.uint32);
    CHECK(copied_one<std::int64_t>(kFrom, row.value, Dtype::kInt64) == row.int64);
    CHECK(copied_one<std::uint64_t>(kFrom, row.value, Dtype::kUInt64) == row.uint64);
  }
}

TEST_CASE("NaN has the bits that the header says") {
  constexpr auto kFrom = std::uint32_t{0xFF812345};  // signalling, negative
  const auto narrow = [](Dtype to) { return copied_one<std::uint8_t>(Dtype::kFloat32, kFrom, to); };
  CHECK(narrow(Dtype::kFloat8E5M2) == 0xFF);
  CHECK(narrow(Dtype::kFloat8E4M3FN) == 0xFF);
  CHECK(narrow(Dtype::kFloat8E5M2FNUZ) == 0x80);
  CHECK(narrow(Dtype::kFloat8E4M3FNUZ) == 0x80);
  CHECK(narrow(Dtype::kFloat8E8M0FNU) == 0xFF);
  CHECK(narrow(Dtype::kBool) == 1);
  CHECK(copied_one<std::uint16_t>(Dtype::kFloat32, kFrom, Dtype::kFloat16) == 0xFE00);
  CHECK(copied_one<std::uint16_t>(Dtype::kFloat32, kFrom, Dtype::kBFloat16) == 0x7FC0);
  CHECK(copied_one<std::uint32_t>(Dtype::kFloat16, std::uint16_t{0xFC01}, Dtype::kFloat32) ==
        0xFFC02000);
  CHECK(copied_one<std::uint32_t>(Dtype::kBFloat16, std::uint16_t{0xFF81}, Dtype::kFloat32) ==
        0xFF810000);
  CHECK(copied_one<std::uint32_t>(Dtype::kFloat8E5M2, std::uint8_t{0xFD}, Dtype::kFloat32) ==
        0xFFE00000);
}

TEST_CASE("negation comes after the cast") {
  const auto negated = [](auto like, Dtype from, auto value, Dtype to) {
    return copied_one<decltype(like)>(from, value, to, true);
  };
  using std::uint8_t;
  CHECK(negated(std::int16_t{}, Dtype::kInt8, std::int8_t{-128}, Dtype::kInt16) == 128);
  CHECK(negated(std::int8_t{}, Dtype::kInt8, std::int8_t{-128}, Dtype::kInt8) == -128);
  CHECK(negated(std::int64_t{}, Dtype::kUInt8, uint8_t{200}, Dtype::kInt64) == -200);
  CHECK(negated(std::uint32_t{}, Dtype::kFloat32, 1.0F, Dtype::kUInt32) == 0xFFFFFFFF);
  CHECK(std::signbit(negated(double{}, Dtype::kFloat32, 0.0F, Dtype::kFloat64)));
  CHECK(negated(float{}, Dtype::kFloat16, std::uint16_t{0x3C00}, Dtype::kFloat32) == -1);
  CHECK(negated(uint8_t{}, Dtype::kFloat8E4M3FN, uint8_t{0x38}, Dtype::kFloat8E4M3FN) == 0xB8);
  for (const Dtype fnuz : {Dtype::kFloat8E4M3FNUZ, Dtype::kFloat8E5M2FNUZ}) {
    CHECK(negated(uint8_t{}, fnuz, uint8_t{0}, fnuz) == 0);  // whose sign is that of NaN
    CHECK(negated(uint8_t{}, fnuz, uint8_t{0x80}, fnuz) == 0x80);
    CHECK(negated(uint8_t{}, fnuz, uint8_t{0x81}, fnuz) == 0x01);
  }
  CHECK(negated(uint8_t{}, Dtype::kBool, uint8_t{1}, Dtype::kBool) == 1);
  CHECK(negated(uint8_t{}, Dtype::kFloat32, 2.0F, Dtype::kFloat8E8M0FNU) == 128);
}

TEST_CASE("a complex number is turned and taken apart") {
  using Pair = std::array<float, 2>;
  const std::array<Pair, 2> values{{{1, -2}, {0, 3}}};
  const Sizes shape{2};
  const Sizes strides{1};
  const auto turned = [&](bool conj, bool neg, Dtype to) {
    Bytes result(2 * bytes_of(to));
    copy_elements({.dtype = Dtype::kComplex64,
                   .shape = shape,
                   .strides = strides,
                   .data = std::as_bytes(std::span(values)).data(),
                   .conj = conj,
                   .neg = neg},
                  {.dtype = to, .strides = strides, .data = result.data()});
    return copied(parts_of_element(to).dtype, result, Dtype::kFloat64);
  };
  const auto numbers = [](std::vector<double> expected) {
    const auto bytes = std::as_bytes(std::span(expected));
    return Bytes(bytes.begin(), bytes.end());
  };
  for (const Dtype to :
       {Dtype::kComplex32, Dtype::kBComplex32, Dtype::kComplex64, Dtype::kComplex128}) {
    CAPTURE(dtype_name(to));
    CHECK(turned(false, false, to) == numbers({1, -2, 0, 3}));
    CHECK(turned(true, false, to) == numbers({1, 2, 0, -3}));
    CHECK(turned(false, true, to) == numbers({-1, 2, -0.0, -3}));
    CHECK(turned(true, true, to) == numbers({-1, -2, -0.0, 3}));
  }
  CHECK(turned(true, false, Dtype::kInt8) == numbers({1, 0}));
  CHECK(turned(true, true, Dtype::kFloat32) == numbers({-1, -0.0}));
  CHECK(turned(true, true, Dtype::kBool) == numbers({1, 1}));
}

TEST_CASE("bits of any dtype become themselves where elements are whole bytes") {
  for (int i = 0; i < kDtypeCount; ++i) {
    const auto dtype = static_cast<Dtype>(i);
    CAPTURE(dtype_name(dtype));
    const bool is_whole = dtype != Dtype::kQUInt4x2 && dtype != Dtype::kQUInt2x4;
    CHECK(can_copy(dtype, dtype) == is_whole);
    CHECK(can_copy(dtype, Dtype::kFloat32) == can_copy(Dtype::kFloat32, dtype));
    if (!is_whole) continue;
    const Bytes elements = every_pattern(Dtype::kUInt8, 240);
    CHECK(copied(dtype, elements, dtype) == elements);
  }
}

TEST_CASE("what is no number becomes nothing else") {
  for (const Dtype dtype : {Dtype::kQInt8, Dtype::kQInt32, Dtype::kQUInt4x2, Dtype::kBits8,
                            Dtype::kBits16, Dtype::kFloat4E2M1FNx2, Dtype::kUInt4, Dtype::kInt1}) {
    CAPTURE(dtype_name(dtype));
    CHECK_FALSE(can_copy(dtype, Dtype::kFloat32));
    CHECK_FALSE(can_copy(Dtype::kUInt8, dtype));
  }
}

// A tensor somewhere in a memory of its own, at any address.
struct Placed {
  Dtype dtype;
  Sizes strides;
  Bytes memory;
  std::size_t first = 0;
};

class Chance {
 public:
  explicit Chance(unsigned seed) : engine_(seed) {}
  std::size_t below(std::size_t limit) { return engine_() % limit; }

  Sizes shape() {
    Sizes sizes(below(9));
    for (std::int64_t& size : sizes)
      size = std::array{0, 1, 1, 2, 2, 3, 3, 4, 5}[below(30) == 0 ? 0 : 1 + below(8)];
    if (sizes.size() == 2 && below(2) == 0) sizes[below(2)] = 700;  // more than a block
    return sizes;
  }

  // Dimensions in any order, with gaps or without; where elements may be one, some repeat.
  Placed place(Dtype dtype, const Sizes& shape, bool may_repeat) {
    std::vector<std::size_t> order(shape.size());
    std::iota(order.begin(), order.end(), 0U);
    if (below(3) != 0) std::shuffle(order.begin(), order.end(), engine_);
    Placed placed{dtype, Sizes(shape.size()), {}, below(3)};
    std::int64_t step = 1;
    for (const std::size_t dimension : order) {
      placed.strides[dimension] = may_repeat && below(4) == 0 ? 0 : step;
      step *= std::max<std::int64_t>(shape[dimension], 1) + (below(4) == 0 ? 1 : 0);
    }
    placed.memory.resize(placed.first + static_cast<std::size_t>(step) * bytes_of(dtype));
    for (std::byte& byte : placed.memory)
      byte = static_cast<std::byte>(engine_());
    return placed;
  }

 private:
  std::minstd_rand engine_;
};

// One element after the other.
void copy_slowly(const ElementSource& from, const ElementTarget& to) {
  Sizes index(from.shape.size(), 0);
  std::int64_t count =
      std::accumulate(from.shape.begin(), from.shape.end(), std::int64_t{1}, std::multiplies());
  for (; count > 0; --count) {
    ElementSource one = from;
    ElementTarget place = to;
    one.shape = {};
    one.strides = {};
    place.strides = {};
    for (std::size_t i = 0; i < index.size(); ++i) {
      one.data += index[i] * from.strides[i] * static_cast<std::int64_t>(bytes_of(from.dtype));
      place.data += index[i] * to.strides[i] * static_cast<std::int64_t>(bytes_of(to.dtype));
    }
    copy_elements(one, place);
    for (std::size_t i = index.size(); i-- > 0 && ++index[i] == from.shape[i];)
      index[i] = 0;
  }
}

TEST_CASE("any strides on both sides give what one element at a time does") {
  constexpr std::array kDtypes{
      std::array{Dtype::kUInt8, Dtype::kUInt8},
      std::array{Dtype::kBits16, Dtype::kBits16},
      std::array{Dtype::kFloat32, Dtype::kFloat32},
      std::array{Dtype::kInt64, Dtype::kInt64},
      std::array{Dtype::kComplex128, Dtype::kComplex128},
      std::array{Dtype::kBFloat16, Dtype::kFloat32},
      std::array{Dtype::kFloat64, Dtype::kFloat8E5M2},
      std::array{Dtype::kInt16, Dtype::kComplex32},
      std::array{Dtype::kComplex64, Dtype::kComplex32},
      std::array{Dtype::kComplex64, Dtype::kInt8},
      std::array{Dtype::kComplex32, Dtype::kBool},
      std::array{Dtype::kBool, Dtype::kUInt64},
  };
  Chance chance(11);
  for (int round = 0; round < 2000; ++round) {
    const std::array<Dtype, 2>& dtypes = kDtypes[chance.below(kDtypes.size())];
    const Dtype from_dtype = dtypes[0];
    const Dtype to_dtype = dtypes[1];
    const Sizes shape = chance.shape();
    const Placed source = chance.place(from_dtype, shape, true);
    const Placed target = chance.place(to_dtype, shape, false);
    const ElementSource from{.dtype = from_dtype,
                             .shape = shape,
                             .strides = source.strides,
                             .data = source.memory.data() + source.first,
                             .conj = chance.below(4) == 0,
                             .neg = chance.below(4) == 0};
    const auto result_of = [&](const auto& copy) {
      Bytes memory = target.memory;
      copy(from, ElementTarget{to_dtype, target.strides, memory.data() + target.first});
      return memory;
    };
    CAPTURE(round);
    CAPTURE(dtype_name(from_dtype));
    CAPTURE(dtype_name(to_dtype));
    REQUIRE(result_of(copy_elements) == result_of(copy_slowly));
  }
}

TEST_CASE("a tensor without elements is not read") {
  const Sizes shape{3, 0, 2};
  const Sizes strides{2, 2, 1};
  copy_elements({.dtype = Dtype::kFloat32, .shape = shape, .strides = strides},
                {.dtype = Dtype::kFloat64, .strides = strides});
}

TEST_CASE("a thousand dimensions take no more than their list") {
  Sizes shape(1000, 1);
  Sizes strides(1000, 0);
  for (const std::size_t i : {1U, 500U, 999U}) {
    shape[i] = 2;
    strides[i] = static_cast<std::int64_t>(i);
  }
  std::vector<float> from(1501);
  std::iota(from.begin(), from.end(), 0.0F);
  std::vector<double> to(8);
  Sizes to_strides(1000, 0);
  to_strides[1] = 4;
  to_strides[500] = 2;
  to_strides[999] = 1;
  copy_elements({.dtype = Dtype::kFloat32,
                 .shape = shape,
                 .strides = strides,
                 .data = std::as_bytes(std::span(from)).data()},
                {.dtype = Dtype::kFloat64,
                 .strides = to_strides,
                 .data = std::as_writable_bytes(std::span(to)).data()});
  CHECK(to == std::vector<double>{0, 999, 500, 1499, 1, 1000, 501, 1500});
}

TEST_SUITE_END();

}  // namespace
}  // namespace weightmap
