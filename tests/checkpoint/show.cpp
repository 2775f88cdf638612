// SPDX-License-Identifier: Apache-2.0
#include "show.h"

#include <algorithm>
#include <span>

#include "weightmap/dtype.h"

namespace weightmap::tests {
namespace {

using checkpoint::kNoValue;
using checkpoint::Pickle;
using checkpoint::PickleKind;
using checkpoint::PickleValue;
using checkpoint::ValueId;

std::string hex(std::string_view bytes) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  for (const char byte : bytes) {
    out += kDigits[static_cast<unsigned char>(byte) >> 4U];
    out += kDigits[static_cast<unsigned char>(byte) & 15U];
  }
  return out;
}

std::string real_text(double value) {
  char text[40];
  std::snprintf(text, sizeof text, "%g", value);
  return text;
}

std::string dotted(std::string_view global) {
  std::string name(global);
  std::ranges::replace(name, '\n', '.');
  return name;
}

template <typename Id, typename Show>
std::string list(std::span<const Id> items, const Show& show_one) {
  std::string out;
  for (const Id item : items)
    out += (out.empty() ? "" : ", ") + show_one(item);
  return out;
}

template <typename Id, typename Show>
std::string pairs(std::span<const Id> items, const Show& show_one) {
  std::string out;
  for (std::size_t i = 0; i + 1 < items.size(); i += 2) {
    out += (out.empty() ? "" : ", ") + show_one(items[i]) + ": " + show_one(items[i + 1]);
  }
  return out;
}

class PickleText {
 public:
  explicit PickleText(const Pickle& pickle) : pickle_(pickle) {}

  std::string of(ValueId id) const {
    const PickleValue& value = pickle_.values[id];
    const auto one = [this](ValueId item) { return of(item); };
    const auto items = [&] { return list(pickle_.items_of(value), one); };
    switch (value.kind) {
      case PickleKind::kNone: return "None";
      case PickleKind::kBool: return value.integer != 0 ? "True" : "False";
      case PickleKind::kInt: return std::to_string(value.integer);
      case PickleKind::kBigInt: return "int<" + hex(pickle_.text(value)) + ">";
      case PickleKind::kFloat: return real_text(value.real);
      case PickleKind::kStr: return "'" + std::string(pickle_.text(value)) + "'";
      case PickleKind::kBytes: return "b<" + hex(pickle_.text(value)) + ">";
      case PickleKind::kByteArray: return "bytearray<" + hex(pickle_.text(value)) + ">";
      case PickleKind::kList: return "[" + items() + "]";
      case PickleKind::kTuple: return "(" + items() + ")";
      case PickleKind::kSet: return "set{" + items() + "}";
      case PickleKind::kFrozenSet: return "frozenset{" + items() + "}";
      case PickleKind::kDict: return "{" + pairs(pickle_.items_of(value), one) + "}";
      case PickleKind::kGlobal: return checkpoint::global_text(pickle_.globals[value.slot]);
      case PickleKind::kPersistent: return "persistent" + of(value.slot);
      case PickleKind::kCall: return call(pickle_.calls[value.slot]);
    }
    return "?";
  }

 private:
  std::string call(const checkpoint::PickleCall& call) const {
    const auto one = [this](ValueId item) { return of(item); };
    std::string out = of(call.callable) + of(call.arguments);
    if (call.keyword_arguments != kNoValue) out += "(**" + of(call.keyword_arguments) + ")";
    if (call.appended.size > 0) out += " += [" + list(pickle_.items_of(call.appended), one) + "]";
    if (call.set_items.size > 0)
      out += " |= {" + pairs(pickle_.items_of(call.set_items), one) + "}";
    if (call.state != kNoValue) out += " <- " + of(call.state);
    return out;
  }

  const Pickle& pickle_;
};

class GraphText {
 public:
  explicit GraphText(const ValueGraph& graph) : graph_(graph) {}

  std::string of(std::uint32_t node) const {
    const std::string text = plain(node);
    if (!graph_.node(node).has_attributes) return text;
    return text + " @" + of(graph_.children(node).back());
  }

 private:
  std::string plain(std::uint32_t node) const;
  std::string opaque(std::uint32_t node) const;

  const ValueGraph& graph_;
};

std::string GraphText::plain(std::uint32_t node) const {
  const auto one = [this](std::uint32_t item) { return of(item); };
  const auto items = [&] { return list(graph_.items(node), one); };
  const auto mapping = [&] { return "{" + pairs(graph_.items(node), one) + "}"; };
  const std::string text(graph_.text(node));
  const std::uint64_t number = graph_.node(node).number;
  switch (graph_.node(node).kind) {
    case ValueKind::kNone: return "None";
    case ValueKind::kBool: return number != 0 ? "True" : "False";
    case ValueKind::kInt: return std::to_string(graph_.integer(node));
    case ValueKind::kBigInt: return "int<" + hex(text) + ">";
    case ValueKind::kFloat: return real_text(graph_.real(node));
    case ValueKind::kComplex: return "complex<" + hex(text) + ">";
    case ValueKind::kStr: return "'" + text + "'";
    case ValueKind::kBytes: return "b<" + hex(text) + ">";
    case ValueKind::kByteArray: return "bytearray<" + hex(text) + ">";
    case ValueKind::kList: return "[" + items() + "]";
    case ValueKind::kTuple: return "(" + items() + ")";
    case ValueKind::kSet: return "set{" + items() + "}";
    case ValueKind::kFrozenSet: return "frozenset{" + items() + "}";
    case ValueKind::kDict: return mapping();
    case ValueKind::kOrderedDict: return "OrderedDict" + mapping();
    case ValueKind::kCounter: return "Counter" + mapping();
    case ValueKind::kDefaultDict: return "defaultdict<" + dotted(text) + ">" + mapping();
    case ValueKind::kSize: return "Size(" + items() + ")";
    case ValueKind::kDtype: return std::string(dtype_name(static_cast<Dtype>(number)));
    case ValueKind::kDevice: return "device<" + text + ">";
    case ValueKind::kGlobal: return dotted(text);
    case ValueKind::kTensor: return "tensor" + std::to_string(number);
    case ValueKind::kComposite: return "composite" + std::to_string(number);
    case ValueKind::kOpaque: return opaque(node);
    case ValueKind::kObject: return "object " + opaque(node);
  }
  return "?";
}

std::string GraphText::opaque(std::uint32_t node) const {
  const auto parts = graph_.items(node);
  const auto is_there = [&](std::size_t i) {
    return graph_.node(parts[i]).kind != ValueKind::kNone;
  };
  std::string out = dotted(graph_.text(node)) + of(parts[0]);
  if (is_there(1)) out += "(**" + of(parts[1]) + ")";
  if (is_there(3)) out += " += " + of(parts[3]);
  if (is_there(4)) out += " |= " + of(parts[4]);
  if (is_there(2)) out += " <- " + of(parts[2]);
  return out;
}

}  // namespace

std::string show(const Pickle& pickle) {
  return PickleText(pickle).of(pickle.root);
}

std::string show(const ValueGraph& graph) {
  return GraphText(graph).of(graph.root());
}

}  // namespace weightmap::tests
