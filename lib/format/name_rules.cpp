// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "base/hash.h"
#include "format/faults.h"
#include "format/index_rules.h"

namespace weightmap::format {
namespace {

std::uint64_t end_of_name(const fb::Entry& entry) {
  return std::uint64_t{entry.name_begin()} + entry.name_size();
}

Error bad_place(std::size_t number) {
  return corrupt("the name of tensor ", number, " does not follow the one before it in `names`");
}

Error bad_name(std::size_t number, std::string_view name, std::string_view what) {
  return corrupt("the name of tensor ", number, " (", quoted(name), ") ", what);
}

Result<void> check_each_name(const IndexView& view, std::span<const fb::Entry> entries) {
  for (const fb::Entry& entry : entries) {
    const std::string_view name = view.name(entry);
    const std::string_view fault = name_fault(name);
    if (fault.empty()) continue;
    return bad_name(static_cast<std::size_t>(&entry - view.entries.data()), name, fault);
  }
  return {};
}

std::string number_and_name(const IndexView& view, std::uint32_t entry) {
  return concat(entry, " (", quoted(view.name(view.entries[entry])), ")");
}

// Why two neighbours in `order` do not ascend.
Error bad_neighbours(const IndexView& view, std::size_t place) {
  const std::uint32_t a = view.order[place - 1].entry();
  const std::uint32_t b = view.order[place].entry();
  if (a == b) return corrupt("`order` names tensor ", number_and_name(view, a), " twice");
  const std::string pair =
      concat("tensors ", number_and_name(view, a), " and ", number_and_name(view, b));
  if (view.name(view.entries[a]) == view.name(view.entries[b])) {
    return corrupt(pair, " have the same name");
  }
  if (view.entries[a].name_hash() == view.entries[b].name_hash()) {
    return corrupt(pair, " have names with the same hash, which one file cannot hold");
  }
  return corrupt("`order` does not ascend at place ", place, ": ", pair);
}

// Entries in the order of their hashes lie anywhere: they are asked for so many steps before they
// are looked at.
constexpr std::size_t kAhead = 24;

void prefetch_entry(const IndexView& view, std::size_t place) {
  if (place >= view.order.size()) return;
  const std::uint32_t number = view.order[place].entry();
  if (number < view.entries.size()) __builtin_prefetch(&view.entries[number]);
}

std::uint64_t bucket_of(const fb::Order& step, unsigned shift) {
  return std::uint64_t{step.hash_top()} >> shift;
}

// The first number in `buckets` that is not the number of places before its bucket.
Error bad_bucket(const IndexView& view, unsigned shift) {
  std::size_t place = 0;
  std::size_t bucket = 0;
  for (; bucket < view.buckets.size() && view.buckets[bucket] == place; ++bucket) {
    while (place < view.order.size() && bucket_of(view.order[place], shift) <= bucket)
      ++place;
  }
  return corrupt("bucket ", bucket == 0 ? 0 : bucket - 1,
                 " is not where its hashes stand in `order`");
}

// Gathered, not branched on: which buckets are empty is as random as hashes are.
bool do_ascend(std::span<const std::uint32_t> numbers) {
  unsigned odd = 0;
  for (std::size_t i = 1; i < numbers.size(); ++i)
    odd |= static_cast<unsigned>(numbers[i - 1] > numbers[i]);
  return odd == 0;
}

// Buckets that ascend from 0 to the number of places hold each place once: they are right when each
// place lies in the bucket of its hash. REQUIRES: `order` ascends.
Result<void> check_buckets(const IndexView& view) {
  const std::uint64_t count = view.order.size();
  const unsigned shift = 32U - bucket_bits(count);
  const bool is_whole = view.buckets.front() == 0 && view.buckets.back() == count;
  if (!is_whole || !do_ascend(view.buckets)) return bad_bucket(view, shift);
  unsigned odd = 0;
  for (std::size_t place = 0; place < count; ++place) {
    const std::uint64_t bucket = bucket_of(view.order[place], shift);
    odd |= static_cast<unsigned>(view.buckets[bucket] > place);
    odd |= static_cast<unsigned>(view.buckets[bucket + 1] <= place);
  }
  if (odd != 0) return bad_bucket(view, shift);
  return {};
}

}  // namespace

// R13. Names of nothing but ASCII, as nearly all are, are looked at together.
Result<void> check_names(const EntriesInput& input) {
  const IndexView& view = input.view;
  const std::size_t first = input.first();
  const std::uint64_t begin = first == 0 ? 0 : end_of_name(view.entries[first - 1]);
  std::uint64_t end = begin;
  bool is_one_empty = false;
  for (const fb::Entry& entry : input.entries) {
    if (entry.name_begin() != end || entry.name_size() > view.names.size() - end) {
      return bad_place(static_cast<std::size_t>(&entry - view.entries.data()));
    }
    is_one_empty |= entry.name_size() == 0;
    end += entry.name_size();
  }
  if (is_one_empty || !is_plain_ascii(view.names.substr(begin, end - begin))) {
    auto each = check_each_name(view, input.entries);
    if (!each) return each;
  }
  if (first + input.entries.size() < view.entries.size() || end == view.names.size()) return {};
  return corrupt("the names end at byte ", end, " of `names` vs ", view.names.size());
}

// R14
Result<void> check_hashes(const EntriesInput& input) {
  const IndexView& view = input.view;
  const auto wrong = std::ranges::find_if(input.entries, [&](const fb::Entry& entry) {
    return entry.name_hash() != name_hash(view.name(entry));
  });
  if (wrong == input.entries.end()) return {};
  return corrupt(tensor_text(view, *wrong), ": the name's hash is wrong, ", wrong->name_hash(),
                 " vs ", name_hash(view.name(*wrong)));
}

// R15
Result<void> check_order(const IndexInput& input) {
  const IndexView& view = input.view;
  std::uint64_t previous = 0;
  for (std::size_t i = 0; i < view.order.size(); ++i) {
    prefetch_entry(view, i + kAhead);
    const fb::Order& step = view.order[i];
    if (step.entry() >= view.entries.size()) {
      return corrupt("`order` names entry ", step.entry(), " vs ", view.entries.size(), " entries");
    }
    const std::uint64_t hash = view.entries[step.entry()].name_hash();
    if (i > 0 && hash <= previous) return bad_neighbours(view, i);
    if (step.hash_top() != hash >> 32U) {
      return corrupt("`order` has the wrong hash at place ", i, ", ", step.hash_top(), " vs ",
                     hash >> 32U);
    }
    previous = hash;
  }
  return check_buckets(view);
}

}  // namespace weightmap::format
