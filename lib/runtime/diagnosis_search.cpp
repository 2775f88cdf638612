// SPDX-License-Identifier: Apache-2.0
// Candidates are guessed from some keys and tried on all; the best one is taken, and the search
// goes on with what is left. What decides is how many keys fit afterwards.
#include "runtime/diagnosis_search.h"

#include <algorithm>
#include <functional>
#include <iterator>
#include <set>
#include <string_view>
#include <unordered_set>
#include <utility>

#include "base/text.h"
#include "runtime/diagnosis_edits.h"
#include "runtime/diagnosis_evidence.h"
#include "runtime/diagnosis_pairs.h"

namespace weightmap {
namespace {

constexpr std::size_t kMostStages = 8;
constexpr std::size_t kMostTried = 8;     // candidates of a stage that are tried on all keys
constexpr std::size_t kMostSingle = 12;   // edits that are a candidate alone
constexpr std::size_t kMostBundled = 32;  // edits of one candidate
constexpr std::size_t kSample = 1024;
constexpr std::size_t kMuch = 4;  // a part of so many is much

using Trial = Renaming::Trial;

// Of the first keys, which speak for the others: lists of names have none at all. One without
// dimensions is like too many others.
bool knows_shapes(const Renaming& renaming) {
  const auto& wanted = renaming.wanted().keys()[renaming.missing().front()].shape;
  const auto& found = renaming.found()[renaming.unexpected().front()].shape;
  return wanted && found && !wanted->empty();
}

class Stage {
 public:
  explicit Stage(const Renaming& renaming)
      : renaming_(renaming), sample_(spread(renaming.unexpected(), kSample)) {}

  struct Best {
    RenameCandidate candidate;
    Trial trial;
  };

  std::optional<Best> run() {
    collect();
    rank();
    std::optional<Best> best;
    std::size_t tried = 0;
    for (Ranked& ranked : candidates_) {
      if (ranked.estimate == 0 || tried++ == kMostTried) break;
      consider(std::move(ranked.candidate), best);
    }
    // Nearly all numbers are there already: a sample of what is not tells little.
    for (RenameCandidate& candidate : number_candidates(renaming_))
      consider(std::move(candidate), best);
    return best;
  }

  std::vector<Doubt> doubts() && { return std::move(doubts_); }

 private:
  struct Ranked {
    RenameCandidate candidate;
    std::size_t estimate = 0;
  };

  void collect() {
    const EditVotes votes = vote_edits(renaming_);
    for (const auto* const list : {&votes.split, &votes.whole}) {
      for (std::size_t i = 0; i < std::min(list->size(), kMostSingle); ++i)
        add_single((*list)[i].edit);
    }
    add_bundle(votes.split);
    add_bundle(votes.whole);
    if (auto wrappers = wrapper_candidate(renaming_)) add(std::move(*wrappers));
  }

  void add(RenameCandidate candidate) {
    const std::size_t estimate = renaming_.estimate(candidate.rules, sample_);
    candidates_.push_back({std::move(candidate), estimate});
  }

  static void add_edit(NameEdit edit, DiagnosisCause cause, RenameCandidate& candidate) {
    candidate.rules.push_back(rule_of(edit));
    candidate.causes.push_back(std::move(cause));
    candidate.edits.push_back(std::move(edit));
  }

  void add_single(const NameEdit& edit) {
    RenameCandidate candidate{.is_pure = is_pure(edit)};
    add_edit(edit, cause_of(edit), candidate);
    add(std::move(candidate));
    if (edit.at_start && (edit.from.empty() || edit.to.empty())) add_prefix_by_module(edit);
  }

  // The prefix only for the modules that lack it or have it too much: others may be right as they
  // are.
  void add_prefix_by_module(const NameEdit& edit) {
    RenameCandidate candidate{.is_pure = true};
    const std::string before = edit.from.empty() ? "" : edit.from + ".";
    const std::string after = edit.to.empty() ? "" : edit.to + ".";
    std::set<std::string, std::less<>> modules;
    for (const std::uint32_t number : renaming_.unexpected()) {
      std::string_view name = renaming_.names()[number];
      if (!name.starts_with(before)) continue;
      name.remove_prefix(before.size());
      const std::string_view first = name.substr(0, name.find('.'));
      const std::string_view module =
          first.size() < name.size() ? name.substr(0, first.size() + 1) : name;
      if (first.find_first_of("*=?") != std::string_view::npos || modules.contains(module))
        continue;
      if (!renaming_.wanted().find(concat(after, name))) continue;
      modules.emplace(module);
      add_edit({.from = concat(before, first),
                .to = concat(after, first),
                .at_start = true,
                .at_end = module.size() == first.size()},
               cause_of(edit), candidate);
      if (candidate.rules.size() > kMostBundled) return;
    }
    if (!candidate.rules.empty()) add(std::move(candidate));
  }

