// SPDX-License-Identifier: Apache-2.0
#include "format/node_rules.h"

#include <algorithm>
#include <array>

#include "base/checked.h"
#include "format/flatbuffer.h"

namespace weightmap::format {
namespace {

// What a kind of node asks of its number, text and items (its children without the attributes).
enum class Number { kZero, kBit, kAny, kDtype, kEntry, kComposite };
enum class Text { kNone, kUtf8, kRaw, kLongInteger, kTwoDoubles, kQualifiedName, kFactory };
enum class Items { kNone, kAny, kPairs, kIntegers, kOpaque };

struct KindRow {
  Number number;
  Text text;
  Items items;
};

// The table of FORMAT.md 4, a row a kind.
constexpr std::array<KindRow, kValueKindCount> kKinds{{
    {Number::kZero, Text::kNone, Items::kNone},             // none
    {Number::kBit, Text::kNone, Items::kNone},              // bool
    {Number::kAny, Text::kNone, Items::kNone},              // int
    {Number::kZero, Text::kLongInteger, Items::kNone},      // int, longer than 64 bits
    {Number::kAny, Text::kNone, Items::kNone},              // float
    {Number::kZero, Text::kTwoDoubles, Items::kNone},       // complex
    {Number::kZero, Text::kUtf8, Items::kNone},             // str
    {Number::kZero, Text::kRaw, Items::kNone},              // bytes
    {Number::kZero, Text::kRaw, Items::kNone},              // bytearray
    {Number::kZero, Text::kNone, Items::kAny},              // list
    {Number::kZero, Text::kNone, Items::kAny},              // tuple
    {Number::kZero, Text::kNone, Items::kAny},              // set
    {Number::kZero, Text::kNone, Items::kAny},              // frozenset
    {Number::kZero, Text::kNone, Items::kPairs},            // dict
    {Number::kZero, Text::kNone, Items::kPairs},            // ordered_dict
    {Number::kZero, Text::kNone, Items::kPairs},            // counter
    {Number::kZero, Text::kFactory, Items::kPairs},         // default_dict
    {Number::kZero, Text::kNone, Items::kIntegers},         // size
    {Number::kDtype, Text::kNone, Items::kNone},            // dtype
    {Number::kZero, Text::kUtf8, Items::kNone},             // device
    {Number::kZero, Text::kQualifiedName, Items::kNone},    // global
    {Number::kEntry, Text::kNone, Items::kNone},            // tensor
    {Number::kComposite, Text::kNone, Items::kNone},        // composite
    {Number::kZero, Text::kQualifiedName, Items::kOpaque},  // opaque
    {Number::kZero, Text::kQualifiedName, Items::kOpaque},  // object
}};

bool is_long_integer(std::string_view text) {
  return text.size() > sizeof(std::int64_t);
}

// "module\nname"
bool is_qualified_name(std::string_view text) {
  return std::ranges::count(text, '\n') == 1 && is_valid_utf8(text);
}

bool is_text_right(Text rule, std::string_view text) {
  switch (rule) {
    case Text::kNone: return text.empty();
    case Text::kUtf8: return is_valid_utf8(text);
    case Text::kRaw: return true;
    case Text::kLongInteger: return is_long_integer(text);
    case Text::kTwoDoubles: return text.size() == 2 * sizeof(double);
    case Text::kQualifiedName: return is_qualified_name(text);
    case Text::kFactory: return text.empty() || is_qualified_name(text);
  }
  return false;
}

class NodeCheck {
 public:
  explicit NodeCheck(const ExtrasInput& input)
      : nodes_(elements(input.root->nodes())),
        children_(elements(input.root->children())),
        text_(text_of(input.root->text())),
        entry_count_(input.index.entries.size()),
        composite_count_(size_of(input.index.root->composites())) {}

  Result<void> run() {
    for (std::size_t i = 0; i < nodes_.size(); ++i) {
      const fb::Node& node = nodes_[i];
      std::string_view fault = form_fault(node);
      if (fault.empty()) fault = content_fault(i);
      if (!fault.empty()) return corrupt("node ", i, " ", fault, ": ", description_of(node));
    }
    return {};
  }

 private:
  using Children = std::span<const std::uint32_t>;

