// SPDX-License-Identifier: Apache-2.0
#include "convert/diff_facts.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <map>
#include <optional>
#include <utility>

#include "base/text.h"
#include "convert/element_comparison.h"

namespace weightmap::convert {
namespace {

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

std::string_view kind_text(const DiffKey& key) {
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

}  // namespace

bool have_one_sign(const TensorView& first, const TensorView& second) {
  return first.is_conj() == second.is_conj() && first.is_neg() == second.is_neg();
}

bool can_be_resolved(const TensorView& first, const TensorView& second) {
  return can_resolve(first.dtype()) && can_resolve(second.dtype());
}

std::vector<FactDifference> compare_facts(const DiffMatch& match, bool only_tensors) {
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

}  // namespace weightmap::convert
