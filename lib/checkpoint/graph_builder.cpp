// SPDX-License-Identifier: Apache-2.0
#include "checkpoint/graph_builder.h"

#include <utility>

namespace weightmap::checkpoint {

std::uint32_t GraphBuilder::add(const ValueNode& node) {
  budget_.spend(1);
  nodes_.push_back(node);
  return static_cast<std::uint32_t>(nodes_.size() - 1);
}

std::uint32_t GraphBuilder::add_none() {
  if (none_ == kNotMade) none_ = add_number(ValueKind::kNone, 0);
  return none_;
}

std::uint32_t GraphBuilder::add_number(ValueKind kind, std::uint64_t number) {
  return add({.kind = kind, .number = number});
}

std::uint32_t GraphBuilder::add_text(ValueKind kind, std::string_view text) {
  return add_parent(kind, {}, store_text(text));
}

std::uint32_t GraphBuilder::add_parent(ValueKind kind,
                                       std::span<const std::uint32_t> children,
                                       TextRange text,
                                       bool has_attributes) {
  budget_.spend(children.size());
  const auto first_child = static_cast<std::uint32_t>(children_.size());
  children_.insert(children_.end(), children.begin(), children.end());
  return add({.kind = kind,
              .has_attributes = has_attributes,
              .first_child = first_child,
              .child_count = static_cast<std::uint32_t>(children.size()),
              .text_begin = text.begin,
              .text_size = text.size});
}

std::uint32_t GraphBuilder::add_tensor_with_attributes(ValueKind kind,
                                                       std::uint64_t number,
                                                       std::uint32_t attributes) {
  const std::uint32_t node = add_parent(kind, {&attributes, 1}, {}, true);
  nodes_[node].number = number;
  return node;
}

TextRange GraphBuilder::store_text(std::string_view text) {
  budget_.spend(text.size());
  const auto begin = static_cast<std::uint32_t>(text_.size());
  text_ += text;
  return {begin, static_cast<std::uint32_t>(text.size())};
}

std::string_view GraphBuilder::text(std::uint32_t node) const {
  return {text_.data() + nodes_[node].text_begin, nodes_[node].text_size};
}

std::span<const std::uint32_t> GraphBuilder::children(std::uint32_t node) const {
  return std::span(children_).subspan(nodes_[node].first_child, nodes_[node].child_count);
}

ValueGraph GraphBuilder::finish() && {
  return ValueGraph::from_parts(std::move(nodes_), std::move(children_), std::move(text_));
}

}  // namespace weightmap::checkpoint
