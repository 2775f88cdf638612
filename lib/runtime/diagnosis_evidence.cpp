// SPDX-License-Identifier: Apache-2.0
#include "runtime/diagnosis_evidence.h"

#include <algorithm>
#include <bitset>
#include <optional>
#include <span>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "base/pattern.h"
#include "base/text.h"
#include "runtime/diagnosis_kinship.h"
#include "runtime/diagnosis_pairs.h"
#include "runtime/diagnosis_rules.h"

namespace weightmap {
namespace {

using Fit = Renaming::Fit;
using Trial = Renaming::Trial;

constexpr std::size_t kMostWitnesses = 64;  // pairs of keys that are asked about an edit
constexpr std::size_t kMostRivals = 16;     // of one pair; with more of them it proves nothing

// What stands around an edit in a name, without dots; nothing at the start or at the end.
struct Place {
  std::optional<std::string_view> before;
  std::optional<std::string_view> after;
};

// What a name has between, if it has that around it.
std::optional<std::string_view> middle_of(std::string_view name, const Place& place) {
  const auto [before, after] = place;
  if (before && !name.starts_with(*before)) return std::nullopt;
  if (after && !name.ends_with(*after)) return std::nullopt;
  const std::size_t begin = before ? before->size() + 1 : 0;  // behind the dot
  const std::size_t least = begin + (after ? after->size() + 1 : 0);
  if (before && begin <= name.size() && name[begin - 1] != '.') return std::nullopt;
  if (after && after->size() < name.size() && name[name.size() - after->size() - 1] != '.') {
    return std::nullopt;
  }
  if ((before || after) && name.size() + 1 == least) return "";
  if (name.size() <= least) return std::nullopt;
  return name.substr(begin, name.size() - least);
}

// Where the middle of a pattern stands in a name. Nothing where that is no single place.
std::optional<Place> place_of(std::string_view name,
                              const NameEdit& edit,
                              const std::string& middle) {
  Place place;
  if (middle.empty()) {
    if (edit.at_start == edit.at_end) return std::nullopt;
    (edit.at_start ? place.after : place.before) = name;
    return place;
  }
  const RenameRule rule = rule_of({middle, middle, edit.at_start, edit.at_end});
  const auto parts = match(rule.pattern, name);
  if (!parts) return std::nullopt;
  if (!edit.at_start) place.before = parts->front();
  if (!edit.at_end) place.after = parts->back();
  return place;
}

// A pair of keys that an edit leads to each other, as each side sees it.
struct Witness {
  struct Side {
    std::uint32_t number = 0;
    Place place;
    std::string_view middle;
    std::vector<std::uint32_t> rivals;
  };
  std::size_t edit = 0;
  Side found;
  Side wanted;
  double kin = 0;
};

using Side = Witness::Side;

// Witnesses by what stands around the edit on one side, so that each key meets those alone that it
// may be a rival of.
class PlaceIndex {
 public:
  void add(const Place& place, Witness& witness) {
    const std::size_t before = place.before ? place.before->size() : 0;
    const std::size_t after = place.after ? place.after->size() : 0;
    if (before == 0 && after == 0) return everywhere_.push_back(&witness);
    const bool is_before = before >= after;
    auto& sizes = is_before ? before_sizes_ : after_sizes_;
    sizes.set(is_before ? before : after);
    (is_before ? before_ : after_)[is_before ? *place.before : *place.after].push_back(&witness);
  }

  // Calls visit(witness) for all that the name may belong to.
  template <typename Visit>
  void visit(std::string_view name, const Visit& visit) const {
    std::ranges::for_each(everywhere_, visit);
    look_up(before_, before_sizes_, name, name.size(), visit);
    look_up(after_, after_sizes_, name, name.size(), visit);
    for (auto dot = name.find('.'); dot != std::string_view::npos; dot = name.find('.', dot + 1)) {
      look_up(before_, before_sizes_, name.substr(0, dot), dot, visit);
      look_up(after_, after_sizes_, name.substr(dot + 1), name.size() - dot - 1, visit);
    }
  }

 private:
  using Sizes = std::bitset<kLongestName + 1>;
  using List = std::vector<Witness*>;
  using Map = std::unordered_map<std::string_view, List>;

