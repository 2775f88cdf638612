// SPDX-License-Identifier: Apache-2.0
#include "format/index_rules.h"

#include <algorithm>
#include <iterator>
#include <optional>

#include "base/hash.h"
#include "format/faults.h"
#include "format/flatbuffer.h"

namespace weightmap::format {
namespace {

constexpr Rule<IndexInput> kBytesRules[] = {
    {8, check_index_digest},
    {9, check_index_flatbuffer},
};

template <Result<void> (*Check)(const EntriesInput&)>
Result<void> of_all_entries(const IndexInput& input) {
  return Check({input.view, input.view.entries});
}

constexpr Rule<IndexInput> kRules[] = {
    {10, check_counts},
    {11, check_data_files},
    {12, check_segments},
    {13, of_all_entries<check_names>},
    {14, of_all_entries<check_hashes>},
    {15, check_order},
    {16, of_all_entries<check_entries>},
    {17, of_all_entries<check_dims>},
    {18, of_all_entries<check_extents>},
    {19, check_composites},
    {20, check_modules},
    {21, check_features},
};

constexpr Rule<EntriesInput> kEntryRules[] = {
    {13, check_names}, {14, check_hashes},  {16, check_entries},
    {17, check_dims},  {18, check_extents},
};

bool is_about_entries(const Rule<IndexInput>& rule) {
  return std::ranges::find(kEntryRules, rule.number, &Rule<EntriesInput>::number) !=
         std::end(kEntryRules);
}

// All rules look at one run of entries and its names while these are in the cache. Without entries
// there is one run, empty.
bool do_entry_rules_hold(const IndexView& view, EntryUses& uses) {
  constexpr std::size_t kTogether = 1024;
  std::size_t done = 0;
  do {
    const std::size_t count = std::min(kTogether, view.entries.size() - done);
    const EntriesInput run{view, view.entries.subspan(done, count)};
    if (!check_rules(entry_rules(), run)) return false;
    uses.add(run.entries);
    done += count;
  } while (done < view.entries.size());
  return true;
}

bool are_vectors_aligned(const fb::Composite& composite) {
  return is_aligned(elements(composite.shape())) && is_aligned(elements(composite.reals())) &&
         is_aligned(elements(composite.integers()));
}

bool are_vectors_aligned(const fb::Index& root) {
  const bool flat = is_aligned(elements(root.entries())) && is_aligned(elements(root.dims())) &&
                    is_aligned(elements(root.segments())) && is_aligned(elements(root.modules()));
  if (!flat || size_of(root.composites()) == 0) return flat;
  return std::ranges::all_of(*root.composites(),
                             [](const auto* c) { return are_vectors_aligned(*c); });
}

Error bad_module(std::size_t number, std::string_view path, std::string_view what) {
  return corrupt("the path of module ", number, " (", quoted(path), ") ", what);
}

}  // namespace

std::span<const Rule<IndexInput>> index_bytes_rules() {
  return kBytesRules;
}
std::span<const Rule<IndexInput>> index_rules() {
  return kRules;
}

std::span<const Rule<EntriesInput>> entry_rules() {
  return kEntryRules;
}

// Where a rule about entries is broken, each rule goes through all of them, for the first to speak.
Result<void> check_index_rules(IndexInput input) {
  std::optional<bool> do_entries_hold;
  for (const Rule<IndexInput>& rule : kRules) {
    if (is_about_entries(rule)) {
      if (!do_entries_hold) do_entries_hold = do_entry_rules_hold(input.view, input.uses);
      if (*do_entries_hold) continue;
    }
    const auto outcome = rule.check(input);
    if (!outcome) return with_rule(rule.number, outcome.error());
  }
  return {};
}

std::string tensor_text(const IndexView& view, const fb::Entry& entry) {
  return concat("tensor ", quoted(view.name(entry)));
}

// R8
Result<void> check_index_digest(const IndexInput& input) {
  const Digest found = digest_of(input.bytes);
  const Digest& recorded = input.header.index_digest;
  if (found == recorded) return {};
  return corrupt("the index is damaged, digest ", found.hex(), " vs ", recorded.hex());
}

// R9
Result<void> check_index_flatbuffer(const IndexInput& input) {
  if (!is_flatbuffer<fb::Index>(input.bytes, fb::IndexIdentifier())) {
    return corrupt("not a sound FlatBuffer with identifier ", fb::IndexIdentifier());
  }
  if (are_vectors_aligned(*fb::GetIndex(input.bytes.data()))) return {};
  return corrupt("a vector begins at no multiple of its elements' alignment");
}

// R10
Result<void> check_counts(const IndexInput& input) {
  const IndexView& view = input.view;
  const std::uint64_t count = view.entries.size();
  if (view.order.size() != count) {
    return corrupt("`order` has ", view.order.size(), " places vs ", count, " entries");
  }
  const std::uint64_t buckets = (std::uint64_t{1} << bucket_bits(count)) + 1;
  if (view.buckets.size() != buckets) {
    return corrupt("`buckets` has ", view.buckets.size(), " numbers vs ", buckets);
  }
  if (size_of(view.root->data_files()) == 0) return corrupt("there is no data file");
  if (!is_recorded(view.root->structure_digest())) return corrupt("there is no structure digest");
  if (!is_recorded(view.root->extras_digest())) return corrupt("there is no extras digest");
  return {};
}

// R20
Result<void> check_modules(const IndexInput& input) {
  const IndexView& view = input.view;
  std::uint64_t end = 0;
  std::string_view previous;
  for (std::size_t i = 0; i < view.modules.size(); ++i) {
    const fb::Module& module = view.modules[i];
    if (module.path_begin() != end || module.path_size() > view.module_paths.size() - end) {
      return bad_module(i, "", "does not follow the one before it in `module_paths`");
    }
    const std::string_view path = view.path(module);
    const std::string_view fault = text_fault(path);
    if (!fault.empty()) return bad_module(i, path, fault);
    if (i > 0 && path <= previous) return bad_module(i, path, "does not ascend");
    previous = path;
    end += path.size();
  }
  if (end == view.module_paths.size()) return {};
  return corrupt("the paths end at byte ", end, " of `module_paths` vs ", view.module_paths.size());
}

// R21
Result<void> check_features(const IndexInput& input) {
  const std::uint64_t used = used_features(input.view, input.uses);
  const std::uint64_t required = input.header.required_features;
  if (used == required) return {};
  return corrupt("required_features is not what the index uses, ", required, " vs ", used);
}

}  // namespace weightmap::format
