// SPDX-License-Identifier: Apache-2.0
// Names that are one but for an edit have something in common: their beginning, their end, or all
// but one component. What some unexpected keys have is put into a table, and every missing key
// looks itself up there. Where nothing is in common, order tells: the third matrix of its shape in
// layer 5 on one side is likely the third one on the other.
#include "runtime/diagnosis_pairs.h"

#include <algorithm>
#include <array>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "base/hash.h"
#include "runtime/diagnosis_kinship.h"

namespace weightmap {
namespace {

constexpr std::size_t kSample = 512;
constexpr std::size_t kMostOfFeature = 8;  // missing keys that a feature is looked up for
constexpr std::size_t kKnownBits = 1U << 20U;
constexpr std::size_t kMostComponentsToMask = 24;  // of names that are looked at with one left out
constexpr double kVotesOfKin = 10;                 // outweighs every vote for an unlikely name

enum class Feature : std::uint64_t {
  kSuffix = 1,
  kPrefix,
  kWithout,  // one component of the unexpected name left out
  kWhole,    // for the missing name, with one component left out
  kMasked,   // one component is another
  kOrderOfLeaf,
  kOrder,
};

std::uint64_t mixed(std::uint64_t hash, std::uint64_t more) {
  constexpr std::uint64_t kOdd = 0x9E3779B97F4A7C15U;
  hash = (hash ^ more) * kOdd;
  return hash ^ hash >> 29U;
}

// The name of a key, hashed by components, with its shape where all keys have one.
class HashedName {
 public:
  HashedName(std::string_view name, std::uint64_t shape) : shape_(shape) {
    for (const std::string_view component : components_of(name)) {
      hashes_.push_back(name_hash(component));
      if (is_number(component)) numbers_ = mixed(numbers_, hashes_.back());
    }
  }

  std::size_t size() const { return hashes_.size(); }

  // Longest first; what has nothing beside it is not among them unless `all`.
  std::vector<std::uint64_t> suffixes(bool all) const {
    return ends(hashes_.rbegin(), hashes_.rend(), Feature::kSuffix, all);
  }
  std::vector<std::uint64_t> prefixes(bool all) const {
    return ends(hashes_.begin(), hashes_.end(), Feature::kPrefix, all);
  }

  std::uint64_t whole(Feature feature) const { return without(hashes_.size(), feature, 0); }

  // With one component left out, or with another thing in its place.
  std::uint64_t without(std::size_t left_out, Feature feature, std::uint64_t instead) const {
    std::uint64_t hash = start(feature);
    for (std::size_t i = 0; i < hashes_.size(); ++i) {
      if (i != left_out) hash = mixed(hash, hashes_[i]);
      if (i == left_out && instead != 0) hash = mixed(hash, instead);
    }
    return hash;
  }

  std::uint64_t order_group(Feature feature) const {
    const std::uint64_t hash = mixed(start(feature), numbers_);
    return feature == Feature::kOrderOfLeaf ? mixed(hash, hashes_.back()) : hash;
  }

 private:
  std::uint64_t start(Feature feature) const {
    return mixed(shape_, static_cast<std::uint64_t>(feature));
  }

  template <typename Iterator>
  std::vector<std::uint64_t> ends(Iterator at, Iterator end, Feature feature, bool all) const {
    std::vector<std::uint64_t> ends;
    std::uint64_t hash = start(feature);
    for (; at != end; ++at) {
      hash = mixed(hash, *at);
      ends.push_back(hash);
    }
    if (!all) ends.pop_back();
    std::ranges::reverse(ends);
    return ends;
  }

  std::vector<std::uint64_t> hashes_;
  std::uint64_t numbers_ = 1;
  std::uint64_t shape_;
};

// Missing keys that have a feature of some unexpected one: the first few.
struct Slot {
  std::array<std::uint32_t, kMostOfFeature> missing{};
  std::size_t count = 0;

  void add(std::uint32_t number) {
    const bool is_there = count > 0 && missing[count - 1] == number;
    if (count < kMostOfFeature && !is_there) missing[count++] = number;
  }
  std::span<const std::uint32_t> all() const { return std::span(missing).first(count); }
};

class Pairing {
 public:
  explicit Pairing(const Renaming& renaming)
      : renaming_(renaming), sample_(spread(renaming.unexpected(), kSample)) {
    knows_shapes_ = has_shapes(renaming.missing(), renaming.wanted().keys()) &&
                    has_shapes(renaming.unexpected(), renaming.found());
  }

  // Calls vote(unexpected, missing) for every guess.
  template <typename Vote>
  void run(const Vote& vote) {
    for (const std::uint32_t number : sample_)
      add_features(found_name(number));
    for (const std::uint32_t number : renaming_.missing())
      look_up(number);
    for (const std::uint32_t number : sample_)
      tell(number, vote);
    if (!knows_shapes_) return;
    pair_by_order(Feature::kOrderOfLeaf, vote);
    pair_by_order(Feature::kOrder, vote);
  }

 private:
  static bool has_shapes(const std::vector<std::uint32_t>& numbers,
                         std::span<const KeyFacts> keys) {
    return std::ranges::all_of(numbers,
                               [&](auto number) { return keys[number].shape.has_value(); });
  }

  HashedName found_name(std::uint32_t number) const {
    const KeyFacts& key = renaming_.found()[number];
    return {renaming_.names()[number], knows_shapes_ ? shape_hash(key) : 0};
  }
  HashedName wanted_name(std::uint32_t number) const {
    const KeyFacts& key = renaming_.wanted().keys()[number];
    return {key.name, knows_shapes_ ? shape_hash(key) : 0};
  }