  template <typename Visit>
  static void look_up(const Map& map,
                      const Sizes& sizes,
                      std::string_view part,
                      std::size_t size,
                      const Visit& visit) {
    if (!sizes.test(size)) return;
    const auto list = map.find(part);
    if (list != map.end()) std::ranges::for_each(list->second, visit);
  }

  List everywhere_;
  Map before_;
  Map after_;
  Sizes before_sizes_;
  Sizes after_sizes_;
};

class Weighing {
 public:
  Weighing(const Renaming& renaming, const std::vector<NameEdit>& edits, const Trial& trial)
      : renaming_(renaming), edits_(edits), trial_(trial), chain_(trial.rules) {}

  Evidence run() {
    for (std::size_t edit = 0; edit < edits_.size(); ++edit) {
      for (const std::uint32_t wanted : spread(trial_.witnesses[edit], kMostWitnesses))
        add_witness(edit, wanted);
    }
    find_wanted_rivals();
    find_found_rivals();
    Evidence evidence{.believed = std::vector<bool>(edits_.size(), false), .doubts = {}};
    while (believe_more(evidence.believed)) {
    }
    evidence.doubts = doubts(evidence.believed);
    constexpr std::uint64_t kStepsOfKey = 300;
    const std::size_t keys = renaming_.missing().size() + renaming_.unexpected().size();
    renaming_.spend(chain_.steps() + steps_ + kStepsOfKey * keys);
    return evidence;
  }

 private:
  std::string_view found_name(std::uint32_t number) const { return renaming_.names()[number]; }
  const KeyFacts& wanted_key(std::uint32_t number) const {
    return renaming_.wanted().keys()[number];
  }

  void add_witness(std::size_t number, std::uint32_t wanted) {
    const NameEdit& edit = edits_[number];
    const std::uint32_t found = trial_.takers[wanted];
    const std::string_view from = found_name(found);
    const std::string_view to = wanted_key(wanted).name;
    if (!is_comparable(from)) return;
    auto from_place = place_of(from, edit, edit.from);
    auto to_place = place_of(to, edit, edit.to);
    // What is around it on one side is mostly around it on the other, too.
    if (from_place && is_at(to, *from_place, edit.to)) to_place = from_place;
    if (!from_place && to_place && is_at(from, *to_place, edit.from)) from_place = to_place;
    if (!from_place || !to_place) return;
    Witness witness{.edit = number, .found = {.number = found}, .wanted = {.number = wanted}};
    witness.found.place = *from_place;
    witness.wanted.place = *to_place;
    witness.found.middle = middle_of(from, *from_place).value_or("");
    witness.wanted.middle = middle_of(to, *to_place).value_or("");
    witness.kin = kin(witness.found.middle, witness.wanted.middle);
    witnesses_.push_back(std::move(witness));
  }

  static bool is_at(std::string_view name, const Place& place, const std::string& pattern) {
    const auto middle = middle_of(name, place);
    return middle && match(pattern, *middle);
  }

  // The same few stretches stand in many names.
  double kin(std::string_view from, std::string_view to) {
    constexpr std::uint64_t kStepsOfKnown = 200;
    constexpr std::uint64_t kStepsOfNew = 3000;
    const auto [known, is_new] = kins_.emplace(concat(from, "=", to), 0);
    if (is_new) known->second = kinship(from, to);
    steps_ += is_new ? kStepsOfNew : kStepsOfKnown;
    return known->second;
  }

  // What is asked about too many keys proves nothing.
  bool is_spent() const {
    constexpr std::uint64_t kMostSteps = 30'000'000;
    constexpr std::uint64_t kMostStepsOfKey = 500;
    const std::size_t keys = renaming_.missing().size() + renaming_.unexpected().size();
    return steps_ > kMostSteps + kMostStepsOfKey * keys;
  }

  void find_wanted_rivals() {
    PlaceIndex index;
    for (Witness& witness : witnesses_)
      index.add(witness.wanted.place, witness);
    for (const std::uint32_t number : renaming_.missing()) {
      const KeyFacts& key = wanted_key(number);
      index.visit(key.name, [&](Witness* witness) {
        const auto likeness = [&](auto middle) { return kin(witness->found.middle, middle); };
        const auto fits = [&] {
          return shapes_agree(key, renaming_.found()[witness->found.number]);
        };
        consider(number, key.name, witness->wanted, witness->kin, fits, likeness);
      });
    }
  }

