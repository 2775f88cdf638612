// SPDX-License-Identifier: Apache-2.0
#include "runtime/load_facts.h"

#include <algorithm>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "base/text.h"
#include "runtime/module_walk.h"

namespace weightmap {

void LoadFacts::note_wanted(Module& root) {
  for (ModuleWalk walk(root, ""); !walk.is_done(); walk.advance()) {
    for (const Module::NamedSlot& named : walk.module().own_slots()) {
      if (named.slot == nullptr || !named.persistent) continue;
      add_wanted(concat(walk.prefix(), named.name), *named.slot);
    }
  }
}

void LoadFacts::note_wanted(std::span<const FreeSlot> slots) {
  for (const FreeSlot& free : slots)
    add_wanted(free.name, *free.slot);
}

void LoadFacts::add_wanted(std::string_view name, const Slot& slot) {
  Key& key = wanted_.emplace_back();
  key.name = name;
  if (!slot.is_lazy() && !slot.takes_any_dtype()) key.dtype = slot.dtype();
  if (!slot.is_lazy()) key.shape.emplace(slot.shape().begin(), slot.shape().end());
}

void LoadFacts::note_found(const WeightFile& file, std::string_view prefix) {
  prefix_ = prefix;
  for (const TensorView& tensor : file) {
    if (tensor.is_part() || !tensor.name().starts_with(prefix)) continue;
    add_found(tensor.name().substr(prefix.size()), tensor);
  }
  for (std::uint32_t number = 0; number < file.composite_count(); ++number) {
    const CompositeView composite = file.composite(number);
    if (!composite.name().starts_with(prefix)) continue;
    add_found(composite.name().substr(prefix.size()), composite.dtype(), composite.shape());
  }
}

void LoadFacts::note_found(const StateDict& state_dict, std::string_view prefix) {
  prefix_ = prefix;
  for (const auto& [name, item] : state_dict) {
    if (const StateTensor* const tensor = item.tensor()) {
      add_found(name, tensor->view());
    } else {
      found_.emplace_back().name = name;
    }
  }
}

// A lazy parameter that was saved before it got its shape has none.
void LoadFacts::add_found(std::string_view name, const TensorView& tensor) {
  if (tensor.is_uninitialized()) {
    found_.emplace_back().name = name;
  } else {
    add_found(name, tensor.dtype(), tensor.shape());
  }
}

void LoadFacts::add_found(std::string_view name, Dtype dtype, std::span<const std::int64_t> shape) {
  found_.push_back({.name = std::string(name),
                    .dtype = dtype,
                    .shape = std::vector<std::int64_t>(shape.begin(), shape.end())});
}

// Both sides as the load saw them in the end.
class LoadFacts::Sides {
 public:
  Sides(const LoadFacts& facts, const LoadOutcome& outcome) : facts_(facts) {
    missing_.insert(outcome.missing.begin(), outcome.missing.end());
    unexpected_.insert(outcome.unexpected.begin(), outcome.unexpected.end());
    present_.insert(outcome.taken.begin(), outcome.taken.end());
    for (const Mismatch& mismatch : outcome.mismatched)
      present_.insert(mismatch.key);
    for (const Key& key : facts.wanted_)
      known_wanted_.insert(key.name);
    for (const Key& key : facts.found_)
      known_found_.insert(key.name);
    collect_wanted();
    collect_found();
    collect_made(outcome);
  }

  std::span<const KeyFacts> wanted() const { return wanted_; }
  std::span<const KeyFacts> found() const { return found_; }
  bool is_edited() const { return is_edited_; }

 private:
  static KeyFacts facts_of(const Key& key) {
    KeyFacts facts{.name = key.name, .dtype = key.dtype};
    if (key.shape) facts.shape = *key.shape;
    return facts;
  }

  static bool is_extra_state(std::string_view name) {
    return name == "_extra_state" || name.ends_with("._extra_state");
  }

  void collect_wanted() {
    for (const Key& key : facts_.wanted_) {
      const bool is_wanted = missing_.contains(key.name) || present_.contains(key.name);
      if (is_wanted) wanted_.push_back(facts_of(key));
      is_edited_ |= !is_wanted;
    }
  }

  // Left out is what no module was asked about, or what hooks have taken away.
  void collect_found() {
    for (const Key& key : facts_.found_) {
      const bool is_state = is_extra_state(key.name) && !unexpected_.contains(key.name);
      const bool is_present = is_state || present_.contains(key.name);
      is_edited_ |= missing_.contains(key.name);
      if (is_present || unexpected_.contains(key.name)) found_.push_back(facts_of(key));
      if (is_state) wanted_.push_back({.name = key.name});
    }
  }

