// SPDX-License-Identifier: Apache-2.0
#include "format/extras_builder.h"

#include <algorithm>

#include "format/flatbuffer.h"
#include "format/flatbuffer_vectors.h"
#include "format/rules.h"

namespace weightmap::format {
namespace {

// More than tables, lengths and padding of the extras take beside their vectors.
constexpr std::uint64_t kExtrasOverheadBytes = 1024;

std::vector<fb::Digest> stored_digests(std::span<const Digest> digests) {
  std::vector<fb::Digest> stored(digests.size());
  std::ranges::transform(digests, stored.begin(), stored_digest);
  return stored;
}

fb::Node stored_node(const ValueNode& node) {
  return {node.number,
          node.first_child,
          node.child_count,
          node.text_begin,
          node.text_size,
          static_cast<std::uint8_t>(node.kind),
          node.has_attributes ? kNodeHasAttributes : std::uint8_t{0}};
}

std::vector<fb::Node> stored_nodes(const ValueGraph& values) {
  std::vector<fb::Node> stored(values.nodes().size());
  std::ranges::transform(values.nodes(), stored.begin(), stored_node);
  return stored;
}

// A sum of what is stored in memory already: it cannot wrap.
std::uint64_t bytes_needed(const Content& content, const ContentDigests& digests) {
  return kExtrasOverheadBytes +
         (digests.segments.size() + digests.chunks.size()) * sizeof(fb::Digest) +
         content.values.nodes().size() * sizeof(fb::Node) +
         content.values.all_children().size_bytes() + content.values.all_text().size() +
         content.producer.size();
}

}  // namespace

Result<std::vector<std::byte>> build_extras(const Content& content, const ContentDigests& digests) {
  const std::uint64_t needed = bytes_needed(content, digests);
  if (needed > kMaxIndexBytes) {
    return unsupported("the extras would have ", needed, " bytes vs ", kMaxIndexBytes, " at most");
  }
  flatbuffers::FlatBufferBuilder builder(needed);
  const auto producer = content.producer.empty() ? flatbuffers::Offset<flatbuffers::String>()
                                                 : builder.CreateString(content.producer);
  const auto text = byte_vector(builder, content.values.all_text());
  const auto children = scalar_vector(builder, content.values.all_children());
  const auto nodes = struct_vector<fb::Node>(builder, stored_nodes(content.values));
  const auto chunks = struct_vector<fb::Digest>(builder, stored_digests(digests.chunks));
  const auto segments = struct_vector<fb::Digest>(builder, stored_digests(digests.segments));
  const auto root = fb::CreateExtras(builder, segments, chunks, nodes, children, text, producer);
  fb::FinishExtrasBuffer(builder, root);
  return finished_bytes(builder);
}

}  // namespace weightmap::format
