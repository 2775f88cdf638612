// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <string>

#include "format/hostile_rows.h"
#include "support/resign.h"

namespace weightmap::tests {
namespace {

// Puts another name in the place of one of the same length; hashes and order follow.
void rename(RawFile& file, const std::string& from, const std::string& to) {
  std::string& names = file.index.names;
  names.replace(names.find(from), from.size(), to);
  rehash(file.index);
}

void own_identity(RawFile& file) {
  file.index.data_files[0].identity = Digest{};
  file.index.data_files[0].identity->bytes[3] = std::byte{1};
}

void add_second_sibling(RawFile& file, const std::string& name) {
  RawDataFile sibling = file.index.data_files[1];
  sibling.name = name;
  sibling.first_segment = 4;
  sibling.segment_count = 0;
  file.index.data_files.push_back(sibling);
}

std::vector<HostileRow> flatbuffer_rows() {
  return {
      {8, "an index not signed again", "the index is damaged", nullptr,
       [](Bytes& f) { f[200] ^= std::byte{1}; }},
      {9, "another identifier", "identifier WMIX", nullptr,
       [](Bytes& f) {
         poke(index_part(f), 4, std::array{'W', 'M', 'I', 'Y'});
         resign_index(f);
       }},
      {9, "a root outside", "not a sound FlatBuffer", nullptr,
       [](Bytes& f) {
         poke<std::uint32_t>(index_part(f), 0, 1U << 30U);
         resign_index(f);
       }},
      {9, "a vtable outside", "not a sound FlatBuffer", nullptr,
       [](Bytes& f) {
         const auto index = index_part(f);
         poke<std::int32_t>(index, peek<std::uint32_t>(index, 0), -(1 << 30));
         resign_index(f);
       }},
      {9, "one table visited more often than bytes could hold tables", "not a sound FlatBuffer",
       [](RawFile& f) { f.index.repeats_of_last_data_file = 5000; }},
      {9, "a vector of entries at no multiple of 8", "alignment", nullptr,
       [](Bytes& f) {
         const auto index = index_part(f);
         const std::size_t field = digest_place(index, 0);
         poke(index, field, peek<std::uint32_t>(index, field) + 4);
         const std::size_t vector = field + peek<std::uint32_t>(index, field);
         poke<std::uint32_t>(index, vector, 1);
         resign_index(f);
       }},
      {9, "a composite's shape at no multiple of 8", "alignment", nullptr,
       [](Bytes& f) {
         const auto index = index_part(f);
         const std::size_t vector =
             digest_place(index, 7) + peek<std::uint32_t>(index, digest_place(index, 7));
         const std::size_t table = vector + 4 + peek<std::uint32_t>(index, vector + 4);
         const std::size_t vtable =
             table - static_cast<std::size_t>(peek<std::int32_t>(index, table));
         const std::size_t shape = table + peek<std::uint16_t>(index, vtable + 4 + 2 * 4);
         poke(index, shape, peek<std::uint32_t>(index, shape) + 4);
         poke<std::uint32_t>(index, shape + peek<std::uint32_t>(index, shape), 1);
         resign_index(f);
       }},
  };
}

std::vector<HostileRow> count_rows() {
  return {
      {10, "one place less in order", "`order` has 12 places vs 13",
       [](RawFile& f) { f.index.order.pop_back(); }},
      {10, "one place more in order", "`order` has 14 places vs 13",
       [](RawFile& f) { f.index.order.push_back(f.index.order.back()); }},
      {10, "too few buckets", "`buckets` has 5 numbers vs 9",
       [](RawFile& f) { f.index.buckets.resize(5); }},
      {10, "no buckets", "`buckets` has 0 numbers", [](RawFile& f) { f.index.buckets.clear(); }},
      {10, "no data file", "no data file", [](RawFile& f) { f.index.data_files.clear(); }},
      {10, "no structure digest", "no structure digest",
       [](RawFile& f) { f.index.has_structure_digest = false; }},
      {10, "a structure digest of zeros", "no structure digest",
       [](RawFile& f) { f.index.structure_digest = Digest{}; }},
      {10, "no extras digest", "no extras digest",
       [](RawFile& f) { f.index.has_extras_digest = false; }},
  };
}

std::vector<HostileRow> own_file_rows() {
  return {
      {11, "the first is of another kind", "data file 0 (``) is not of the kind self",
       [](RawFile& f) { f.index.data_files[0].kind = 1; }},
      {11, "the first has a name", "has a name",
       [](RawFile& f) { f.index.data_files[0].name = std::string("model.wmap"); }},
      {11, "the first has another size", "another size",
       [](RawFile& f) { f.index.data_files[0].size_bytes = 1; }},
      {11, "the first has another alignment", "another alignment",
       [](RawFile& f) { f.index.data_files[0].alignment_bytes = 128; }},
      {11, "the first has an identity", "has an identity", own_identity},
      {11, "the first begins at a later segment", "begins at segment 1 vs 0",
       [](RawFile& f) { f.index.data_files[0].first_segment = 1; }},
  };
}

std::vector<HostileRow> sibling_rows() {
  return {
      {11, "a sibling of the kind self", "data file 1 (`other.wmap`) is not of a kind",
       [](RawFile& f) { f.index.data_files[1].kind = 0; }},
      {11, "a sibling of an unknown kind", "kind 4",
       [](RawFile& f) { f.index.data_files[1].kind = 4; }},
      {11, "a sibling without a name", "no name of a file",
       [](RawFile& f) { f.index.data_files[1].name.clear(); }},
      {11, "the directory itself", "no name of a file",
       [](RawFile& f) { f.index.data_files[1].name = std::string("."); }},
      {11, "the directory above", "no name of a file",
       [](RawFile& f) { f.index.data_files[1].name = std::string(".."); }},
      {11, "a path", "a name with a slash",
       [](RawFile& f) { f.index.data_files[1].name = std::string("../x"); }},
      {11, "a NUL in a file name", "a NUL character",
       [](RawFile& f) { f.index.data_files[1].name = std::string("a\0b", 3); }},
      {11, "a file name that is not UTF-8", "invalid UTF-8",
       [](RawFile& f) { f.index.data_files[1].name = std::string("\xFF"); }},
      {11, "a file name of 256 bytes", "more than 255 bytes",
       [](RawFile& f) { f.index.data_files[1].name = std::string(256, 'n'); }},
      {11, "two siblings of one name", "two data files have the name `other.wmap`",
       [](RawFile& f) { add_second_sibling(f, "other.wmap"); }},
      {11, "a sibling without identity", "has no identity",
       [](RawFile& f) { f.index.data_files[1].identity.reset(); }},
      {11, "a sibling's alignment of 3", "alignment 3",
       [](RawFile& f) { f.index.data_files[1].alignment_bytes = 3; }},
      {11, "a sibling's alignment of 0", "alignment 0",
       [](RawFile& f) { f.index.data_files[1].alignment_bytes = 0; }},
      {11, "a sibling's alignment of 4 MiB", "alignment 4194304",
       [](RawFile& f) { f.index.data_files[1].alignment_bytes = 4 << 20; }},
      {11, "a gap in the segments", "begins at segment 2 vs 3",
       [](RawFile& f) { f.index.data_files[1].first_segment = 2; }},
      {11, "a segment of no file", "the data files have 3 segments vs 4",
       [](RawFile& f) { f.index.data_files[1].segment_count = 0; }},
      {11, "more segments than there are", "segments vs 4",
       [](RawFile& f) { f.index.data_files[1].segment_count = 0xFFFFFFFFU; }},
  };
}

std::vector<HostileRow> segment_rows() {
  return {
      {12, "an empty segment", "segment 3 (0 bytes at 4096) is empty",
       [](RawFile& f) { f.index.segments[3].size_bytes = 0; }},
      {12, "a segment that ends behind its file", "segment 3 (67108865 bytes",
       [](RawFile& f) { f.index.segments[3].size_bytes = (64 << 20) + 1; }},
      {12, "a segment whose end wraps", "reaches out of its file",
       [](RawFile& f) { f.index.segments[3].size_bytes = ~std::uint64_t{0}; }},
      {12, "a segment that begins behind its file", "reaches out of its file",
       [](RawFile& f) { f.index.segments[3].offset_bytes = 128 << 20; }},
      {12, "segments that overlap", "segment 1 (40 bytes",
       [](RawFile& f) { f.index.segments[1].offset_bytes = 0; }},
      {12, "segments that descend", "does not begin after the one before it",
       [](RawFile& f) { std::swap(f.index.segments[0], f.index.segments[1]); }},
      {12, "a segment that is not aligned", "is not aligned",
       [](RawFile& f) { f.index.segments[1].offset_bytes = 65; }},
      {12, "a sibling's segment that is not aligned", "is not aligned: alignment 4096",
       [](RawFile& f) { f.index.segments[3].offset_bytes = 64; }},
      {12, "room between segments", "does not begin where padding ends",
       [](RawFile& f) {
         f.index.segments[2].offset_bytes = 192;
         f.blob.resize(200);
       }},
      {12, "room before the first segment", "segment 0 (16 bytes",
       [](RawFile& f) {
         for (std::size_t i = 0; i < 3; ++i)
           f.index.segments[i].offset_bytes += 64;
         f.blob.resize(200);
       }},
      {12, "room behind the last segment", "the last segment ends at byte",
       [](RawFile& f) { f.blob.resize(137); }},
      {12, "a blob without segments that is not empty", "the last segment ends at byte",
       [](RawFile& f) {
         f.index.segments.erase(f.index.segments.begin(), f.index.segments.begin() + 3);
         f.index.data_files[0].segment_count = 0;
         f.index.data_files[1].first_segment = 0;
       }},
  };
}

std::vector<HostileRow> name_rows() {
  return {
      {13, "a gap between names", "the name of tensor 1 does not follow",
       [](RawFile& f) { ++f.index.entries[1].name_begin; }},
      {13, "names that overlap", "the name of tensor 1 does not follow",
       [](RawFile& f) { --f.index.entries[1].name_begin; }},
      {13, "a name that ends outside", "the name of tensor 12 does not follow",
       [](RawFile& f) { f.index.entries[12].name_size = 65535; }},
      {13, "names that do not cover the pool", "the names end at byte 65 of `names` vs 66",
       [](RawFile& f) { f.index.names += 'x'; }},
      {13, "an empty name", "the name of tensor 1 (``) is empty",
       [](RawFile& f) {
         f.index.names.erase(1, 4);
         f.index.entries[1].name_size = 0;
         for (std::size_t i = 2; i < f.index.entries.size(); ++i)
           f.index.entries[i].name_begin -= 4;
         rehash(f.index);
       }},
      {13, "a NUL in a name", "(`ti\\x00d`) contains a NUL",
       [](RawFile& f) { rename(f, "tied", std::string("ti\0d", 4)); }},
      {13, "a name that is not UTF-8", "(`ti\\xffd`) is not valid UTF-8",
       [](RawFile& f) {
         rename(f, "tied",
                "ti\xFF"
                "d");
       }},
      {13, "a surrogate in a name", "is not valid UTF-8",
       [](RawFile& f) { rename(f, "tied", "t\xED\xA0\x80"); }},
      {13, "a character cut by the end of a name", "the name of tensor 0 (`\\xc3`) is not valid",
       [](RawFile& f) {
         rename(f, "wtied",
                "\xC3\xA9"
                "ied");
       }},
      {14, "a wrong hash", "tensor `tied`: the name's hash is wrong",
       [](RawFile& f) { f.index.entries[1].name_hash ^= 1; }},
      {14, "a wrong name", "tensor `tiex`: the name's hash is wrong",
       [](RawFile& f) { f.index.names.replace(1, 4, "tiex"); }},
  };
}

std::vector<HostileRow> order_rows() {
  return {
      {15, "an entry that does not exist", "`order` names entry 13 vs 13",
       [](RawFile& f) { f.index.order[3].entry = 13; }},
      {15, "an entry twice, another not at all", "twice",
       [](RawFile& f) { f.index.order[3] = f.index.order[2]; }},
      {15, "two places swapped", "`order` does not ascend at place 3",
       [](RawFile& f) { std::swap(f.index.order[2], f.index.order[3]); }},
      {15, "two tensors of one name", "(`view`) and 3 (`view`) have the same name",
       [](RawFile& f) {
         // `q.values` gives its first half to the name before it and calls itself `view` too.
         f.index.names.replace(f.index.names.find("q.values"), 8, "view");
         f.index.entries[3].name_size = 4;
         for (std::size_t i = 4; i < f.index.entries.size(); ++i)
           f.index.entries[i].name_begin -= 4;
         rehash(f.index);
       }},
      {15, "a wrong half of a hash", "`order` has the wrong hash at place 3",
       [](RawFile& f) { f.index.order[3].hash_top ^= 1; }},
      {15, "a bucket that begins late", "bucket", [](RawFile& f) { ++f.index.buckets[4]; }},
      {15, "a first bucket that does not begin at 0", "bucket 0",
       [](RawFile& f) { f.index.buckets[0] = 1; }},
      {15, "a last bucket that ends early", "bucket", [](RawFile& f) { --f.index.buckets.back(); }},
      {15, "a bucket that ends outside", "bucket 3",
       [](RawFile& f) { f.index.buckets[4] = 0xFFFFFFFFU; }},
  };
}

std::vector<HostileRow> module_rows() {
  return {
      {20, "a gap between paths", "the path of module 1 (``) does not follow",
       [](RawFile& f) { f.index.modules[1].path_begin = 1; }},
      {20, "a path that ends outside", "the path of module 1 (``) does not follow",
       [](RawFile& f) { f.index.modules[1].path_size = 6; }},
      {20, "paths that do not cover the pool", "the paths end at byte 5 of `module_paths` vs 6",
       [](RawFile& f) { f.index.module_paths += 'x'; }},
      {20, "two modules of one path", "module 2 (`layer`) does not ascend",
       [](RawFile& f) { add_module(f.index, "layer", 3); }},
      {20, "paths that descend", "module 2 (`a`) does not ascend",
       [](RawFile& f) { add_module(f.index, "a", 3); }},
      {20, "two roots", "module 1 (``) does not ascend",
       [](RawFile& f) {
         f.index.modules.resize(1);
         f.index.module_paths.clear();
         add_module(f.index, "", 1);
       }},
      {20, "a NUL in a path", "contains a NUL", [](RawFile& f) { f.index.module_paths[2] = '\0'; }},
      {20, "a path that is not UTF-8", "is not valid UTF-8",
       [](RawFile& f) { f.index.module_paths[2] = '\xFF'; }},
  };
}

std::vector<HostileRow> feature_rows() {
  return {
      {21, "composites not declared", "14 vs 15",
       [](RawFile& f) { f.required_features &= ~std::uint64_t{1}; }},
      {21, "conj not declared", "13 vs 15",
       [](RawFile& f) { f.required_features &= ~std::uint64_t{2}; }},
      {21, "siblings not declared", "11 vs 15",
       [](RawFile& f) { f.required_features &= ~std::uint64_t{4}; }},
      {21, "packed dtypes not declared", "7 vs 15",
       [](RawFile& f) { f.required_features &= ~std::uint64_t{8}; }},
      {21, "conj declared but not used", "15 vs 13",
       [](RawFile& f) { f.index.entries[5].flags = 0; }},
      {22, "another structure digest", "the structure digest is wrong",
       [](RawFile& f) {
         f.index.structure_digest = Digest{};
         f.index.structure_digest->bytes[0] = std::byte{1};
       }},
  };
}

}  // namespace

std::vector<HostileRow> index_rows() {
  std::vector<HostileRow> rows;
  for (const auto part : {flatbuffer_rows, count_rows, own_file_rows, sibling_rows, segment_rows,
                          name_rows, order_rows, module_rows, feature_rows}) {
    std::ranges::copy(part(), std::back_inserter(rows));
  }
  return rows;
}

}  // namespace weightmap::tests