  // What is in no list that was given: extra state that is missing, and what hooks have put there.
  void collect_made(const LoadOutcome& outcome) {
    for (const std::string& key : outcome.missing) {
      if (!known_wanted_.contains(key)) wanted_.push_back({.name = key});
    }
    const auto add_found = [&](std::string_view key) {
      if (known_found_.contains(key)) return;
      found_.push_back({.name = key});
      is_edited_ = true;
    };
    std::ranges::for_each(outcome.unexpected, add_found);
    for (const Key& key : facts_.wanted_) {
      if (present_.contains(key.name)) add_found(key.name);
    }
  }

  using Names = std::unordered_set<std::string_view>;
  const LoadFacts& facts_;
  Names missing_;
  Names unexpected_;
  Names present_;
  Names known_wanted_;
  Names known_found_;
  std::vector<KeyFacts> wanted_;
  std::vector<KeyFacts> found_;
  bool is_edited_ = false;
};

namespace {

// What convert takes for the file as it is, with the prefix that the load took off its names.
Remedy with_prefix(const Remedy& remedy, const std::string& prefix) {
  Remedy whole{.strip_prefix = {}, .rename = {}, .float_dtype = remedy.float_dtype};
  if (prefix.find_first_of("*?=") != std::string::npos) return whole;
  if (!remedy.strip_prefix.empty()) {
    whole.rename.push_back({concat(prefix, remedy.strip_prefix, "*"), concat(prefix, "*")});
  }
  for (const RenameRule& rule : remedy.rename)
    whole.rename.push_back({prefix + rule.pattern, prefix + rule.replacement});
  return whole;
}

// Missing and unexpected keys have lists of their own.
bool is_list_of_keys(std::string_view error) {
  return error.starts_with("Missing key(s) in state_dict: ") ||
         error.starts_with("Unexpected key(s) in state_dict: ");
}

// The load's mismatches are all that there are; of those that the keys alone tell, their words
// stay.
void take_mismatches(const LoadOutcome& outcome, Diagnosis& diagnosis) {
  std::unordered_map<std::string_view, MismatchedKey*> told;
  for (MismatchedKey& key : diagnosis.mismatched)
    told.emplace(key.key, &key);
  const std::unordered_set<std::string_view> errors(outcome.errors.begin(), outcome.errors.end());
  std::vector<MismatchedKey> all;
  for (const Mismatch& mismatch : outcome.mismatched) {
    if (!errors.contains(mismatch.text)) continue;
    const auto known = told.find(mismatch.key);
    all.push_back(known != told.end() ? *known->second
                                      : MismatchedKey{.key = mismatch.key, .text = mismatch.text});
  }
  const std::size_t more = all.size() - std::min(all.size(), diagnosis.mismatched.size());
  diagnosis.matched -= std::min(diagnosis.matched, more);
  diagnosis.mended -= std::min(diagnosis.mended, more);
  diagnosis.mismatched = std::move(all);
}

}  // namespace

void add_failures(const LoadOutcome& outcome, Diagnosis& diagnosis) {
  std::unordered_set<std::string_view> mismatches;
  for (const Mismatch& mismatch : outcome.mismatched)
    mismatches.insert(mismatch.text);
  for (const std::string& error : outcome.errors) {
    if (!is_list_of_keys(error) && !mismatches.contains(error)) diagnosis.failures.push_back(error);
  }
}

Diagnosis LoadFacts::diagnose(const LoadOutcome& outcome, const DiagnosisOptions& options) const {
  DiagnosisOptions present = options;
  const std::unordered_set<std::string_view> errors(outcome.errors.begin(), outcome.errors.end());
  present.ignore_mismatched_sizes =
      std::ranges::any_of(outcome.mismatched, [&](const Mismatch& mismatch) {
        return mismatch.reason == Mismatch::Reason::kShape && !errors.contains(mismatch.text);
      });
  const Sides sides(*this, outcome);
  Diagnosis diagnosis = weightmap::diagnose(sides.wanted(), sides.found(), present);
  diagnosis.is_edited = sides.is_edited();
  if (diagnosis.is_edited) {
    diagnosis.remedy = {};
    diagnosis.mended = diagnosis.matched;
  } else if (!prefix_.empty()) {
    diagnosis.remedy = with_prefix(diagnosis.remedy, prefix_);
    if (diagnosis.remedy.empty()) diagnosis.mended = diagnosis.matched;
  }
  take_mismatches(outcome, diagnosis);
  add_failures(outcome, diagnosis);
  return diagnosis;
}

}  // namespace weightmap
