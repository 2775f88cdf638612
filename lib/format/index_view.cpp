// SPDX-License-Identifier: Apache-2.0
#include "format/index_view.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <initializer_list>

#include "base/hash.h"
#include "base/prefetch.h"
#include "base/strided.h"
#include "format/flatbuffer.h"
#include "format/rules.h"

namespace weightmap::format {
namespace {

// The part of an entry that belongs to its structure: shape_begin to reserved.
constexpr std::size_t kStructureBegin = 24;
constexpr std::size_t kStructureBytes = sizeof(fb::Entry) - kStructureBegin;

void digest_structure(DigestStream& digest, std::span<const fb::Entry> entries) {
  std::array<std::byte, 256 * kStructureBytes> batch{};
  std::size_t filled = 0;
  for (const fb::Entry& entry : entries) {
    const auto bytes = std::as_bytes(std::span(&entry, 1)).subspan(kStructureBegin);
    std::memcpy(batch.data() + filled, bytes.data(), kStructureBytes);
    filled += kStructureBytes;
    if (filled < batch.size()) continue;
    digest.update(batch);
    filled = 0;
  }
  digest.update(std::span(batch).first(filled));
}

template <typename T>
void digest_values(DigestStream& digest, std::span<const T> values) {
  digest.update(std::as_bytes(values));
}

void digest_numbers(DigestStream& digest, std::initializer_list<std::uint64_t> numbers) {
  digest_values(digest, std::span(numbers.begin(), numbers.size()));
}

void digest_structure(DigestStream& digest, const fb::Composite& composite) {
  const std::string_view name = text_of(composite.name());
  const std::string_view class_name = text_of(composite.class_name());
  const auto shape = elements(composite.shape());
  const auto reals = elements(composite.reals());
  const auto integers = elements(composite.integers());
  digest_numbers(digest, {static_cast<std::uint64_t>(composite.kind()), composite.dtype(),
                          composite.flags(), name.size(), class_name.size(), shape.size(),
                          reals.size(), integers.size(), size_of(composite.parts())});
  digest_values(digest, std::span(name));
  digest_values(digest, std::span(class_name));
  digest_values(digest, shape);
  digest_values(digest, reals);
  digest_values(digest, integers);
  if (size_of(composite.parts()) == 0) return;
  for (const fb::Part* part : *composite.parts()) {
    const std::string_view role = text_of(part->role());
    digest_numbers(digest, {part->entry(), role.size()});
    digest_values(digest, std::span(role));
  }
}

bool is_packed(std::uint8_t dtype) {
  const DtypeInfo& info = dtype_info(static_cast<Dtype>(dtype));
  return info.packed_values > 1 || info.element_bits < 8;
}

std::uint64_t features_of(std::uint8_t dtype, std::uint16_t flags) {
  return ((flags & (kConj | kNeg)) != 0 ? kFeatureConjNeg : 0) |
         (is_packed(dtype) ? kFeaturePackedDtypes : 0);
}

constexpr std::size_t kTogether = 64;  // names: their cache lines fit into the first cache

std::size_t bucket_number(const IndexView& index, std::uint64_t hash) {
  const unsigned bits = bucket_bits(index.entries.size());
  return bits == 0 ? 0 : hash >> (64U - bits);
}

std::span<const fb::Order> bucket_of(const IndexView& index, std::uint64_t hash) {
  const std::size_t bucket = bucket_number(index, hash);
  const std::uint32_t begin = index.buckets[bucket];
  return index.order.subspan(begin, index.buckets[bucket + 1] - begin);
}

// A bucket holds one or two, unless someone chose the names for their hashes: hence no scan.
std::optional<std::uint32_t> find_hashed(const IndexView& index,
                                         std::string_view name,
                                         std::uint64_t hash) {
  const auto places = bucket_of(index, hash);
  const auto is_before = [&](const fb::Order& step, std::uint64_t wanted) {
    const auto wanted_top = static_cast<std::uint32_t>(wanted >> 32U);
    if (step.hash_top() != wanted_top) return step.hash_top() < wanted_top;
    return index.entries[step.entry()].name_hash() < wanted;
  };
  const auto found = std::lower_bound(places.begin(), places.end(), hash, is_before);
  if (found == places.end()) return std::nullopt;
  const fb::Entry& entry = index.entries[found->entry()];
  if (entry.name_hash() != hash || index.name(entry) != name) return std::nullopt;
  return found->entry();
}

// The entry that find_hashed will most likely look at; null when its bucket is empty.
const fb::Entry* likely_entry(const IndexView& index, std::uint64_t hash) {
  const auto places = bucket_of(index, hash);
  const auto found = std::ranges::lower_bound(places, static_cast<std::uint32_t>(hash >> 32U), {},
                                              &fb::Order::hash_top);
  return found == places.end() ? nullptr : &index.entries[found->entry()];
}

// Stage by stage: what one stage asks memory for, the next one looks at.
// REQUIRES: at most kTogether names; entries.
void find_together(const IndexView& index,
                   std::span<const std::string_view> names,
                   std::span<std::uint32_t> numbers) {
  std::array<std::uint64_t, kTogether> hashes{};
  std::array<const fb::Entry*, kTogether> likely{};
  for (std::size_t i = 0; i < names.size(); ++i) {
    hashes[i] = name_hash(names[i]);
    __builtin_prefetch(&index.buckets[bucket_number(index, hashes[i])]);
  }
  for (std::size_t i = 0; i < names.size(); ++i)
    __builtin_prefetch(bucket_of(index, hashes[i]).data());
  for (std::size_t i = 0; i < names.size(); ++i) {
    likely[i] = likely_entry(index, hashes[i]);
    if (likely[i] != nullptr) __builtin_prefetch(likely[i]);
  }
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (likely[i] == nullptr) continue;
    prefetch_text(index.name(*likely[i]));
    if (likely[i]->segment() != kNoSegment)
      __builtin_prefetch(&index.segments[likely[i]->segment()]);
  }
  for (std::size_t i = 0; i < names.size(); ++i)
    numbers[i] = find_hashed(index, names[i], hashes[i]).value_or(kNoEntry);
}

}  // namespace

