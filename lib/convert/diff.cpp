// SPDX-License-Identifier: Apache-2.0
// Names first, then what is said of each tensor, then elements: only those of which neither a
// digest nor an earlier comparison of the same two places tells.
#include "weightmap/diff.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <map>
#include <memory>
#include <tuple>
#include <unordered_map>
#include <utility>

#include "base/checked.h"
#include "base/text.h"
#include "convert/diff_side.h"
#include "convert/element_comparison.h"
#include "convert/tensor_pair.h"
#include "convert/value_comparison.h"

namespace weightmap {
namespace {

using convert::DiffSide;
using convert::SideTensor;

// How often each byte may be read: tensors may overlap in ever new ways.
constexpr std::uint64_t kTimesRead = 64;
constexpr std::uint64_t kFreeBytes = std::uint64_t{1} << 30U;

// ---- what both have

// What a name stands for on one side.
struct Key {
  const SideTensor* tensor = nullptr;
  const CompositeView* composite = nullptr;

  std::string_view name() const { return tensor ? tensor->view.name() : composite->name(); }
};

std::vector<Key> keys_of(const DiffSide& side) {
  std::vector<Key> keys;
  for (const SideTensor& tensor : side.tensors()) {
    if (!tensor.view.is_part()) keys.push_back({.tensor = &tensor});
  }
  for (const CompositeView& composite : side.composites())
    keys.push_back({.composite = &composite});
  return keys;
}

// A name, or the part of a composite, that is on both sides.
struct Match {
  std::string_view name;
  std::string_view part;  // its role; else empty
  Key first;
  Key second;

  bool are_tensors() const { return first.tensor && second.tensor; }
  bool are_composites() const { return first.composite && second.composite; }
  std::string full_name() const {
    return part.empty() ? std::string(name) : concat(name, ".", part);
  }
};

void match_parts(const Match& whole,
                 const DiffSide& first,
                 const DiffSide& second,
                 std::vector<Match>& matches) {
  for (const CompositePart& part : whole.first.composite->parts()) {
    const auto others = whole.second.composite->parts();
    const auto other = std::ranges::find(others, part.role, &CompositePart::role);
    if (other == others.end()) continue;
    matches.push_back({.name = whole.name,
                       .part = part.role,
                       .first = {.tensor = &first.tensors()[part.number]},
                       .second = {.tensor = &second.tensors()[other->number]}});
  }
}

// Every name that both have, and the parts of composites behind them.
std::vector<Match> match_names(const DiffSide& first, const DiffSide& second, DiffReport& report) {
  const std::vector<Key> first_keys = keys_of(first);
  const std::vector<Key> second_keys = keys_of(second);
  report.first.tensors = static_cast<std::uint32_t>(first_keys.size());
  report.second.tensors = static_cast<std::uint32_t>(second_keys.size());
  std::unordered_map<std::string_view, const Key*> unmatched;
  for (const Key& key : second_keys)
    unmatched.emplace(key.name(), &key);
  std::vector<Match> matches;
  for (const Key& key : first_keys) {
    const auto other = unmatched.find(key.name());
    if (other == unmatched.end()) {
      report.only_in_first.emplace_back(key.name());
      continue;
    }
    const Match match{.name = key.name(), .first = key, .second = *other->second};
    unmatched.erase(other);
    ++report.compared;
    matches.push_back(match);
    if (match.are_composites()) match_parts(match, first, second, matches);
  }
  for (const Key& key : second_keys) {
    if (unmatched.contains(key.name())) report.only_in_second.emplace_back(key.name());
  }
  return matches;
}

// ---- ties

// Tensors that are the same elements have one number; what has no elements has its own.
std::vector<std::uint32_t> places_of(std::span<const Match> matches, Key Match::*side) {
  using Place = std::tuple<std::uint32_t, std::uint64_t, Dtype, bool, bool,
                           std::vector<std::int64_t>, std::vector<std::int64_t>>;
  std::map<Place, std::uint32_t> known;
  std::vector<std::uint32_t> numbers;
  for (std::uint32_t i = 0; i < matches.size(); ++i) {
    const SideTensor* const tensor = (matches[i].*side).tensor;
    if (tensor == nullptr || !tensor->segment || tensor->extent_bytes == 0) {
      numbers.push_back(i);
      continue;
    }
    const TensorView& view = tensor->view;
    Place place{*tensor->segment,
                tensor->offset_bytes,
                view.dtype(),
                view.is_conj(),
                view.is_neg(),
                {view.shape().begin(), view.shape().end()},
                {view.strides().begin(), view.strides().end()}};
    numbers.push_back(known.try_emplace(std::move(place), i).first->second);
  }
  return numbers;
}

// Names of one place here that are not of one place there.
std::vector<std::vector<std::string>> ties_only_in(std::span<const Match> matches,
                                                   std::span<const std::uint32_t> here,
                                                   std::span<const std::uint32_t> there) {
  std::map<std::uint32_t, std::vector<std::uint32_t>> groups;
  for (std::uint32_t i = 0; i < matches.size(); ++i)
    groups[here[i]].push_back(i);
  std::vector<std::vector<std::string>> ties;
  for (const auto& entry : groups) {
    const std::vector<std::uint32_t>& group = entry.second;
    const auto is_elsewhere = [&](std::uint32_t i) { return there[i] != there[group[0]]; };
    if (std::ranges::none_of(group, is_elsewhere)) continue;
    ties.emplace_back();
    for (const std::uint32_t i : group)
      ties.back().push_back(matches[i].full_name());
  }
  return ties;
}

// ---- what is said beside the elements

// Whether what is stored conjugated or negated on one side only can be turned into what it stands
// for.
bool can_be_resolved(const TensorView& first, const TensorView& second) {
  return convert::can_resolve(first.dtype()) && convert::can_resolve(second.dtype());
}

bool have_one_sign(const TensorView& first, const TensorView& second) {
  return first.is_conj() == second.is_conj() && first.is_neg() == second.is_neg();
}

std::string flags_text(const auto& of) {
  std::string text;
  const auto add = [&](bool holds, std::string_view word) {
    if (holds) text += concat(text.empty() ? "" : ", ", word);
  };
  add(of.is_parameter(), "parameter");
  add(of.is_buffer(), "buffer");
  add(of.requires_grad(), "requires_grad");
  if constexpr (requires { of.is_conj(); }) {
    add(of.is_conj(), "conj");
    add(of.is_neg(), "neg");
  }
  return text.empty() ? "none" : text;
}

std::string presence_text(const TensorView& tensor) {
  if (tensor.is_uninitialized()) return "uninitialized";
  return tensor.is_meta() ? "meta" : "values";
}

std::string numbers_text(const CompositeView& composite) {
  std::string text;
  for (const double real : composite.reals()) {
    std::array<char, 32> digits{};
    const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), real).ptr;
    text += concat(text.empty() ? "" : ", ", std::string_view(digits.data(), end));
  }
  for (const std::int64_t integer : composite.integers())
    text += concat(text.empty() ? "" : ", ", integer);
  return text;
}

