// SPDX-License-Identifier: Apache-2.0
#include "format/extras_view.h"

#include <algorithm>
#include <utility>

#include "format/flatbuffer.h"
#include "format/rules.h"

namespace weightmap::format {
namespace {

std::vector<Digest> take_digests(std::span<const fb::Digest> stored) {
  std::vector<Digest> digests(stored.size());
  std::ranges::transform(stored, digests.begin(), digest_from);
  return digests;
}

ValueNode take_node(const fb::Node& node) {
  return {.kind = static_cast<ValueKind>(node.kind()),
          .has_attributes = (node.flags() & kNodeHasAttributes) != 0,
          .first_child = node.first_child(),
          .child_count = node.child_count(),
          .text_begin = node.text_begin(),
          .text_size = node.text_size(),
          .number = node.number()};
}

ValueGraph take_values(const fb::Extras& root) {
  const auto stored = elements(root.nodes());
  std::vector<ValueNode> nodes(stored.size());
  std::ranges::transform(stored, nodes.begin(), take_node);
  const auto children = elements(root.children());
  return ValueGraph::from_parts(std::move(nodes), {children.begin(), children.end()},
                                std::string(text_of(root.text())));
}

}  // namespace

Result<Extras> read_extras(std::span<const std::byte> bytes, const IndexView& index) {
  ExtrasInput input{bytes, index};
  const auto sound = check_rules(extras_bytes_rules(), input);
  if (!sound) return sound.error().with_context("extras");
  input.root = fb::GetExtras(bytes.data());
  const auto valid = check_rules(extras_rules(), input);
  if (!valid) return valid.error().with_context("extras");
  return Extras{.segment_digests = take_digests(elements(input.root->segment_digests())),
                .chunk_digests = take_digests(elements(input.root->chunk_digests())),
                .values = take_values(*input.root),
                .producer = std::string(text_of(input.root->producer()))};
}

std::optional<Digest> recorded_digest(const Extras& extras, std::uint32_t segment) {
  if (extras.segment_digests.empty()) return std::nullopt;
  const Digest& digest = extras.segment_digests[segment];
  if (digest == Digest{}) return std::nullopt;
  return digest;
}

}  // namespace weightmap::format
