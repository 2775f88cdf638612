// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstring>
#include <string>

#include <doctest/doctest.h>

#include "base/hash.h"
#include "support/check_file.h"
#include "support/golden_files.h"

namespace weightmap::format {
namespace {

using tests::Bytes;
using tests::WholeContent;

Digest structure_of(const WholeContent& whole) {
  const auto index = tests::open_index(tests::encode_file(whole));
  REQUIRE_MESSAGE(index.has_value(), index.error().message());
  REQUIRE(check_structure_digest(index->view).has_value());
  return structure_digest_of(index->view);
}

Digest structure_after(void (*edit)(WholeContent&)) {
  WholeContent whole = tests::minimal_content();
  edit(whole);
  return structure_of(whole);
}

}  // namespace

TEST_SUITE("format/structure digest") {
  TEST_CASE("it is what the specification says") {
    // Number of entries; the second half of each entry; names; dims.
    const unsigned char expected[] = {
        2,   0,   0,   0,   0,   0, 0, 0,  // entries
        0,   0,   0,   0,   2,   0, 0, 0,
        1,   0,   5,   0,   6,   2, 0, 0,  // w: shape, strides, size, flags, dtype
        0,   0,   0,   0,   2,   0, 0, 0,
        4,   0,   5,   0,   6,   2, 0, 0,  // tied
        'w', 't', 'i', 'e', 'd',           // names
        2,   0,   0,   0,   0,   0, 0, 0,
        2,   0,   0,   0,   0,   0, 0, 0,  // shape 2, 2
        2,   0,   0,   0,   0,   0, 0, 0,
        1,   0,   0,   0,   0,   0, 0, 0,  // strides 2, 1
    };
    CHECK(structure_of(tests::minimal_content()) == digest_of(std::as_bytes(std::span(expected))));
  }

  TEST_CASE("it does not change with the values, their places, the modules and the extras") {
    const Digest same = structure_of(tests::minimal_content());
    CHECK(structure_after([](WholeContent& w) { w.segments[0][3] = std::byte{77}; }) == same);
    CHECK(structure_after([](WholeContent& w) { w.segments[0].resize(20); }) == same);
    CHECK(structure_after([](WholeContent& w) {
            w.segments[0].resize(32);
            w.content.tensors[0].offset_bytes = 16;
          }) == same);
    CHECK(structure_after([](WholeContent& w) { w.content.modules.clear(); }) == same);
    CHECK(structure_after([](WholeContent& w) { w.content.values = {}; }) == same);
    CHECK(structure_after([](WholeContent& w) { w.content.alignment_bytes = 4096; }) == same);
  }

  TEST_CASE("it changes with names, dtypes, shapes, strides, flags, order and number of tensors") {
    const Digest same = structure_of(tests::minimal_content());
    using Edit = void (*)(WholeContent&);
    const Edit edits[] = {
        [](WholeContent& w) { w.content.tensors[0].name += "v"; },
        [](WholeContent& w) { w.content.tensors[0].dtype = Dtype::kInt32; },
        [](WholeContent& w) {
          w.content.tensors[0].shape = {1, 2};
        },
        [](WholeContent& w) {
          w.content.tensors[0].strides = {1, 2};
        },
        [](WholeContent& w) { w.content.tensors[0].flags = kParameter; },
        [](WholeContent& w) { std::swap(w.content.tensors[0], w.content.tensors[1]); },
        [](WholeContent& w) {
          w.content.tensors.pop_back();
          w.content.values = {};
        },
    };
    for (const Edit edit : edits)
      CHECK(structure_after(edit) != same);
  }

  TEST_CASE("it changes with everything that is said of a composite") {
    const auto structure_with = [](void (*edit)(CompositeContent&)) {
      WholeContent whole = tests::composites_content();
      const auto q = std::ranges::find(whole.content.composites, "q", &CompositeContent::name);
      REQUIRE(q != whole.content.composites.end());
      edit(*q);
      return structure_of(whole);
    };
    const Digest same = structure_with([](CompositeContent&) {});
    CHECK(same == structure_of(tests::composites_content()));
    using Edit = void (*)(CompositeContent&);
    const Edit edits[] = {
        [](CompositeContent& c) { c.name += "r"; },
        [](CompositeContent& c) { c.kind = CompositeKind::kNested; },
        [](CompositeContent& c) { c.dtype = Dtype::kQInt8; },
        [](CompositeContent& c) { c.flags = kBuffer; },
        [](CompositeContent& c) { c.shape = {1}; },
        [](CompositeContent& c) { c.parts[0].role = "value"; },
        [](CompositeContent& c) { c.reals[0] = 0.2; },
        [](CompositeContent& c) { c.reals.push_back(0); },
        [](CompositeContent& c) { c.integers[0] = 3; },
        [](CompositeContent& c) { c.class_name = "a"; },
    };
    for (const Edit edit : edits)
      CHECK(structure_with(edit) != same);
  }

  TEST_CASE("of many tensors it is that of all their bytes in a row") {
    WholeContent whole;
    for (int i = 0; i < 1000; ++i) {
      whole.content.tensors.push_back(
          {.name = std::to_string(i), .shape = {i % 7, 0}, .strides = {1, 1}});
    }
    const auto index = tests::open_index(tests::encode_file(whole));
    REQUIRE(index.has_value());
    const IndexView& view = index->view;
    Bytes all(8 + view.entries.size() * 16 + view.names.size() + view.dims.size() * 8);
    const std::uint64_t count = view.entries.size();
    std::memcpy(all.data(), &count, 8);
    std::byte* out = all.data() + 8;
    for (const fb::Entry& entry : view.entries) {
      std::memcpy(out, reinterpret_cast<const std::byte*>(&entry) + 24, 16);
      out += 16;
    }
    std::memcpy(out, view.names.data(), view.names.size());
    std::memcpy(out + view.names.size(), view.dims.data(), view.dims.size() * 8);
    CHECK(structure_digest_of(view) == digest_of(all));
  }
}

}  // namespace weightmap::format
