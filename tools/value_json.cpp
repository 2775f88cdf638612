// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <iterator>

#include "value.h"

namespace weightmap::tool {
namespace {

// Integers that every JSON reader keeps, most of which have only doubles.
constexpr std::int64_t kExactInDouble = std::int64_t{1} << 53;

Json complex_json(const std::complex<double>& value) {
  return Json::array({real_json(value.real()), real_json(value.imag())});
}

std::string hex(std::string_view bytes) {
  std::string out;
  for (const char byte : bytes) {
    fmt::format_to(std::back_inserter(out), "{:02x}", static_cast<unsigned char>(byte));
  }
  return out;
}

// Python too makes decimal digits, which takes time by the square of their number, only up to
// 4,300.
constexpr std::size_t kDecimalBytes = 1785;

// An integer of any length.
class BigInteger {
 public:
  // From little-endian two's complement.
  explicit BigInteger(std::string_view text)
      : negative_(!text.empty() && (text.back() & '\x80') != 0), magnitude_(text) {
    if (!negative_) return;
    unsigned carry = 1;
    for (char& byte : magnitude_) {
      const unsigned sum = static_cast<unsigned char>(~static_cast<unsigned char>(byte)) + carry;
      byte = static_cast<char>(sum & 0xFFU);
      carry = sum >> 8U;
    }
  }

  std::string text() const {
    std::string digits = magnitude_.size() > kDecimalBytes ? hex_digits() : decimal_digits();
    return (negative_ ? "-" : "") + digits;
  }

 private:
  std::string hex_digits() const {
    return "0x" + hex(std::string(magnitude_.rbegin(), magnitude_.rend()));
  }

  std::string decimal_digits() const {
    std::string left = magnitude_;
    std::string digits;
    do {
      digits += static_cast<char>('0' + divide_by_ten(left));
    } while (left.find_first_not_of('\0') != std::string::npos);
    return {digits.rbegin(), digits.rend()};
  }

  // Returns the remainder.
  static unsigned divide_by_ten(std::string& bytes) {
    unsigned remainder = 0;
    for (auto byte = bytes.rbegin(); byte != bytes.rend(); ++byte) {
      const unsigned part = remainder * 256 + static_cast<unsigned char>(*byte);
      *byte = static_cast<char>(part / 10);
      remainder = part % 10;
    }
    return remainder;
  }

  bool negative_;
  std::string magnitude_;  // little-endian
};

bool has_items(ValueKind kind) {
  switch (kind) {
    case ValueKind::kList:
    case ValueKind::kTuple:
    case ValueKind::kSet:
    case ValueKind::kFrozenSet:
    case ValueKind::kDict:
    case ValueKind::kOrderedDict:
    case ValueKind::kCounter:
    case ValueKind::kDefaultDict:
    case ValueKind::kSize:
    case ValueKind::kOpaque:
    case ValueKind::kObject: return true;
    default: return false;
  }
}

Json scalar_json(const Listing& listing, std::uint32_t number) {
  const ValueGraph& graph = listing.values;
  const ValueNode& node = graph.node(number);
  switch (node.kind) {
    case ValueKind::kBool: return node.number != 0;
    case ValueKind::kInt: return integer_json(graph.integer(number));
    case ValueKind::kBigInt: return integer_text(graph.text(number));
    case ValueKind::kFloat: return real_json(graph.real(number));
    case ValueKind::kComplex: return complex_json(complex_value(graph.text(number)));
    case ValueKind::kStr:
    case ValueKind::kDevice: return graph.text(number);
    case ValueKind::kBytes:
    case ValueKind::kByteArray: return hex(graph.text(number));
    case ValueKind::kDtype: return dtype_name(static_cast<Dtype>(node.number));
    case ValueKind::kGlobal:
    case ValueKind::kOpaque:
    case ValueKind::kObject: return qualified_name(graph.text(number));
    case ValueKind::kTensor: return listing.tensors[node.number].view.name();
    case ValueKind::kComposite: return composite_name(listing, node);
    default: return nullptr;
  }
}

// Only of containers that have a value of their own beside their items.
bool has_value(ValueKind kind) {
  return !has_items(kind) || kind == ValueKind::kOpaque || kind == ValueKind::kObject;
}

}  // namespace

Json integer_json(std::int64_t value) {
  if (value < -kExactInDouble || value > kExactInDouble) return std::to_string(value);
  return value;
}

Json real_json(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
  return value;
}

std::string composite_name(const Listing& listing, const ValueNode& node) {
  if (node.number >= listing.composites.size()) return std::to_string(node.number);
  return std::string(listing.composites[node.number].name());
}

std::string qualified_name(std::string_view text) {
  std::string name(text);
  std::ranges::replace(name, '\n', '.');
  return name;
}

std::string integer_text(std::string_view text) {
  return BigInteger(text).text();
}

std::complex<double> complex_value(std::string_view text) {
  std::array<double, 2> parts{};  // the text of a node need not be aligned
  std::memcpy(parts.data(), text.data(), std::min(text.size(), sizeof parts));
  return {parts[0], parts[1]};
}

Json value_json(const Listing& listing, std::uint32_t number) {
  const ValueGraph& graph = listing.values;
  const ValueNode& node = graph.node(number);
  Json json{{"kind", value_kind_name(node.kind)}};
  if (has_value(node.kind)) json["value"] = scalar_json(listing, number);
  const auto items = graph.items(number);
  if (has_items(node.kind) || !items.empty()) json["children"] = items;
  if (node.has_attributes) json["attributes"] = graph.children(number).back();
  if (node.kind == ValueKind::kDefaultDict) {
    const std::string factory = qualified_name(graph.text(number));
    json["factory"] = factory.empty() ? Json() : Json(factory);
  }
  return json;
}

}  // namespace weightmap::tool
