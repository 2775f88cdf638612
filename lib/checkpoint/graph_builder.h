// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "weightmap/value_graph.h"

namespace weightmap::checkpoint {

// What reading a pickle may cost in memory and steps. A few bytes of a pickle can repeat something
// long: the same list as the argument of a million calls, the same sizes for a million tensors.
// Whoever repeats something pays for it here first.
class Budget {
 public:
  explicit Budget(std::uint64_t units) : left_(units) {}

  void spend(std::uint64_t units) { left_ -= units < left_ ? units : left_; }
  bool is_spent() const { return left_ == 0; }

 private:
  std::uint64_t left_;
};

// A part of the graph's text.
struct TextRange {
  std::uint32_t begin = 0;
  std::uint32_t size = 0;
};

// Makes a ValueGraph whose nodes may share their text. Nodes are counted from 0; children come
// first. REQUIRES: the budget is below 2^32, and whoever adds stops soon after it is spent.
class GraphBuilder {
 public:
  explicit GraphBuilder(Budget& budget) : budget_(budget) {}

  std::uint32_t add_none();  // one node for all, as in Python
  std::uint32_t add_number(ValueKind kind, std::uint64_t number);
  std::uint32_t add_text(ValueKind kind, std::string_view text);
  std::uint32_t add_parent(ValueKind kind,
                           std::span<const std::uint32_t> children,
                           TextRange text = {},
                           bool has_attributes = false);
  std::uint32_t add_tensor_with_attributes(ValueKind kind,
                                           std::uint64_t number,
                                           std::uint32_t attributes);

  TextRange store_text(std::string_view text);

  // REQUIRES: a node of this graph.
  const ValueNode& node(std::uint32_t node) const { return nodes_[node]; }
  std::string_view text(std::uint32_t node) const;
  std::span<const std::uint32_t> children(std::uint32_t node) const;

  ValueGraph finish() &&;

 private:
  std::uint32_t add(const ValueNode& node);

  Budget& budget_;
  std::vector<ValueNode> nodes_;
  std::vector<std::uint32_t> children_;
  std::string text_;
  static constexpr std::uint32_t kNotMade = 0xFFFFFFFFU;
  std::uint32_t none_ = kNotMade;
};

}  // namespace weightmap::checkpoint
