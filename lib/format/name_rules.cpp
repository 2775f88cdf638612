// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "base/hash.h"
#include "format/faults.h"
#include "format/index_rules.h"

namespace weightmap::format {
namespace {

bool is_continuation(char byte) {
  return (static_cast<unsigned char>(byte) & 0xC0U) == 0x80U;
}

Error bad_name(const IndexView& view, std::size_t number, std::string_view what) {
  const std::string_view name = view.name(view.entries[number]);
  return corrupt("the name of tensor ", number, " (", quoted(name), ") ", what);
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

Result<void> check_buckets(const IndexView& view) {
  const std::uint64_t count = view.order.size();
  const unsigned shift = 32U - bucket_bits(count);
  std::uint32_t begin = 0;
  for (std::size_t b = 0; b + 1 < view.buckets.size(); ++b) {
    const std::uint32_t end = view.buckets[b + 1];
    bool right = view.buckets[b] == begin && begin <= end && end <= count;
    for (std::uint32_t place = begin; right && place < end; ++place) {
      right = std::uint64_t{view.order[place].hash_top()} >> shift == b;
    }
    if (!right) return corrupt("bucket ", b, " is not where its hashes stand in `order`");
    begin = end;
  }
  if (begin == count) return {};
  return corrupt("the last bucket ends at place ", begin, " of `order` vs ", count);
}

}  // namespace

// R13. The pool is looked at once, as a whole: it is valid and no name begins inside a character
// exactly when each name is valid.
Result<void> check_names(const IndexInput& input) {
  const IndexView& view = input.view;
  const bool is_clean = text_fault(view.names).empty();
  std::uint64_t end = 0;
  for (std::size_t i = 0; i < view.entries.size(); ++i) {
    const fb::Entry& entry = view.entries[i];
    if (entry.name_begin() != end || entry.name_size() > view.names.size() - end) {
      return corrupt("the name of tensor ", i, " does not follow the one before it in `names`");
    }
    const std::string_view name = view.name(entry);
    if (name.empty() || !is_clean || is_continuation(name.front())) {
      const std::string_view fault = name_fault(name);
      if (!fault.empty()) return bad_name(view, i, fault);
    }
    end += name.size();
  }
  if (end == view.names.size()) return {};
  return corrupt("the names end at byte ", end, " of `names` vs ", view.names.size());
}

// R14
Result<void> check_hashes(const IndexInput& input) {
  const IndexView& view = input.view;
  const auto wrong = std::ranges::find_if(view.entries, [&](const fb::Entry& entry) {
    return entry.name_hash() != name_hash(view.name(entry));
  });
  if (wrong == view.entries.end()) return {};
  return corrupt(tensor_text(view, *wrong), ": the name's hash is wrong, ", wrong->name_hash(),
                 " vs ", name_hash(view.name(*wrong)));
}

// R15
Result<void> check_order(const IndexInput& input) {
  const IndexView& view = input.view;
  std::uint64_t previous = 0;
  for (std::size_t i = 0; i < view.order.size(); ++i) {
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