  // Edits that do not contradict each other, the likeliest first.
  void add_bundle(const std::vector<VotedEdit>& edits) {
    RenameCandidate candidate{.is_whole = true};
    std::unordered_set<std::string> froms;
    std::unordered_set<std::string> tos;
    for (const VotedEdit& voted : edits) {
      const NameEdit& edit = voted.edit;
      if (candidate.rules.size() == kMostBundled) break;
      if (edit.from.empty() || froms.contains(edit.from) || tos.contains(edit.to)) continue;
      froms.insert(edit.from);
      tos.insert(edit.to);
      add_edit(edit, cause_of(edit), candidate);
    }
    if (candidate.rules.size() > 1) add(std::move(candidate));
  }

  void rank() {
    std::ranges::stable_sort(candidates_, [](const Ranked& a, const Ranked& b) {
      if (a.estimate != b.estimate) return a.estimate > b.estimate;
      return a.candidate.rules.size() < b.candidate.rules.size();
    });
    std::vector<RenameRule> last;
    std::erase_if(candidates_, [&](const Ranked& ranked) {
      return std::exchange(last, ranked.candidate.rules) == ranked.candidate.rules;
    });
  }

  void consider(RenameCandidate candidate, std::optional<Best>& best) {
    auto trial = renaming_.attempt(candidate.rules);
    const auto is_better = [&] {
      if (!trial || !is_believable(candidate, *trial)) return false;
      if (!best) return true;
      if (trial->gained != best->trial.gained) return trial->gained > best->trial.gained;
      return candidate.is_preferred || trial->rules.size() < best->trial.rules.size();
    };
    if (!is_better()) return;
    if (candidate.is_evident && trial->rules != candidate.rules) return;
    if (!candidate.is_evident && !keep_believed(candidate, *trial)) {
      if (candidate.rules.empty()) return;
      trial = renaming_.attempt(candidate.rules);
      if (!is_better() || !keep_believed(candidate, *trial)) return;
    }
    best = Best{std::move(candidate), std::move(*trial)};
  }

  // Takes out of the candidate what explains nothing or could as well be another thing. Whether
  // that was nothing that the trial had.
  bool keep_believed(RenameCandidate& candidate, const Trial& trial) {
    keep_tried(candidate, trial);
    Evidence evidence = weigh(renaming_, candidate.edits, trial);
    std::ranges::move(evidence.doubts, std::back_inserter(doubts_));
    keep(candidate, evidence.believed);
    return candidate.rules.size() == trial.rules.size();
  }

  static void keep_tried(RenameCandidate& candidate, const Trial& trial) {
    std::vector<bool> is_tried;
    std::size_t at = 0;
    for (const RenameRule& rule : candidate.rules) {
      is_tried.push_back(at < trial.rules.size() && rule == trial.rules[at]);
      at += is_tried.back() ? 1 : 0;
    }
    keep(candidate, is_tried);
  }

  static void keep(RenameCandidate& candidate, const std::vector<bool>& kept) {
    RenameCandidate rest = candidate;
    rest.rules.clear();
    rest.causes.clear();
    rest.edits.clear();
    for (std::size_t i = 0; i < kept.size(); ++i) {
      if (!kept[i]) continue;
      add_edit(std::move(candidate.edits[i]), std::move(candidate.causes[i]), rest);
    }
    candidate = std::move(rest);
  }

  // A guess that mends little of what it touches and of all there is to mend is none.
  bool is_believable(const RenameCandidate& candidate, const Trial& trial) const {
    if (2 * trial.misfits > trial.gained) return false;
    if (candidate.is_by_order && trial.misfits + trial.in_vain > 0) return false;
    const std::size_t missing = renaming_.missing().size();
    const std::size_t unexpected = renaming_.unexpected().size();
    const bool mends_much = kMuch * trial.gained >= std::min(missing, unexpected);
    if (candidate.is_pure) return mends_much || trial.in_vain <= trial.gained;
    if (!knows_shapes(renaming_) && 2 * trial.gained < std::max(missing, unexpected)) return false;
    if (trial.gained == 1) return missing == 1 && unexpected == 1 && knows_shapes(renaming_);
    const bool is_rich = !candidate.is_whole || trial.gained >= 2 * trial.rules.size();
    return mends_much && trial.in_vain <= kMuch * trial.gained &&
           (is_rich || missing == unexpected);
  }