  void add_features(const HashedName& name) {
    const auto add = [&](std::uint64_t hash) {
      slots_[hash];
      known_[hash % kKnownBits] = true;
    };
    std::ranges::for_each(name.suffixes(true), add);
    std::ranges::for_each(name.prefixes(true), add);
    if (name.size() > kMostComponentsToMask) return;
    add(name.whole(Feature::kWhole));
    for (std::size_t i = 0; i < name.size(); ++i) {
      add(name.without(i, Feature::kWithout, 0));
      add(name.without(i, Feature::kMasked, i + 1));
    }
  }

  void spend(const HashedName& name) const {
    constexpr std::uint64_t kStepsOfName = 500;
    renaming_.spend(kStepsOfName + 4 * name.size() * name.size());
  }

  void look_up(std::uint32_t number) {
    const HashedName name = wanted_name(number);
    spend(name);
    const auto add = [&](std::uint64_t hash) {
      if (!known_[hash % kKnownBits]) return;
      const auto slot = slots_.find(hash);
      if (slot != slots_.end()) slot->second.add(number);
    };
    std::ranges::for_each(name.suffixes(true), add);
    std::ranges::for_each(name.prefixes(true), add);
    if (name.size() > kMostComponentsToMask) return;
    add(name.whole(Feature::kWithout));
    for (std::size_t i = 0; i < name.size(); ++i) {
      add(name.without(i, Feature::kWhole, 0));
      add(name.without(i, Feature::kMasked, i + 1));
    }
  }

  template <typename Vote>
  void tell(std::uint32_t number, const Vote& vote) const {
    const HashedName name = found_name(number);
    const auto tell_slot = [&](std::uint64_t hash) {
      const auto missing = slots_.at(hash).all();
      for (const std::uint32_t other : missing)
        vote(number, other);
      return !missing.empty();
    };
    for (const auto& ends : {name.suffixes(true), name.prefixes(true)})
      std::ranges::find_if(ends, tell_slot);  // the longest that somebody has
    if (name.size() > kMostComponentsToMask) return;
    tell_slot(name.whole(Feature::kWhole));
    for (std::size_t i = 0; i < name.size(); ++i) {
      tell_slot(name.without(i, Feature::kWithout, 0));
      tell_slot(name.without(i, Feature::kMasked, i + 1));
    }
  }

  // The n-th of a group here and the n-th of it there.
  template <typename Vote>
  void pair_by_order(Feature feature, const Vote& vote) const {
    std::unordered_map<std::uint64_t, std::vector<std::uint32_t>> groups;
    for (const std::uint32_t number : sample_)
      groups[found_name(number).order_group(feature)];
    const auto group_of = [&](const HashedName& name) {
      const auto group = groups.find(name.order_group(feature));
      return group == groups.end() ? nullptr : &group->second;
    };
    for (const std::uint32_t number : renaming_.missing()) {
      if (auto* const group = group_of(wanted_name(number))) group->push_back(number);
    }
    std::unordered_map<const void*, std::size_t> ranks;
    auto sampled = sample_.begin();
    for (const std::uint32_t number : renaming_.unexpected()) {
      const auto* const group = group_of(found_name(number));
      if (group == nullptr) continue;
      const std::size_t rank = ranks[group]++;
      if (sampled == sample_.end() || *sampled != number) continue;
      ++sampled;
      if (rank < group->size()) vote(number, (*group)[rank]);
    }
  }

  const Renaming& renaming_;
  std::vector<std::uint32_t> sample_;
  bool knows_shapes_ = false;
  std::unordered_map<std::uint64_t, Slot> slots_;
  std::vector<bool> known_ = std::vector<bool>(kKnownBits);  // what slots_ may have, by hash
};

class Ballot {
 public:
  // Numbers that become others are no edit: all of them are moved together, or none.
  void add(const NameEdit& edit) {
    if (differ_by_number(edit.from, edit.to)) return;
    const std::string key =
        edit.from + '=' + edit.to + (edit.at_start ? '^' : '.') + (edit.at_end ? '$' : '.');
    const auto [place, is_new] = places_.emplace(key, edits_.size());
    if (is_new) {
      const double kin = std::min(kinship(edit.from, edit.to), 1.0);
      edits_.push_back({.edit = edit});
      weights_.push_back(1 + static_cast<std::size_t>(kVotesOfKin * kin));
    }
    edits_[place->second].votes += weights_[place->second];
  }

  std::vector<VotedEdit> result() && {
    std::ranges::stable_sort(edits_, std::greater<>(), &VotedEdit::votes);
    return std::move(edits_);
  }

 private:
  std::unordered_map<std::string, std::size_t> places_;
  std::vector<VotedEdit> edits_;
  std::vector<std::size_t> weights_;  // of a vote
};

}  // namespace

EditVotes vote_edits(const Renaming& renaming) {
  Ballot whole;
  Ballot split;
  Pairing(renaming).run([&](std::uint32_t unexpected, std::uint32_t missing) {
    const std::string& from = renaming.names()[unexpected];
    const std::string_view to = renaming.wanted().keys()[missing].name;
    const auto edits = edits_between(from, to);
    if (!edits) return;
    for (const NameEdit& edit : edits->whole)
      whole.add(edit);
    for (const NameEdit& edit : edits->split)
      split.add(edit);
  });
  return {.whole = std::move(whole).result(), .split = std::move(split).result()};
}

std::vector<std::uint32_t> spread(const std::vector<std::uint32_t>& numbers, std::size_t most) {
  if (numbers.size() <= most) return numbers;
  // Equal steps would meet the same key of every layer.
  constexpr std::size_t kStride = 7919;
  const std::size_t step = numbers.size() / most;
  std::vector<std::uint32_t> some;
  for (std::size_t i = 0; i < most; ++i)
    some.push_back(numbers[i * step + i * kStride % step]);
  return some;
}

}  // namespace weightmap