  std::string_view form_fault(const fb::Node& node) {
    if (node.kind() >= kValueKindCount) return "is of an unknown kind";
    if ((node.flags() & ~kNodeHasAttributes) != 0) return "has an unknown flag";
    const auto is_zero = [](std::uint8_t byte) { return byte == 0; };
    const std::span reserved(node.reserved()->data(), node.reserved()->size());
    if (!std::ranges::all_of(reserved, is_zero)) return "has reserved bytes that are not 0";
    const bool inside = range_fits(node.first_child(), node.child_count(), children_.size()) &&
                        range_fits(node.text_begin(), node.text_size(), text_.size());
    if (!inside) return "has text or children outside of the pools";
    // Nodes may share parts of the pools, but not so often that looking at all of them takes long.
    children_named_ += node.child_count();
    text_named_ += node.text_size();
    const bool few = children_named_ <= children_.size() && text_named_ <= text_.size();
    return few ? "" : "and those before it name more than the pools hold";
  }

  std::string_view content_fault(std::size_t number) const {
    const fb::Node& node = nodes_[number];
    const Children children = children_.subspan(node.first_child(), node.child_count());
    const auto is_before = [&](std::uint32_t child) { return child < number; };
    if (!std::ranges::all_of(children, is_before)) return "stands before one of its children";
    const KindRow& row = kKinds[node.kind()];
    if (!is_number_right(row.number, node.number())) return "has a number that its kind has not";
    const std::string_view text = text_.substr(node.text_begin(), node.text_size());
    if (!is_text_right(row.text, text)) return "has a text that its kind has not";
    const bool has_attributes = (node.flags() & kNodeHasAttributes) != 0;
    if (has_attributes && (children.empty() || !is_kind(children.back(), ValueKind::kDict))) {
      return "has the flag attributes but no dict of them";
    }
    const Children items = children.first(children.size() - (has_attributes ? 1 : 0));
    return are_items_right(row.items, items) ? "" : "has children that its kind has not";
  }

  bool is_number_right(Number rule, std::uint64_t number) const {
    switch (rule) {
      case Number::kZero: return number == 0;
      case Number::kBit: return number <= 1;
      case Number::kAny: return true;
      case Number::kDtype: return number < kDtypeCount;
      case Number::kEntry: return number < entry_count_;
      case Number::kComposite: return number < composite_count_;
    }
    return false;
  }

  bool are_items_right(Items rule, Children items) const {
    const auto is_integer = [&](std::uint32_t item) { return is_kind(item, ValueKind::kInt); };
    switch (rule) {
      case Items::kNone: return items.empty();
      case Items::kAny: return true;
      case Items::kPairs: return items.size() % 2 == 0;
      case Items::kIntegers: return std::ranges::all_of(items, is_integer);
      case Items::kOpaque: return are_opaque_right(items);
    }
    return false;
  }

  bool are_opaque_right(Children items) const {
    return items.size() == kOpaqueChildren && is_kind_or_none(items[0], ValueKind::kTuple) &&
           is_kind_or_none(items[1], ValueKind::kDict) &&
           is_kind_or_none(items[3], ValueKind::kList) &&
           is_kind_or_none(items[4], ValueKind::kDict);
  }

  bool is_kind(std::uint32_t node, ValueKind kind) const {
    return nodes_[node].kind() == static_cast<std::uint8_t>(kind);
  }
  bool is_kind_or_none(std::uint32_t node, ValueKind kind) const {
    return is_kind(node, kind) || is_kind(node, ValueKind::kNone);
  }

  static std::string description_of(const fb::Node& node) {
    return concat("kind ", node.kind(), ", number ", node.number(), ", ", node.child_count(),
                  " children, ", node.text_size(), " bytes of text");
  }

  std::span<const fb::Node> nodes_;
  Children children_;
  std::string_view text_;
  std::uint64_t entry_count_;
  std::uint64_t composite_count_;
  std::uint64_t children_named_ = 0;
  std::uint64_t text_named_ = 0;
};

}  // namespace

Result<void> check_nodes(const ExtrasInput& input) {
  return NodeCheck(input).run();
}

}  // namespace weightmap::format