std::optional<std::uint32_t> IndexView::find(std::string_view name) const {
  if (entries.empty()) return std::nullopt;
  return find_hashed(*this, name, name_hash(name));
}

void IndexView::find_all(std::span<const std::string_view> wanted,
                         std::span<std::uint32_t> numbers) const {
  if (entries.empty()) {
    std::ranges::fill(numbers, kNoEntry);
    return;
  }
  for (std::size_t done = 0; done < wanted.size(); done += kTogether) {
    const std::size_t count = std::min(kTogether, wanted.size() - done);
    find_together(*this, wanted.subspan(done, count), numbers.subspan(done, count));
  }
}

std::uint32_t IndexView::own_segment_count() const {
  return root->data_files()->Get(0)->segment_count();
}

// Their ranges follow one another (R11): the last one that begins at or before the segment has it.
std::uint32_t IndexView::data_file_of(std::uint32_t segment) const {
  std::uint32_t first = 0;
  std::uint32_t count = root->data_files()->size();
  while (count > 1) {
    const std::uint32_t half = count / 2;
    if (root->data_files()->Get(first + half)->first_segment() <= segment) first += half;
    count -= half;
  }
  return first;
}

std::optional<Range> IndexView::place(const fb::Entry& entry) const {
  if (entry.segment() == kNoSegment) return std::nullopt;
  const auto dtype = static_cast<Dtype>(entry.dtype());
  const auto bytes = checked_extent_bytes(dtype, shape(entry), strides(entry));
  return Range{segments[entry.segment()].offset_bytes() + entry.offset_bytes(), *bytes};
}

Result<IndexView> read_index(std::span<const std::byte> bytes, const Header& header) {
  IndexInput input{header, bytes, {}};
  const auto sound = check_rules(index_bytes_rules(), input);
  if (!sound) return sound.error().with_context("index");
  input.view = view_index(*fb::GetIndex(bytes.data()));
  const auto valid = check_index_rules(input);
  if (!valid) return valid.error().with_context("index");
  return input.view;
}

IndexView view_index(const fb::Index& root) {
  return {.root = &root,
          .entries = elements(root.entries()),
          .names = text_of(root.names()),
          .dims = elements(root.dims()),
          .order = elements(root.order()),
          .buckets = elements(root.buckets()),
          .segments = elements(root.segments()),
          .modules = elements(root.modules()),
          .module_paths = text_of(root.module_paths())};
}

// Dtypes that are none count as others: R16 refuses them.
void EntryUses::add(std::span<const fb::Entry> entries) {
  static_assert(kDtypeCount <= 64);
  for (const fb::Entry& entry : entries) {
    flags |= entry.flags();
    dtypes |= std::uint64_t{1} << (entry.dtype() % 64U);
    parts += (entry.flags() & kPart) / kPart;
  }
}

std::uint64_t used_features(const IndexView& index, const EntryUses& uses) {
  std::uint64_t features = 0;
  for (std::uint8_t dtype = 0; dtype < kDtypeCount; ++dtype)
    if ((uses.dtypes >> dtype & 1U) != 0) features |= features_of(dtype, uses.flags);
  if (size_of(index.root->data_files()) > 1) features |= kFeatureDataFiles;
  if (size_of(index.root->composites()) == 0) return features;
  for (const fb::Composite* composite : *index.root->composites()) {
    features |= kFeatureComposites | features_of(composite->dtype(), composite->flags());
  }
  return features;
}

Digest structure_digest_of(const IndexView& index) {
  DigestStream digest;
  const std::uint64_t count = index.entries.size();
  digest.update(std::as_bytes(std::span(&count, 1)));
  digest_structure(digest, index.entries);
  digest.update(std::as_bytes(std::span(index.names)));
  digest.update(std::as_bytes(index.dims));
  if (size_of(index.root->composites()) == 0) return digest.finish();
  for (const fb::Composite* composite : *index.root->composites())
    digest_structure(digest, *composite);
  return digest.finish();
}

Result<void> check_structure_digest(const IndexView& index) {
  const Digest found = structure_digest_of(index);
  const Digest recorded = digest_from(*index.root->structure_digest());
  if (found == recorded) return {};
  const Error error =
      corrupt("the structure digest is wrong, ", found.hex(), " vs ", recorded.hex());
  return with_rule(22, error).with_context("index");
}

unsigned bucket_bits(std::uint64_t entries) {
  return entries == 0 ? 0 : static_cast<unsigned>(std::bit_width(entries)) - 1;
}

}  // namespace weightmap::format