std::string parts_text(const CompositeView& composite) {
  std::vector<std::string_view> roles;
  for (const CompositePart& part : composite.parts())
    roles.push_back(part.role);
  std::ranges::sort(roles);
  std::string text;
  for (const std::string_view role : roles)
    text += concat(text.empty() ? "" : ", ", role);
  return text;
}

std::string_view kind_text(const Key& key) {
  return key.tensor ? "tensor" : composite_kind_name(key.composite->kind());
}

class Facts {
 public:
  void compare(TensorFact fact, std::string first, std::string second) {
    if (first != second) differences_.push_back({fact, std::move(first), std::move(second)});
  }

  template <typename Of>
  void compare(TensorFact fact, const Of& first, const Of& second, auto text) {
    compare(fact, static_cast<std::string>(text(first)), static_cast<std::string>(text(second)));
  }

  std::vector<FactDifference> take() { return std::move(differences_); }

 private:
  std::vector<FactDifference> differences_;
};

void compare_both_kinds(const auto& first, const auto& second, bool flags, Facts& facts) {
  facts.compare(TensorFact::kDtype, std::string(dtype_name(first.dtype())),
                std::string(dtype_name(second.dtype())));
  facts.compare(TensorFact::kShape, list_text(first.shape()), list_text(second.shape()));
  if (flags) facts.compare(TensorFact::kFlags, flags_text(first), flags_text(second));
}

std::vector<FactDifference> compare_facts(const Match& match, bool only_tensors) {
  Facts facts;
  facts.compare(TensorFact::kKind, match.first, match.second, kind_text);
  if (match.are_tensors()) {
    const TensorView& first = match.first.tensor->view;
    const TensorView& second = match.second.tensor->view;
    const bool stays_unresolved = !have_one_sign(first, second) && !can_be_resolved(first, second);
    compare_both_kinds(first, second, !only_tensors || stays_unresolved, facts);
    const bool is_one_shape = std::ranges::equal(first.shape(), second.shape());
    if (!only_tensors && is_one_shape) {
      facts.compare(TensorFact::kStrides, list_text(first.strides()), list_text(second.strides()));
    }
    facts.compare(TensorFact::kPresence, first, second, presence_text);
  } else if (match.are_composites()) {
    const CompositeView& first = *match.first.composite;
    const CompositeView& second = *match.second.composite;
    compare_both_kinds(first, second, !only_tensors, facts);
    facts.compare(TensorFact::kClass, first, second,
                  [](const CompositeView& composite) { return composite.class_name(); });
    facts.compare(TensorFact::kNumbers, first, second, numbers_text);
    facts.compare(TensorFact::kParts, first, second, parts_text);
  }
  return facts.take();
}

