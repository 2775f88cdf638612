// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <iterator>
#include <string>

#include "base/hash.h"
#include "format/hostile_rows.h"
#include "support/resign.h"

namespace weightmap::tests {
namespace {

// The first node of a kind in the sample file.
RawNode& node_of(RawFile& file, std::uint8_t kind) {
  return *std::ranges::find(file.extras.nodes, kind, &RawNode::kind);
}

std::uint32_t number_of(RawFile& file, std::uint8_t kind) {
  return static_cast<std::uint32_t>(&node_of(file, kind) - file.extras.nodes.data());
}

void set_text(RawFile& file, std::uint8_t kind, const std::string& text) {
  RawNode& node = node_of(file, kind);
  node.text_begin = static_cast<std::uint32_t>(file.extras.text.size());
  node.text_size = static_cast<std::uint32_t>(text.size());
  file.extras.text += text;
}

// Gives a node children by kind, whatever they are.
void set_children(RawFile& file, std::uint8_t kind, const std::vector<std::uint8_t>& kinds) {
  std::vector<std::uint32_t> children;
  for (const std::uint8_t child : kinds)
    children.push_back(number_of(file, child));
  RawNode& node = node_of(file, kind);
  node.first_child = static_cast<std::uint32_t>(file.extras.children.size());
  node.child_count = static_cast<std::uint32_t>(children.size());
  std::ranges::copy(children, std::back_inserter(file.extras.children));
}

std::vector<HostileRow> flatbuffer_rows() {
  return {
      {23, "extras not signed again", "the extras are damaged", nullptr,
       [](Bytes& f) { extras_part(f).back() ^= std::byte{1}; }},
      {24, "another identifier", "identifier WMEX", nullptr,
       [](Bytes& f) {
         poke(extras_part(f), 4, std::array{'W', 'M', 'I', 'X'});
         resign_extras(f);
       }},
      {24, "a root outside", "not a sound FlatBuffer", nullptr,
       [](Bytes& f) {
         poke<std::uint32_t>(extras_part(f), 0, 1U << 30U);
         resign_extras(f);
       }},
      {24, "nodes at no multiple of 8", "alignment", nullptr,
       [](Bytes& f) {
         const auto extras = extras_part(f);
         const std::size_t field = digest_place(extras, 2);
         poke(extras, field, peek<std::uint32_t>(extras, field) + 4);
         poke<std::uint32_t>(extras, field + peek<std::uint32_t>(extras, field), 1);
         resign_extras(f);
       }},
  };
}

std::vector<HostileRow> digest_rows() {
  return {
      {25, "a digest less than segments", "`segment_digests` has 3 vs 4",
       [](RawFile& f) { f.extras.segment_digests.pop_back(); }},
      {25, "a digest more than segments", "`segment_digests` has 5 vs 4",
       [](RawFile& f) { f.extras.segment_digests.emplace_back(); }},
      {25, "a chunk less", "`chunk_digests` has 2 vs 3",
       [](RawFile& f) { f.extras.chunk_digests.pop_back(); }},
      {25, "a chunk more", "`chunk_digests` has 4 vs 3",
       [](RawFile& f) { f.extras.chunk_digests.emplace_back(); }},
      {25, "chunks of a segment without a digest", "`chunk_digests` has 3 vs 0",
       [](RawFile& f) { f.extras.segment_digests[3] = {}; }},
      {25, "chunks without digests of segments", "`chunk_digests` has 3 vs 0",
       [](RawFile& f) { f.extras.segment_digests.clear(); }},
  };
}

std::vector<HostileRow> node_rows() {
  return {
      {26, "an unknown kind", "unknown kind: kind 25", [](RawFile& f) { node_of(f, 0).kind = 25; }},
      {26, "an unknown flag", "unknown flag", [](RawFile& f) { node_of(f, 0).flags = 2; }},
      {26, "reserved bytes", "reserved bytes", [](RawFile& f) { node_of(f, 0).reserved = 1; }},
      {26, "children outside", "outside of the pools",
       [](RawFile& f) { node_of(f, 14).child_count = 1000; }},
      {26, "children that begin outside", "outside of the pools",
       [](RawFile& f) { node_of(f, 0).first_child = 0xFFFFFFFFU; }},
      {26, "text outside", "outside of the pools",
       [](RawFile& f) { node_of(f, 6).text_size = 1000; }},
      {26, "text that begins outside", "outside of the pools",
       [](RawFile& f) { node_of(f, 0).text_begin = 0xFFFFFFFFU; }},
      {26, "more children in all than the pool has", "more than the pools hold",
       [](RawFile& f) {
         for (int i = 0; i < 10; ++i)
           f.extras.nodes.insert(f.extras.nodes.end() - 1, node_of(f, 14));
       }},
      {26, "more text in all than the pool has", "more than the pools hold",
       [](RawFile& f) {
         for (int i = 0; i < 100; ++i)
           f.extras.nodes.insert(f.extras.nodes.end() - 1, node_of(f, 6));
       }},
      {26, "a child behind its parent", "before one of its children",
       [](RawFile& f) { f.extras.children[node_of(f, 10).first_child] = 26; }},
      {26, "a node that is its own child", "before one of its children",
       [](RawFile& f) { f.extras.children[node_of(f, 10).first_child] = number_of(f, 10); }},
      {26, "a child that does not exist", "before one of its children",
       [](RawFile& f) { f.extras.children[0] = 0xFFFFFFFFU; }},
      {26, "attributes that are no dict", "no dict of them",
       [](RawFile& f) { node_of(f, 9).flags = 1; }},
      {26, "attributes but no children", "no dict of them",
       [](RawFile& f) { node_of(f, 0).flags = 1; }},
  };
}

std::vector<HostileRow> number_rows() {
  return {
      {26, "none with a number", "kind 0, number 1", [](RawFile& f) { node_of(f, 0).number = 1; }},
      {26, "a bool of 2", "kind 1, number 2", [](RawFile& f) { node_of(f, 1).number = 2; }},
      {26, "an unknown dtype", "kind 18, number 47",
       [](RawFile& f) { node_of(f, 18).number = 47; }},
      {26, "dtype 2^32", "kind 18, number 4294967296",
       [](RawFile& f) { node_of(f, 18).number = std::uint64_t{1} << 32U; }},
      {26, "a tensor that does not exist", "kind 21, number 13",
       [](RawFile& f) { node_of(f, 21).number = 13; }},
      {26, "a composite that does not exist", "kind 22, number 2",
       [](RawFile& f) { node_of(f, 22).number = 2; }},
      {26, "a list with a number", "kind 9, number 1",
       [](RawFile& f) { node_of(f, 9).number = 1; }},
  };
}

std::vector<HostileRow> text_rows() {
  constexpr std::string_view kText = "a text that its kind has not";
  return {
      {26, "none with a text", kText, [](RawFile& f) { set_text(f, 0, "x"); }},
      {26, "a list with a text", kText, [](RawFile& f) { set_text(f, 9, "x"); }},
      {26, "a long integer of 8 bytes", kText,
       [](RawFile& f) { set_text(f, 3, std::string(8, 'x')); }},
      {26, "a complex of 8 bytes", kText, [](RawFile& f) { set_text(f, 5, std::string(8, 'x')); }},
      {26, "a str that is not UTF-8", kText, [](RawFile& f) { set_text(f, 6, "\xFF"); }},
      {26, "a device that is not UTF-8", kText, [](RawFile& f) { set_text(f, 19, "\xFF"); }},
      {26, "a factory that is not UTF-8", kText, [](RawFile& f) { set_text(f, 16, "m\n\xFF"); }},
      {26, "a factory without a module", kText, [](RawFile& f) { set_text(f, 16, "list"); }},
      {26, "a global that is not UTF-8", kText, [](RawFile& f) { set_text(f, 20, "m\n\xFF"); }},
      {26, "a global without a module", kText, [](RawFile& f) { set_text(f, 20, "name"); }},
      {26, "a global of two newlines", kText, [](RawFile& f) { set_text(f, 20, "a\nb\nc"); }},
      {26, "an opaque without a module", kText, [](RawFile& f) { set_text(f, 23, "name"); }},
      {26, "an opaque that is not UTF-8", kText, [](RawFile& f) { set_text(f, 23, "m\n\xFF"); }},
  };
}

std::vector<HostileRow> children_rows() {
  constexpr std::string_view kChildren = "children that its kind has not";
  return {
      {26, "a str with a child", kChildren, [](RawFile& f) { set_children(f, 19, {0}); }},
      {26, "a dict with a key alone", kChildren, [](RawFile& f) { set_children(f, 13, {0}); }},
      {26, "a counter with a key alone", kChildren, [](RawFile& f) { set_children(f, 15, {0}); }},
      {26, "a default_dict with a key alone", kChildren,
       [](RawFile& f) { set_children(f, 16, {0}); }},
      {26, "an ordered_dict with a key alone", kChildren,
       [](RawFile& f) {
         set_children(f, 14, {0, 13});
       }},
      {26, "a size of floats", kChildren, [](RawFile& f) { set_children(f, 17, {4}); }},
      {26, "a composite with a child", kChildren, [](RawFile& f) { set_children(f, 22, {0}); }},
      {26, "a dtype with a child", kChildren, [](RawFile& f) { set_children(f, 18, {0}); }},
      {26, "a tensor with a child", kChildren,
       [](RawFile& f) {
         f.extras.nodes[1].child_count = 1;
         f.extras.children[0] = 0;
       }},
      {26, "an opaque with four children", kChildren,
       [](RawFile& f) {
         set_children(f, 23, {10, 13, 0, 9});
       }},
      {26, "an opaque with six children", kChildren,
       [](RawFile& f) {
         set_children(f, 23, {10, 13, 0, 9, 0, 0});
       }},
      {26, "an opaque whose arguments are a list", kChildren,
       [](RawFile& f) {
         set_children(f, 23, {9, 13, 0, 9, 13});
       }},
      {26, "an opaque whose keyword arguments are a list", kChildren,
       [](RawFile& f) {
         set_children(f, 23, {10, 9, 0, 9, 13});
       }},
      {26, "an opaque whose appended items are a tuple", kChildren,
       [](RawFile& f) {
         set_children(f, 23, {10, 13, 0, 10, 13});
       }},
      {26, "an opaque whose set items are a list", kChildren,
       [](RawFile& f) {
         set_children(f, 23, {10, 13, 0, 9, 9});
       }},
  };
}

}  // namespace

std::vector<HostileRow> extras_rows() {
  std::vector<HostileRow> rows;
  for (const auto part :
       {flatbuffer_rows, digest_rows, node_rows, number_rows, text_rows, children_rows}) {
    std::ranges::copy(part(), std::back_inserter(rows));
  }
  return rows;
}

std::vector<HostileRow> blob_rows() {
  return {
      {27, "padding behind the index", "is padding but 1 vs 0",
       [](RawFile& f) { f.index_tail.resize(1); },
       [](Bytes& f) { f[128 + index_part(f).size()] = std::byte{1}; }},
      {27, "padding behind the extras", "is padding but 1 vs 0",
       [](RawFile& f) { f.extras.producer.resize(f.extras.producer.size() + 4, 'x'); },
       [](Bytes& f) { f[peek<std::uint64_t>(f, 56) - 1] = std::byte{1}; }},
      {27, "the first byte of padding between segments", "is padding but 255 vs 0", nullptr,
       [](Bytes& f) { blob_part(f)[16] = std::byte{255}; }},
      {27, "the last byte of padding between segments", "is padding but 1 vs 0", nullptr,
       [](Bytes& f) { blob_part(f)[127] = std::byte{1}; }},
      {28, "the first byte of the first segment", "segment 0: the 16 bytes at", nullptr,
       [](Bytes& f) { blob_part(f)[0] ^= std::byte{1}; }},
      {28, "the last byte of the last segment", "segment 2: the 8 bytes at", nullptr,
       [](Bytes& f) { blob_part(f)[135] ^= std::byte{1}; }},
      {28, "a digest that is not that of the chunks' digests", "segment 3: its digest is not",
       [](RawFile& f) { f.extras.chunk_digests[2].bytes[5] ^= std::byte{1}; }},
  };
}

}  // namespace weightmap::tests