  const Renaming& renaming_;
  std::vector<std::uint32_t> sample_;
  std::vector<Ranked> candidates_;
  std::vector<Doubt> doubts_;
};

// The causes of the rules that were kept, with the keys that each explains.
std::vector<DiagnosisCause> causes_of(const RenameCandidate& candidate, const Trial& trial) {
  std::vector<DiagnosisCause> causes;
  std::size_t at = 0;
  for (std::size_t i = 0; i < trial.rules.size(); ++i) {
    while (candidate.rules[at] != trial.rules[i])
      ++at;
    DiagnosisCause cause = candidate.causes[at++];
    cause.keys = trial.explained[i];
    const auto is_same = [&](const DiagnosisCause& other) {
      return other.kind == cause.kind && other.subject == cause.subject;
    };
    const auto known = std::ranges::find_if(causes, is_same);
    if (known == causes.end()) {
      causes.push_back(std::move(cause));
    } else if (cause.kind == DiagnosisCause::Kind::kExtraComponent) {
      known->keys = std::max(known->keys, cause.keys);  // one rule again for names with two of it
    } else {
      known->keys += cause.keys;
    }
  }
  return causes;
}

// With its rival in its place.
NameEdit rival_edit(const Doubt& doubt) {
  NameEdit edit = doubt.edit;
  (doubt.is_found_rival ? edit.from : edit.to) = doubt.rival;
  return edit;
}

DiagnosisCause cause_of(const Doubt& doubt, bool knows_shapes) {
  const RenameRule rule = rule_of(doubt.edit);
  const RenameRule rival = rule_of(rival_edit(doubt));
  const std::string_view why = knows_shapes ? ": their shapes are alike" : ": nothing tells which";
  DiagnosisCause cause{.kind = DiagnosisCause::Kind::kAmbiguous};
  if (doubt.is_found_rival) {
    cause.subject = rule.replacement;
    cause.text = concat(quoted(rule.pattern), " and ", quoted(rival.pattern),
                        " could each be wanted as ", quoted(rule.replacement), why);
  } else {
    cause.subject = rule.pattern;
    cause.text = concat(quoted(rule.pattern), " could be wanted as ", quoted(rule.replacement),
                        " or as ", quoted(rival.replacement), why);
  }
  return cause;
}

// Of those that later renames have not settled, the first few.
std::vector<DiagnosisCause> causes_of(const std::vector<Doubt>& doubts, const Renaming& renaming) {
  constexpr std::size_t kMostTold = 5;
  std::vector<DiagnosisCause> causes;
  if (renaming.missing().empty() || renaming.unexpected().empty()) return causes;
  for (const Doubt& doubt : doubts) {
    DiagnosisCause cause = cause_of(doubt, knows_shapes(renaming));
    const auto is_told = [&](const DiagnosisCause& other) {
      return other.subject == cause.subject;
    };
    if (causes.size() == kMostTold || std::ranges::any_of(causes, is_told)) continue;
    const std::vector<RenameRule> rules = {rule_of(doubt.edit)};
    const std::vector<RenameRule> rivals = {rule_of(rival_edit(doubt))};
    cause.keys = renaming.estimate(rules, renaming.unexpected());
    const bool is_open = cause.keys > 0 && renaming.estimate(rivals, renaming.unexpected()) > 0;
    if (is_open) causes.push_back(std::move(cause));
  }
  return causes;
}

}  // namespace

FoundRenames search_renames(Renaming& renaming) {
  FoundRenames found;
  std::vector<Doubt> doubts;
  for (std::size_t stage = 0; stage < kMostStages; ++stage) {
    if (renaming.missing().empty() || renaming.unexpected().empty()) break;
    Stage now(renaming);
    auto best = now.run();
    std::ranges::move(std::move(now).doubts(), std::back_inserter(doubts));
    if (!best) break;
    for (DiagnosisCause& cause : causes_of(best->candidate, best->trial))
      found.causes.push_back(std::move(cause));
    found.rules.insert(found.rules.end(), best->trial.rules.begin(), best->trial.rules.end());
    renaming.accept(std::move(best->trial));
  }
  found.doubts = causes_of(doubts, renaming);
  return found;
}

}  // namespace weightmap