std::vector<ModuleDifference> compare_modules(const DiffSide& first, const DiffSide& second) {
  std::map<std::string_view, ModuleDifference> by_path;
  for (const ModuleVersion& module : first.modules())
    by_path[module.path].first = module.version;
  for (const ModuleVersion& module : second.modules())
    by_path[module.path].second = module.version;
  std::vector<ModuleDifference> differences;
  for (auto& [path, module] : by_path) {
    if (module.first == module.second) continue;
    module.path = path;
    differences.push_back(std::move(module));
  }
  return differences;
}

// ---- elements

bool have_one_layout(const TensorView& first, const TensorView& second) {
  return first.dtype() == second.dtype() && std::ranges::equal(first.strides(), second.strides()) &&
         have_one_sign(first, second);
}

class ElementPass {
 public:
  ElementPass(DiffSide& first, DiffSide& second, const DiffOptions& options)
      : first_(first), second_(second), options_(options) {}

  // What a later compare() of each match costs. Error: kUnsupported.
  Result<void> plan(std::span<const Match> matches,
                    std::span<const std::uint32_t> first_places,
                    std::span<const std::uint32_t> second_places) {
    // Halved, so that the sum fits.
    const std::uint64_t data_bytes = (first_.data_bytes() >> 1U) + (second_.data_bytes() >> 1U);
    const auto most = checked_mul(data_bytes, 2 * kTimesRead).value_or(UINT64_MAX - kFreeBytes);
    for (std::size_t i = 0; i < matches.size(); ++i) {
      places_.emplace_back(first_places[i], second_places[i]);
      if (!is_to_read(matches[i]) || !done_.try_emplace(places_[i]).second) continue;
      const auto size_bytes = pair_of(matches[i]).size_bytes();
      const auto sum = size_bytes ? checked_add(total_bytes_, *size_bytes) : std::nullopt;
      if (!sum || *sum > checked_add(most, kFreeBytes).value_or(UINT64_MAX)) {
        return Error(ErrorCode::kUnsupported,
                     concat(first_.path(), ": tensor ", quoted(matches[i].full_name()),
                            ": it or what stands before it overlaps so often that comparing it "
                            "would not end"));
      }
      total_bytes_ = *sum;
    }
    return tell_progress(0);
  }

  // Nothing where the elements are the same or cannot be compared. REQUIRES: plan() saw the
  // matches.
  Result<std::optional<ElementChanges>> compare(std::span<const Match> matches, std::size_t i) {
    if (!is_to_read(matches[i])) return std::optional<ElementChanges>();
    std::optional<ElementChanges>& known = done_[places_[i]];
    if (!known) {
      Result<ElementChanges> read = compare_elements(matches[i]);
      if (!read) return read.error();
      known = *read;
    }
    return known->changed == 0 ? std::nullopt : known;
  }

  std::uint64_t done_bytes() const { return done_bytes_; }

 private:
  bool is_to_read(const Match& match) const {
    if (!match.are_tensors()) return false;
    const SideTensor& first = *match.first.tensor;
    const SideTensor& second = *match.second.tensor;
    const TensorView& a = first.view;
    const TensorView& b = second.view;
    if (a.has_no_values() || b.has_no_values() || !first.segment || !second.segment) return false;
    if (!std::ranges::equal(a.shape(), b.shape())) return false;
    if (!convert::are_comparable(a.dtype(), b.dtype())) return false;
    if (!have_one_sign(a, b) && !can_be_resolved(a, b)) return false;
    return !is_known_equal(first, second);
  }

  bool is_known_equal(const SideTensor& first, const SideTensor& second) const {
    const Digest digest = first_.digest(*first.segment);
    return digest != Digest{} && digest == second_.digest(*second.segment) &&
           first.offset_bytes == second.offset_bytes && have_one_layout(first.view, second.view);
  }

  convert::TensorPair pair_of(const Match& match) {
    return {first_, *match.first.tensor, second_, *match.second.tensor};
  }

  Result<ElementChanges> compare_elements(const Match& match) {
    const TensorView& first = match.first.tensor->view;
    const TensorView& second = match.second.tensor->view;
    convert::ElementComparison comparison(first.dtype(), second.dtype());
    const bool resolves = !have_one_sign(first, second);
    const auto look = [&](std::span<const std::byte> a,
                          std::span<const std::byte> b) -> Result<void> {
      if (resolves) {
        a = resolved(first, a, first_resolved_);
        b = resolved(second, b, second_resolved_);
      }
      comparison.add(a, b);
      return tell_progress(std::max(a.size(), b.size()));
    };
    convert::TensorPair pair = pair_of(match);
    Result<void> read = pair.read(look);
    if (!read) return read.error();
    ElementChanges changes = comparison.changes();
    changes.elements *= pair.repeats();
    changes.changed *= pair.repeats();
    changes.nan_only_in_first *= pair.repeats();
    changes.nan_only_in_second *= pair.repeats();
    return changes;
  }

