// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "weightmap/result.h"

#include "base/text.h"
#include "format/extras_view.h"
#include "format/header.h"
#include "format/index_view.h"
#include "weightmap_extras_generated.h"

// The numbered rules of FORMAT.md 5, one function a rule, in tables by what they look at. Reader
// and writer run the same tables; tests count them against FORMAT.md and the hostile rows. R22 is
// check_structure_digest (index_view.h), R27 and R28 look at the blob (blob.h).
namespace weightmap::format {

inline constexpr std::uint8_t kNodeHasAttributes = 1;  // flag of a node (FORMAT.md 4)

template <typename Input>
struct Rule {
  int number;
  Result<void> (*check)(const Input&);
};

struct HeaderInput {
  std::span<const std::byte> bytes;
  std::uint64_t file_size = 0;
};

struct IndexInput {
  const Header& header;
  std::span<const std::byte> bytes;
  IndexView view;  // empty until R9 holds
  EntryUses uses;  // of all entries, from R19 on
};

// For the rules that look at entries one by one: these entries, a run of the view's, all or some.
struct EntriesInput {
  const IndexView& view;
  std::span<const fb::Entry> entries;

  std::size_t first() const {
    return static_cast<std::size_t>(entries.data() - view.entries.data());
  }
};

struct ExtrasInput {
  std::span<const std::byte> bytes;
  IndexView index;
  const fb::Extras* root = nullptr;  // null until R24 holds
};

std::span<const Rule<HeaderInput>> header_rules();        // R1 to R7
std::span<const Rule<IndexInput>> index_bytes_rules();    // R8, R9
std::span<const Rule<IndexInput>> index_rules();          // R10 to R21
std::span<const Rule<EntriesInput>> entry_rules();        // those of them about single entries
std::span<const Rule<ExtrasInput>> extras_bytes_rules();  // R23, R24
std::span<const Rule<ExtrasInput>> extras_rules();        // R25, R26

// A rule's answer, put together from pieces as concat() does.
template <typename... Pieces>
Error corrupt(const Pieces&... pieces) {
  return {ErrorCode::kCorrupt, concat(pieces...)};
}
template <typename... Pieces>
Error unsupported(const Pieces&... pieces) {
  return {ErrorCode::kUnsupported, concat(pieces...)};
}

// "R12: <what>".
inline Error with_rule(int number, const Error& error) {
  return error.with_context(concat("R", number));
}

// Runs a table in order; the first broken rule is the error.
template <typename Input>
Result<void> check_rules(std::span<const Rule<Input>> rules, const Input& input) {
  for (const Rule<Input>& rule : rules) {
    const auto outcome = rule.check(input);
    if (!outcome) return with_rule(rule.number, outcome.error());
  }
  return {};
}

// Runs index_rules(); the first broken rule is the error. REQUIRES: R9 holds.
Result<void> check_index_rules(IndexInput input);

}  // namespace weightmap::format
