// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace weightmap {

// What a node of a checkpoint's object is, in Python's words. The numbers are stored in weight
// files.
enum class ValueKind : std::uint8_t {
  kNone = 0,
  kBool = 1,          // number: 0 or 1
  kInt = 2,           // number: two's complement 64 bit
  kBigInt = 3,        // text: little-endian two's complement, any length
  kFloat = 4,         // number: the bits of an IEEE double
  kComplex = 5,       // text: two little-endian doubles
  kStr = 6,           // text: UTF-8
  kBytes = 7,         // text: the bytes
  kByteArray = 8,     // text: the bytes
  kList = 9,          // children: the items
  kTuple = 10,        // children: the items
  kSet = 11,          // children: the items
  kFrozenSet = 12,    // children: the items
  kDict = 13,         // children: key, value, key, value ...
  kOrderedDict = 14,  // children: key, value ...
  kCounter = 15,      // children: key, value ...
  kDefaultDict = 16,  // children: key, value ...; text: the factory, "module\nname", or nothing
  kSize = 17,         // torch.Size; children: the integers
  kDtype = 18,        // number: the Dtype
  kDevice = 19,       // text: "cpu", "cuda:0"
  kGlobal = 20,       // a class or function that is only named; text: "module\nname"
  kTensor = 21,       // number: which tensor
  kComposite = 22,    // number: which composite
  kOpaque = 23,       // an object of a class that is not known: see below
  kObject = 24,       // an object of a class that is known to be plain data: as kOpaque
};
inline constexpr int kValueKindCount = 25;

// An opaque object keeps how a pickle would have made it, for the eye only; so do objects of known
// classes (argparse.Namespace, pathlib, datetime, numpy's scalars and arrays ...). text:
// "module\nname" of the callable; children, always five: arguments (a tuple), keyword arguments,
// state, appended items (a list), items set (a dict); what was not there is a kNone node.
inline constexpr std::uint32_t kOpaqueChildren = 5;

struct ValueNode {
  ValueKind kind = ValueKind::kNone;
  bool has_attributes =
      false;  // the last child is a dict of the instance's attributes (`_metadata`)
  std::uint32_t first_child = 0;
  std::uint32_t child_count = 0;
  std::uint32_t text_begin = 0;
  std::uint32_t text_size = 0;
  std::uint64_t number = 0;
};

std::string_view value_kind_name(ValueKind kind);  // "ordered_dict"

bool is_mapping(ValueKind kind);  // its items are keys and values

// The attribute that stands for the whole state of a tensor of a subclass, where that is no dict.
inline constexpr std::string_view kStateAttribute = "__setstate__";

// Everything of a checkpoint that is not a tensor's bytes: a graph without cycles whose nodes stand
// after their children, the root last. A node with several parents is one shared object.
// A value type; not safe for writing from several threads.
class ValueGraph {
 public:
  bool empty() const { return nodes_.empty(); }
  std::uint32_t size() const { return static_cast<std::uint32_t>(nodes_.size()); }
  std::uint32_t root() const { return size() - 1; }  // REQUIRES: !empty()

  // REQUIRES for all: node < size().
  const ValueNode& node(std::uint32_t node) const { return nodes_[node]; }
  std::span<const std::uint32_t> children(std::uint32_t node) const;  // attributes included
  std::span<const std::uint32_t> items(std::uint32_t node) const;     // without attributes
  std::string_view text(std::uint32_t node) const;
  std::int64_t integer(std::uint32_t node) const;  // of kInt and kBool
  double real(std::uint32_t node) const;           // of kFloat

  std::span<const ValueNode> nodes() const { return nodes_; }
  std::span<const std::uint32_t> all_children() const { return children_; }
  std::string_view all_text() const { return text_; }

  // Each returns the number of the new node. REQUIRES: children are nodes of this graph.
  std::uint32_t add_number(ValueKind kind, std::uint64_t number);
  std::uint32_t add_text(ValueKind kind, std::string_view text);
  std::uint32_t add_parent(ValueKind kind,
                           std::span<const std::uint32_t> children,
                           std::string_view text = {},
                           bool has_attributes = false);

  // Any of them, every field given: for copies.
  std::uint32_t add_node(ValueKind kind,
                         std::uint64_t number,
                         std::span<const std::uint32_t> children,
                         std::string_view text,
                         bool has_attributes);

  // Takes what a reader has verified as it stands.
  static ValueGraph from_parts(std::vector<ValueNode> nodes,
                               std::vector<std::uint32_t> children,
                               std::string text);

 private:
  std::vector<ValueNode> nodes_;
  std::vector<std::uint32_t> children_;
  std::string text_;
};

}  // namespace weightmap