  static std::span<const std::byte> resolved(const TensorView& tensor,
                                             std::span<const std::byte> elements,
                                             std::vector<std::byte>& into) {
    into.assign(elements.begin(), elements.end());
    convert::resolve_signs(tensor.dtype(), tensor.is_conj(), tensor.is_neg(), into);
    return into;
  }

  Result<void> tell_progress(std::uint64_t bytes) {
    done_bytes_ += bytes;
    if (!options_.progress || options_.progress(done_bytes_, total_bytes_)) return {};
    return Error(ErrorCode::kCancelled, concat(first_.path(), ": cancelled"));
  }

  using Places = std::pair<std::uint32_t, std::uint32_t>;

  DiffSide& first_;
  DiffSide& second_;
  const DiffOptions& options_;
  std::vector<Places> places_;                            // by match
  std::map<Places, std::optional<ElementChanges>> done_;  // nothing yet: to be read
  std::uint64_t total_bytes_ = 0;
  std::uint64_t done_bytes_ = 0;
  std::vector<std::byte> first_resolved_;
  std::vector<std::byte> second_resolved_;
};

// ---- all of it

Result<void> compare_tensors(DiffSide& first,
                             DiffSide& second,
                             const DiffOptions& options,
                             DiffReport& report) {
  const std::vector<Match> matches = match_names(first, second, report);
  const auto first_places = places_of(matches, &Match::first);
  const auto second_places = places_of(matches, &Match::second);
  if (!options.only_tensors) {
    report.ties_only_in_first = ties_only_in(matches, first_places, second_places);
    report.ties_only_in_second = ties_only_in(matches, second_places, first_places);
  }
  ElementPass pass(first, second, options);
  Result<void> planned = pass.plan(matches, first_places, second_places);
  if (!planned) return planned;
  for (std::size_t i = 0; i < matches.size(); ++i) {
    auto elements = pass.compare(matches, i);
    if (!elements) return elements.error();
    TensorDifference difference{.name = std::string(matches[i].name),
                                .part = std::string(matches[i].part),
                                .facts = compare_facts(matches[i], options.only_tensors),
                                .elements = *elements};
    const bool differs = !difference.facts.empty() || difference.elements;
    if (differs) report.tensors.push_back(std::move(difference));
  }
  report.read_bytes = pass.done_bytes();
  return {};
}

Result<void> compare_values(DiffSide& first, DiffSide& second, DiffReport& report) {
  const Result<ValueGraph> first_values = first.values();
  if (!first_values) return first_values.error();
  const Result<ValueGraph> second_values = second.values();
  if (!second_values) return second_values.error();
  convert::ValueComparison values = convert::compare_values(*first_values, *second_values);
  report.values = std::move(values.differences);
  report.more_values = values.more;
  return {};
}

bool are_wholly_equal(const DiffSide& first, const DiffSide& second) {
  return first.whole_digest() && first.whole_digest() == second.whole_digest();
}

}  // namespace

std::string_view tensor_fact_name(TensorFact fact) {
  constexpr std::array<std::string_view, 9> kNames{
      "kind", "class", "dtype", "shape", "strides", "flags", "presence", "numbers", "parts"};
  return kNames[static_cast<std::size_t>(fact)];
}

bool DiffReport::equal() const {
  return only_in_first.empty() && only_in_second.empty() && tensors.empty() &&
         ties_only_in_first.empty() && ties_only_in_second.empty() && modules.empty() &&
         values.empty() && !more_values;
}

Result<DiffReport> diff(const std::string& first_path,
                        const std::string& second_path,
                        const DiffOptions& options) {
  const auto first = DiffSide::open(first_path, options.first);
  if (!first) return first.error();
  const auto second = DiffSide::open(second_path, options.second);
  if (!second) return second.error();
  DiffReport report{.first = {.path = first_path, .kind = (*first)->kind()},
                    .second = {.path = second_path, .kind = (*second)->kind()}};
  const Result<void> tensors = compare_tensors(**first, **second, options, report);
  if (!tensors) return tensors.error();
  if (options.only_tensors || are_wholly_equal(**first, **second)) return report;
  report.modules = compare_modules(**first, **second);
  const Result<void> values = compare_values(**first, **second, report);
  if (!values) return values.error();
  return report;
}

}  // namespace weightmap
