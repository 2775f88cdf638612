// SPDX-License-Identifier: Apache-2.0
#include "weightmap/value_graph.h"

#include <array>
#include <bit>

namespace weightmap {
namespace {

constexpr std::array<std::string_view, kValueKindCount> kNames{
    "none",         "bool",      "int",          "int",   "float", "complex",   "str",
    "bytes",        "bytearray", "list",         "tuple", "set",   "frozenset", "dict",
    "ordered_dict", "counter",   "default_dict", "size",  "dtype", "device",    "global",
    "tensor",       "composite", "opaque",       "object"};

}  // namespace

std::string_view value_kind_name(ValueKind kind) {
  return kNames[static_cast<std::size_t>(kind)];
}

bool is_mapping(ValueKind kind) {
  return kind == ValueKind::kDict || kind == ValueKind::kOrderedDict ||
         kind == ValueKind::kCounter || kind == ValueKind::kDefaultDict;
}

std::span<const std::uint32_t> ValueGraph::children(std::uint32_t node) const {
  const ValueNode& of = nodes_[node];
  return std::span(children_).subspan(of.first_child, of.child_count);
}

std::span<const std::uint32_t> ValueGraph::items(std::uint32_t node) const {
  const auto all = children(node);
  return nodes_[node].has_attributes ? all.first(all.size() - 1) : all;
}

std::string_view ValueGraph::text(std::uint32_t node) const {
  const ValueNode& of = nodes_[node];
  return std::string_view{text_}.substr(of.text_begin, of.text_size);
}

std::int64_t ValueGraph::integer(std::uint32_t node) const {
  return static_cast<std::int64_t>(nodes_[node].number);
}

double ValueGraph::real(std::uint32_t node) const {
  return std::bit_cast<double>(nodes_[node].number);
}

std::uint32_t ValueGraph::add_number(ValueKind kind, std::uint64_t number) {
  return add_node(kind, number, {}, {}, false);
}

std::uint32_t ValueGraph::add_text(ValueKind kind, std::string_view text) {
  return add_node(kind, 0, {}, text, false);
}

std::uint32_t ValueGraph::add_parent(ValueKind kind,
                                     std::span<const std::uint32_t> children,
                                     std::string_view text,
                                     bool has_attributes) {
  return add_node(kind, 0, children, text, has_attributes);
}

std::uint32_t ValueGraph::add_node(ValueKind kind,
                                   std::uint64_t number,
                                   std::span<const std::uint32_t> children,
                                   std::string_view text,
                                   bool has_attributes) {
  nodes_.push_back({.kind = kind,
                    .has_attributes = has_attributes,
                    .first_child = static_cast<std::uint32_t>(children_.size()),
                    .child_count = static_cast<std::uint32_t>(children.size()),
                    .text_begin = static_cast<std::uint32_t>(text_.size()),
                    .text_size = static_cast<std::uint32_t>(text.size()),
                    .number = number});
  children_.insert(children_.end(), children.begin(), children.end());
  text_ += text;
  return root();
}

ValueGraph ValueGraph::from_parts(std::vector<ValueNode> nodes,
                                  std::vector<std::uint32_t> children,
                                  std::string text) {
  ValueGraph graph;
  graph.nodes_ = std::move(nodes);
  graph.children_ = std::move(children);
  graph.text_ = std::move(text);
  return graph;
}

}  // namespace weightmap
