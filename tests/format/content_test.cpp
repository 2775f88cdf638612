// SPDX-License-Identifier: Apache-2.0
// What is written is what is read; the same content gives the same bytes.
#include "format/content.h"

#include <algorithm>
#include <string>

#include <doctest/doctest.h>

#include "base/hash.h"
#include "format/flatbuffer.h"
#include "support/check_file.h"
#include "support/golden_files.h"
#include "support/resign.h"

namespace weightmap::format {
namespace {

using tests::Bytes;
using tests::OpenIndex;
using tests::WholeContent;

OpenIndex open(const Bytes& file) {
  auto index = tests::open_index(file);
  REQUIRE_MESSAGE(index.has_value(), index.error().message());
  return *std::move(index);
}

Extras extras_of(Bytes file, const IndexView& index) {
  const auto part = tests::extras_part(file);
  auto extras = read_extras(Bytes(part.begin(), part.end()), index);
  REQUIRE_MESSAGE(extras.has_value(), extras.error().message());
  return *std::move(extras);
}

template <typename T, typename U>
bool same(const T& a, const U& b) {
  return std::ranges::equal(a, b);
}

void check_same_tensor(const IndexView& index, std::uint32_t number, const TensorContent& tensor) {
  CAPTURE(tensor.name);
  const fb::Entry& entry = index.entries[number];
  CHECK(index.name(entry) == tensor.name);
  CHECK(entry.dtype() == static_cast<std::uint8_t>(tensor.dtype));
  CHECK(entry.flags() == tensor.flags);
  CHECK(entry.segment() == tensor.segment);
  CHECK(entry.offset_bytes() == tensor.offset_bytes);
  CHECK(same(index.shape(entry), tensor.shape));
  CHECK(same(index.strides(entry), tensor.strides));
}

bool same_graph(const ValueGraph& a, const ValueGraph& b) {
  const auto same_node = [](const ValueNode& x, const ValueNode& y) {
    return x.kind == y.kind && x.number == y.number && x.has_attributes == y.has_attributes &&
           x.first_child == y.first_child && x.child_count == y.child_count &&
           x.text_begin == y.text_begin && x.text_size == y.text_size;
  };
  return std::ranges::equal(a.nodes(), b.nodes(), same_node) &&
         same(a.all_children(), b.all_children()) && a.all_text() == b.all_text();
}

void check_same_composite(const fb::Composite& stored, const CompositeContent& from) {
  CAPTURE(from.name);
  CHECK(text_of(stored.name()) == from.name);
  CHECK(static_cast<int>(stored.kind()) == static_cast<int>(from.kind));
  CHECK(stored.dtype() == static_cast<std::uint8_t>(from.dtype));
  CHECK(stored.flags() == from.flags);
  CHECK(same(elements(stored.shape()), from.shape));
  CHECK(same(elements(stored.reals()), from.reals));
  CHECK(same(elements(stored.integers()), from.integers));
  CHECK(text_of(stored.class_name()) == from.class_name);
  REQUIRE(size_of(stored.parts()) == from.parts.size());
  for (std::uint32_t i = 0; i < from.parts.size(); ++i) {
    CHECK(text_of(stored.parts()->Get(i)->role()) == from.parts[i].role);
    CHECK(stored.parts()->Get(i)->entry() == from.parts[i].tensor);
  }
}

// A composite of two parts, which the two tensors of the smallest content are.
void make_composite(Content& c) {
  c.composites = {{.name = "q", .parts = {{"values", 0}, {"scales", 1}}}};
  for (TensorContent& tensor : c.tensors)
    tensor.flags = kPart;
  c.values = {};
}

// Content that breaks one thing; the message must say which and where.
struct Row {
  std::string_view text;
  void (*edit)(Content&);
  ErrorCode code = ErrorCode::kInvalidArgument;
};

constexpr auto kUnsupported = ErrorCode::kUnsupported;

const Row kBadContents[] = {
    {"R15: tensors 0 (`w`) and 1 (`w`) have the same name",
     [](Content& c) { c.tensors[1].name = c.tensors[0].name; }},
    {"R15: tensors 0 (`layers.5311.w`) and 1 (`edUqPG}x`) have names with the same hash",
     [](Content& c) {
       c.tensors[0].name = std::string("layers.5311.w");
       c.tensors[1].name = std::string("edUqPG}x");
     }},
    {"R13: the name of tensor 1 (``) is empty", [](Content& c) { c.tensors[1].name.clear(); }},
    {"R13: the name of tensor 1 (`tied\\xff`) is not valid UTF-8",
     [](Content& c) { c.tensors[1].name += "\xFF"; }},
    {"the name of tensor 1 (`tttt", [](Content& c) { c.tensors[1].name.assign(65536, 't'); }},
    {"65536 bytes vs 65535", [](Content& c) { c.tensors[1].name.assign(65536, 't'); }},
    {"tensor `tied` has 1 strides vs 2 dimensions",
     [](Content& c) { c.tensors[1].strides.pop_back(); }},
    {"tensor `tied` has 300 dimensions vs 64",
     [](Content& c) {
       c.tensors[1].shape.assign(300, 1);
       c.tensors[1].strides.assign(300, 1);
     }},
    {"R16: tensor `w` is both parameter and buffer",
     [](Content& c) { c.tensors[0].flags = kParameter | kBuffer; }},
    {"R17: tensor `w` has a negative number in its shape",
     [](Content& c) { c.tensors[0].shape[0] = -2; }},
    {"R18: tensor `w` reaches out of its segment", [](Content& c) { c.tensors[0].shape[0] = 3; }},
    {"R18: tensor `w` lies in a segment that does not exist",
     [](Content& c) { c.segment_sizes_bytes.clear(); }},
    {"R19: composites have 0 parts vs 1", [](Content& c) { c.tensors[0].flags |= kPart; }},
    {"R19: composite `q` does not come after the one before it",
     [](Content& c) {
       make_composite(c);
       c.composites.push_back(c.composites[0]);
     }},
    {"R19: composite `w` has the name of a tensor",
     [](Content& c) {
       make_composite(c);
       c.composites[0].name = "w";
     }},
    {"R19: composite `q` has a part that does not exist",
     [](Content& c) {
       make_composite(c);
       c.composites[0].parts[1].tensor = 2;
     }},
    {"R19: composite `q` has two parts with one role",
     [](Content& c) {
       make_composite(c);
       c.composites[0].parts[1].role = "values";
     }},
    {"R19: composite `q` has more than 64 dimensions",
     [](Content& c) {
       make_composite(c);
       c.composites[0].shape.assign(300, 1);
     }},
    {"R26: node 0 has a number that its kind has not",
     [](Content& c) {
       make_composite(c);
       c.values.add_number(ValueKind::kComposite, 1);
     }},
    {"R12: segment 1 (0 bytes", [](Content& c) { c.segment_sizes_bytes.push_back(0); }},
    {"R11: data file 1 (`a/b`) has a name with a slash",
     [](Content& c) {
       c.data_files = {{.name = "a/b", .size_bytes = 9, .identity = digest_of({})}};
     }},
    {"R11: data file 1 (`a`) has no identity",
     [](Content& c) { c.data_files = {{.name = "a", .size_bytes = 9}}; }},
    {"R11: two data files have the name `a`",
     [](Content& c) {
       c.data_files = {{.name = "a", .size_bytes = 9, .identity = digest_of({})},
                       {.name = "a", .size_bytes = 9, .identity = digest_of({})}};
     }},
    {"R12: segment 1 (5 bytes at 5) reaches out of its file",
     [](Content& c) {
       c.data_files = {
           {.name = "a", .size_bytes = 9, .identity = digest_of({}), .segments = {{5, 5}}}};
     }},
    {"R12: segment 2 (2 bytes at 2) does not begin after the one before it",
     [](Content& c) {
       c.data_files = {
           {.name = "a", .size_bytes = 9, .identity = digest_of({}), .segments = {{5, 4}, {2, 2}}}};
     }},
    {"R20: the path of module 1 (``) does not ascend",
     [](Content& c) {
       c.modules.push_back({"", 2});
     }},
    {"R26: node 4 has a number that its kind has not",
     [](Content& c) { c.values.add_number(ValueKind::kTensor, 2); }},
    {"the alignment is 32 vs", [](Content& c) { c.alignment_bytes = 32; }},
    {"the alignment is 0 vs", [](Content& c) { c.alignment_bytes = 0; }},
    {"the alignment is 4194304 vs", [](Content& c) { c.alignment_bytes = 4 << 20; }},
    {"the segments have 1099511627776 chunks vs",
     [](Content& c) { c.segment_sizes_bytes.push_back(UINT64_MAX); }, kUnsupported},
};

Content minimal() {
  Content content = tests::minimal_content().content;
  content.segment_sizes_bytes = {16};
  return content;
}

}  // namespace

TEST_SUITE("format/content") {
  TEST_CASE("tensors of every dtype, shape and flag are read as they were written") {
    const WholeContent whole = tests::features_content();
    const OpenIndex index = open(tests::encode_file(whole));
    REQUIRE(index.view.entries.size() == whole.content.tensors.size());
    for (std::uint32_t i = 0; i < whole.content.tensors.size(); ++i)
      check_same_tensor(index.view, i, whole.content.tensors[i]);
    CHECK(tests::walk(index.view));
  }

  TEST_CASE("composites of every kind are read as they were written") {
    const WholeContent whole = tests::composites_content();
    const OpenIndex index = open(tests::encode_file(whole));
    const auto& composites = *index.view.root->composites();
    REQUIRE(composites.size() == whole.content.composites.size());
    REQUIRE(composites.size() == kCompositeKindCount);
    for (std::uint32_t i = 0; i < composites.size(); ++i)
      check_same_composite(*composites.Get(i), whole.content.composites[i]);
    CHECK(index.header.required_features == (kFeatureComposites | kFeaturePackedDtypes));
    CHECK(tests::walk(index.view));
  }

  TEST_CASE("there is room for any number of composites") {
    for (const std::uint32_t count : {1U, 2U, 3U, 1000U}) {
      CAPTURE(count);
      WholeContent whole;
      for (std::uint32_t i = 0; i < count; ++i) {
        const std::string name = std::to_string(10'000 + i);
        whole.content.tensors.push_back(
            {.name = name + ".values", .flags = kPart, .shape = {0}, .strides = {1}});
        whole.content.composites.push_back({.name = name,
                                            .shape = {0},
                                            .parts = {{"values", i}},
                                            .reals = std::vector<double>(i % 3),
                                            .integers = std::vector<std::int64_t>(i % 2)});
      }
      const auto valid = tests::check_file(tests::encode_file(whole));
      CHECK_MESSAGE(valid.has_value(), valid.error().message());
    }
  }

  TEST_CASE("segments of data files stand behind the file's own in the order of the files") {
    WholeContent whole = tests::minimal_content();
    Content& content = whole.content;
    const Digest identity = digest_of(whole.segments[0]);
    content.data_files = {{.name = "a.zip",
                           .size_bytes = 100,
                           .alignment_bytes = 2,
                           .identity = identity,
                           .segments = {{10, 20}, {30, 6}}},
                          {.name = "b", .kind = fb::DataFileKind::wmap, .identity = identity},
                          {.name = "c.safetensors",
                           .kind = fb::DataFileKind::safetensors,
                           .size_bytes = std::uint64_t{1} << 40U,
                           .identity = identity,
                           .segments = {{8, std::uint64_t{40} << 20U}},
                           .has_digests = false}};
    content.tensors[1].segment = 3;
    content.segment_sizes_bytes = {16};
    const auto layout = lay_out(content);
    REQUIRE_MESSAGE(layout.has_value(), layout.error().message());
    CHECK(layout->header.required_features == kFeatureDataFiles);
    CHECK(layout->segments.size() == 1);
    CHECK(layout->file_size_bytes == layout->segments[0].end());
    const ContentDigests digests{.segments = {identity, identity, identity, Digest{}}};
    const auto front = encode_front(content, *layout, digests);
    REQUIRE_MESSAGE(front.has_value(), front.error().message());
    Bytes file = *front;
    std::ranges::copy(whole.segments[0], std::back_inserter(file));
    const OpenIndex index = open(file);
    const IndexView& view = index.view;
    REQUIRE(view.segments.size() == 4);
    CHECK(view.segments[2].offset_bytes() == 30);
    CHECK(view.segments[3].size_bytes() == std::uint64_t{40} << 20U);
    const std::uint32_t files[] = {0, 1, 1, 3};
    for (std::uint32_t segment = 0; segment < 4; ++segment)
      CHECK(view.data_file_of(segment) == files[segment]);
    const fb::DataFile& last = *view.root->data_files()->Get(3);
    CHECK(text_of(last.name()) == "c.safetensors");
    CHECK(last.first_segment() == 3);
    CHECK(digest_from(*last.identity()) == identity);
    CHECK_FALSE(recorded_digest(extras_of(file, view), 3));
    CHECK(recorded_digest(extras_of(file, view), 2) == identity);
  }

  TEST_CASE("long segments of data files have digests of their chunks") {
    Content content;
    content.data_files = {{.name = "a",
                           .size_bytes = std::uint64_t{1} << 30U,
                           .identity = digest_of({}),
                           .segments = {{0, std::uint64_t{40} << 20U}}}};
    const auto layout = lay_out(content);
    REQUIRE(layout);
    ContentDigests digests{.segments = {digest_of({})}, .chunks = {}};
    CHECK_FALSE(encode_front(content, *layout, digests));
    digests.chunks.assign(3, digest_of({}));
    CHECK(encode_front(content, *layout, digests).has_value());
  }

  TEST_CASE("modules are read sorted by path, with their versions") {
    const OpenIndex index = open(tests::encode_file(tests::features_content()));
    const IndexView& view = index.view;
    REQUIRE(view.modules.size() == 3);
    const std::pair<std::string_view, int> expected[] = {{"", 1}, {"dtypes", -1}, {"views", 2}};
    for (std::size_t i = 0; i < 3; ++i) {
      CHECK(view.path(view.modules[i]) == expected[i].first);
      CHECK(view.modules[i].version() == expected[i].second);
    }
  }

  TEST_CASE("the graph of values, digests and the producer are read as they were written") {
    const WholeContent whole = tests::features_content();
    const Bytes file = tests::encode_file(whole);
    const OpenIndex index = open(file);
    const Extras extras = extras_of(file, index.view);
    CHECK(same_graph(extras.values, whole.content.values));
    CHECK(extras.producer == "weightmap 0.1.0");
    REQUIRE(extras.segment_digests.size() == whole.segments.size());
    for (std::uint32_t i = 0; i < whole.segments.size(); ++i)
      CHECK(recorded_digest(extras, i) == digest_of(whole.segments[i]));
    CHECK(extras.chunk_digests.empty());
  }

  TEST_CASE("segments lie aligned and behind one another at every alignment") {
    for (const std::uint32_t alignment : {64U, 4096U, 1U << 20U, 2U << 20U}) {
      CAPTURE(alignment);
      WholeContent whole = tests::features_content();
      whole.content.alignment_bytes = alignment;
      const Bytes file = tests::encode_file(whole);
      CHECK(tests::check_file(file).has_value());
      const OpenIndex index = open(file);
      for (std::size_t i = 0; i < whole.segments.size(); ++i) {
        const auto& segment = index.view.segments[i];
        CHECK(segment.offset_bytes() % alignment == 0);
        CHECK(same(std::span(file).subspan(segment.offset_bytes(), segment.size_bytes()),
                   whole.segments[i]));
      }
    }
  }

  TEST_CASE("nothing at all is a valid file") {
    const Bytes file = tests::encode_file({});
    const auto valid = tests::check_file(file);
    REQUIRE_MESSAGE(valid.has_value(), valid.error().message());
    const OpenIndex index = open(file);
    CHECK(index.view.entries.empty());
    CHECK(index.header.blob.size_bytes == 0);
    CHECK(extras_of(file, index.view).values.empty());
  }

  TEST_CASE("the same content gives the same bytes") {
    CHECK(tests::encode_file(tests::features_content()) ==
          tests::encode_file(tests::features_content()));
    WholeContent reordered = tests::features_content();
    std::ranges::reverse(reordered.content.modules);
    CHECK(tests::encode_file(reordered) == tests::encode_file(tests::features_content()));
  }

  TEST_CASE("equal shapes and strides are stored once") {
    WholeContent whole = tests::minimal_content();
    const std::size_t before = open(tests::encode_file(whole)).view.dims.size();
    for (int i = 0; i < 100; ++i) {
      whole.content.tensors.push_back(whole.content.tensors[0]);
      whole.content.tensors.back().name += std::to_string(i);
    }
    CHECK(before == 4);
    CHECK(open(tests::encode_file(whole)).view.dims.size() == 4);
  }

  TEST_CASE("content that could be no valid file is refused by name before any data is written") {
    for (const Row& row : kBadContents) {
      CAPTURE(row.text);
      Content content = minimal();
      row.edit(content);
      const auto layout = lay_out(content);
      REQUIRE_FALSE(layout.has_value());
      CAPTURE(layout.error().message());
      CHECK(layout.error().message().find(row.text) != std::string::npos);
      CHECK(layout.error().code() == row.code);
    }
  }

  TEST_CASE("digests that are not those of the layout are refused") {
    const Content content = minimal();
    const auto layout = lay_out(content);
    REQUIRE(layout.has_value());
    const auto front = encode_front(content, *layout, {});
    REQUIRE_FALSE(front.has_value());
    CHECK(front.error().code() == ErrorCode::kInvalidArgument);
  }

  TEST_CASE("required features are those that the content uses") {
    const auto features_with = [](Dtype dtype, std::uint16_t flags) {
      Content content = minimal();
      content.tensors[0] = {.name = "w",
                            .dtype = dtype,
                            .flags = flags,
                            .segment = kNoSegment,
                            .shape = {0},
                            .strides = {1}};
      const auto layout = lay_out(content);
      REQUIRE_MESSAGE(layout.has_value(), layout.error().message());
      return layout->header.required_features;
    };
    CHECK(features_with(Dtype::kFloat32, 0) == 0);
    CHECK(features_with(Dtype::kComplex64, kConj) == kFeatureConjNeg);
    CHECK(features_with(Dtype::kFloat32, kNeg) == kFeatureConjNeg);
    for (const Dtype packed : {Dtype::kQUInt4x2, Dtype::kQUInt2x4, Dtype::kBits1x8, Dtype::kBits2x4,
                               Dtype::kBits4x2, Dtype::kFloat4E2M1FNx2}) {
      CHECK(features_with(packed, 0) == kFeaturePackedDtypes);
    }
    CHECK(features_with(Dtype::kBits8, 0) == 0);
    CHECK(features_with(Dtype::kUInt4, 0) == 0);
  }
}

}  // namespace weightmap::format
