// SPDX-License-Identifier: Apache-2.0
#include "base/checked.h"
#include "base/hash.h"
#include "format/flatbuffer.h"
#include "format/node_rules.h"
#include "format/rules.h"

namespace weightmap::format {
namespace {

// R23
Result<void> check_extras_digest(const ExtrasInput& input) {
  const Digest found = digest_of(input.bytes);
  const Digest recorded = digest_from(*input.index.root->extras_digest());
  if (found == recorded) return {};
  return corrupt("the extras are damaged, digest ", found.hex(), " vs ", recorded.hex());
}

// R24
Result<void> check_extras_flatbuffer(const ExtrasInput& input) {
  if (!is_flatbuffer<fb::Extras>(input.bytes, fb::ExtrasIdentifier())) {
    return corrupt("not a sound FlatBuffer with identifier ", fb::ExtrasIdentifier());
  }
  if (is_aligned(elements(fb::GetExtras(input.bytes.data())->nodes()))) return {};
  return corrupt("a vector begins at no multiple of its elements' alignment");
}

// R25
Result<void> check_digests(const ExtrasInput& input) {
  const auto digests = elements(input.root->segment_digests());
  const auto chunks = elements(input.root->chunk_digests());
  const auto segments = input.index.segments;
  if (!digests.empty() && digests.size() != segments.size()) {
    return corrupt("`segment_digests` has ", digests.size(), " vs ", segments.size(), " segments");
  }
  std::uint64_t expected = 0;
  for (std::size_t i = 0; i < digests.size(); ++i) {
    if (!is_recorded(&digests[i])) continue;
    const std::uint64_t more = chunk_count(segments[i].size_bytes());
    expected = checked_add(expected, more).value_or(UINT64_MAX);
  }
  if (expected == chunks.size()) return {};
  return corrupt("`chunk_digests` has ", chunks.size(), " vs ", expected, " chunks");
}

constexpr Rule<ExtrasInput> kBytesRules[] = {
    {23, check_extras_digest},
    {24, check_extras_flatbuffer},
};

constexpr Rule<ExtrasInput> kRules[] = {
    {25, check_digests},
    {26, check_nodes},
};

}  // namespace

std::span<const Rule<ExtrasInput>> extras_bytes_rules() {
  return kBytesRules;
}
std::span<const Rule<ExtrasInput>> extras_rules() {
  return kRules;
}

}  // namespace weightmap::format