  void find_found_rivals() {
    PlaceIndex index;
    for (Witness& witness : witnesses_)
      index.add(witness.found.place, witness);
    for (const std::uint32_t number : renaming_.unexpected()) {
      index.visit(found_name(number), [&](Witness* witness) {
        const auto likeness = [&](auto middle) { return kin(middle, witness->wanted.middle); };
        const auto fits = [&] {
          return shapes_agree(wanted_key(witness->wanted.number), renaming_.found()[number]);
        };
        consider(number, found_name(number), witness->found, witness->kin, fits, likeness);
      });
    }
  }

  // Whether the key could stand there with as much right.
  template <typename Fits, typename Likeness>
  void consider(std::uint32_t number,
                std::string_view name,
                Side& side,
                double own_kin,
                const Fits& fits,
                const Likeness& likeness) {
    constexpr std::uint64_t kSteps = 20;
    steps_ += kSteps;
    const bool is_settled = side.rivals.size() == kMostRivals || is_spent();
    if (is_settled || number == side.number || !fits()) return;
    const auto middle = middle_of(name, side.place);
    if (middle && *middle != side.middle && likeness(*middle) >= own_kin) {
      side.rivals.push_back(number);
    }
  }

  bool believe_more(std::vector<bool>& believed) {
    bool is_more = false;
    for (const Witness& witness : witnesses_) {
      if (believed[witness.edit]) continue;
      const auto has_place = [&](std::uint32_t found) { return has_its_place(found, believed); };
      const auto is_taken = [&](std::uint32_t wanted) {
        return trial_.takers[wanted] != Renaming::kNobody && has_place(trial_.takers[wanted]);
      };
      const bool is_proof = !is_spent() && witness.wanted.rivals.size() < kMostRivals &&
                            witness.found.rivals.size() < kMostRivals &&
                            std::ranges::all_of(witness.wanted.rivals, is_taken) &&
                            std::ranges::all_of(witness.found.rivals, has_place);
      if (!is_proof) continue;
      believed[witness.edit] = true;
      is_more = true;
    }
    return is_more;
  }

  // A found key that edits which are believed lead to where it fits is nobody's rival.
  bool has_its_place(std::uint32_t found, const std::vector<bool>& believed) {
    const auto wanted = renaming_.wanted().find(trial_.names[found]);
    if (!wanted || trial_.takers[*wanted] != found || trial_.fits[*wanted] != Fit::kFits)
      return false;
    const auto [known, is_new] = touched_.emplace(found, std::vector<std::size_t>());
    if (is_new) {
      std::string name(found_name(found));
      chain_.apply(name, &known->second);
    }
    return std::ranges::all_of(known->second, [&](std::size_t edit) { return believed[edit]; });
  }

  std::vector<Doubt> doubts(const std::vector<bool>& believed) const {
    std::vector<Doubt> doubts;
    std::vector<bool> is_told = believed;
    for (const Witness& witness : witnesses_) {
      if (is_told[witness.edit]) continue;
      const bool is_found_rival = !witness.found.rivals.empty();
      const Side& side = is_found_rival ? witness.found : witness.wanted;
      if (side.rivals.empty()) continue;
      is_told[witness.edit] = true;
      const std::uint32_t rival = side.rivals.front();
      const auto name = is_found_rival ? found_name(rival) : wanted_key(rival).name;
      doubts.push_back({.edit = edits_[witness.edit],
                        .rival = std::string(middle_of(name, side.place).value_or("")),
                        .is_found_rival = is_found_rival});
    }
    return doubts;
  }

  const Renaming& renaming_;
  const std::vector<NameEdit>& edits_;
  const Trial& trial_;
  RuleChain chain_;
  std::vector<Witness> witnesses_;
  std::uint64_t steps_ = 0;
  std::unordered_map<std::string, double> kins_;
  std::unordered_map<std::uint32_t, std::vector<std::size_t>> touched_;
};

}  // namespace

Evidence weigh(const Renaming& renaming, const std::vector<NameEdit>& edits, const Trial& trial) {
  return Weighing(renaming, edits, trial).run();
}

}  // namespace weightmap
