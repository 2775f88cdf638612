// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <complex>

#include "value.h"

// As Python writes them, as far as a few words go.
namespace weightmap::tool {
namespace {

constexpr std::size_t kLongest = 100;         // columns of one value
constexpr std::size_t kLongestCharacter = 4;  // bytes of UTF-8

// Whole configurations stand in strings: only the beginning is looked at.
std::string string_text(std::string_view text) {
  const std::string_view begin = text.substr(0, (kLongest + 1) * kLongestCharacter);
  return fmt::format("'{}'", cut_end(printable(begin), kLongest));
}

std::string complex_text(std::string_view text) {
  const std::complex<double> value = complex_value(text);
  const char* plus = std::signbit(value.imag()) ? "" : "+";
  return fmt::format("{}{}{}j", real_text(value.real()), plus, real_text(value.imag()));
}

std::string container_text(const ValueGraph& graph, std::uint32_t number) {
  const ValueNode& node = graph.node(number);
  const std::size_t items = graph.items(number).size();
  const bool mapping = node.kind == ValueKind::kDict || node.kind == ValueKind::kOrderedDict ||
                       node.kind == ValueKind::kCounter || node.kind == ValueKind::kDefaultDict;
  return fmt::format("{} of {}", value_kind_name(node.kind), mapping ? items / 2 : items);
}

}  // namespace

std::string real_text(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
  const std::string text = fmt::format("{}", value);
  const bool looks_whole = text.find_first_of(".e") == std::string::npos;
  return looks_whole ? text + ".0" : text;
}

std::string value_text(const Listing& listing, std::uint32_t number) {
  const ValueGraph& graph = listing.values;
  const ValueNode& node = graph.node(number);
  const std::string_view text = graph.text(number);
  switch (node.kind) {
    case ValueKind::kNone: return "None";
    case ValueKind::kBool: return node.number != 0 ? "True" : "False";
    case ValueKind::kInt: return std::to_string(graph.integer(number));
    case ValueKind::kFloat: return real_text(graph.real(number));
    case ValueKind::kBigInt: return cut_middle(integer_text(text), kLongest);
    case ValueKind::kComplex: return complex_text(text);
    case ValueKind::kStr: return string_text(text);
    case ValueKind::kBytes:
    case ValueKind::kByteArray:
      return fmt::format("{} of {}", value_kind_name(node.kind), human_bytes(text.size()));
    case ValueKind::kDtype:
      return fmt::format("torch.{}", dtype_name(static_cast<Dtype>(node.number)));
    case ValueKind::kDevice: return fmt::format("device {}", printable(text));
    case ValueKind::kGlobal: return printable(qualified_name(text));
    case ValueKind::kTensor:
      return fmt::format("tensor {}", printable(listing.tensors[node.number].view.name()));
    case ValueKind::kComposite:
      return fmt::format("composite {}", printable(composite_name(listing, node)));
    case ValueKind::kOpaque: return fmt::format("{}, opaque", printable(qualified_name(text)));
    case ValueKind::kObject: return object_text(listing, number);
    default: return container_text(graph, number);
  }
}

}  // namespace weightmap::tool
