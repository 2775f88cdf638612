// SPDX-License-Identifier: Apache-2.0
#include "runtime/diagnosis_kinship.h"

#include <algorithm>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "base/text.h"
#include "runtime/diagnosis_keys.h"

namespace weightmap {
namespace {

constexpr double kKinOfWrapper = 3;
constexpr double kKinOfPath = 2;
constexpr std::size_t kShortestStem = 3;  // "emb" stands for "embedding", "k" for nothing

// What stands for what, from the conversions that ship with transformers: of TensorFlow's names
// (modeling_tf_pytorch_utils.py, load_tf_weights_in_gpt2), of Flax's
// (modeling_flax_pytorch_utils.py) and of LLaMA's (convert_llama_weights_to_hf.py).
using Synonym = std::pair<std::string_view, std::string_view>;
constexpr Synonym kComponents[] = {
    {"gamma", "weight"}, {"kernel", "weight"}, {"scale", "weight"}, {"g", "weight"},
    {"w", "weight"},     {"beta", "bias"},     {"b", "bias"},       {"w1", "gate"},
    {"w2", "down"},      {"w3", "up"},         {"wq", "query"},     {"wk", "key"},
    {"wv", "value"},     {"wo", "o"},
};
constexpr Synonym kWords[] = {
    {"q", "query"},        {"k", "key"},   {"v", "value"},
    {"attn", "attention"}, {"ln", "norm"}, {"layernorm", "norm"},
};

template <std::size_t kCount>
std::string_view meaning(const Synonym (&table)[kCount], std::string_view word) {
  const auto known = std::ranges::find(table, word, &Synonym::first);
  return known == std::end(table) ? word : known->second;
}

using Words = std::vector<std::string>;

enum class LetterKind : std::uint8_t { kNone, kDigit, kUpper, kLower };

LetterKind kind_of(char letter) {
  if (letter >= '0' && letter <= '9') return LetterKind::kDigit;
  if (letter >= 'A' && letter <= 'Z') return LetterKind::kUpper;
  const bool is_mark = letter == '_' || letter == '-' || letter == '*' || letter == ' ';
  return is_mark ? LetterKind::kNone : LetterKind::kLower;
}

// "LayerNorm_1" has "layer", "norm" and "1".
void add_words(std::string_view component, Words& words) {
  LetterKind last = LetterKind::kNone;
  for (const char letter : component) {
    const LetterKind kind = kind_of(letter);
    const bool goes_on = kind == last || (last == LetterKind::kUpper && kind == LetterKind::kLower);
    last = kind;
    if (kind == LetterKind::kNone) continue;
    if (!goes_on) words.emplace_back();
    words.back() += static_cast<char>(kind == LetterKind::kUpper ? letter - 'A' + 'a' : letter);
  }
}

Words words_of(std::string_view text, bool is_translated) {
  Words words;
  for (const std::string_view component : components_of(text)) {
    const std::string_view known = is_translated ? meaning(kComponents, component) : component;
    add_words(known, words);
  }
  if (is_translated) {
    for (std::string& word : words)
      word = meaning(kWords, word);
  }
  return words;
}

bool is_same_word(const std::string& a, const std::string& b) {
  if (a == b) return true;
  const auto& [shorter, longer] = a.size() < b.size() ? std::tie(a, b) : std::tie(b, a);
  return shorter.size() >= kShortestStem && longer.starts_with(shorter);
}

// Of all words of both, the part that both have.
double shared_part(const Words& from, Words to) {
  const std::size_t all = from.size() + to.size();
  std::size_t shared = 0;
  for (const std::string& word : from) {
    const auto other = std::ranges::find_if(
        to, [&](const std::string& candidate) { return is_same_word(word, candidate); });
    if (other == to.end()) continue;
    to.erase(other);
    ++shared;
  }
  return all == 0 ? 0 : static_cast<double>(shared) / static_cast<double>(all - shared);
}

// What the longer one has more, at its beginning or its end; nothing if it is not that.
std::string_view added_path(std::string_view shorter, std::string_view longer) {
  if (shorter.empty()) return longer;
  if (longer.ends_with(concat(".", shorter)))
    return longer.substr(0, longer.size() - shorter.size() - 1);
  return longer.starts_with(concat(shorter, ".")) ? longer.substr(shorter.size() + 1) : "";
}

std::string without_digits(std::string_view text) {
  std::string rest(text);
  std::erase_if(rest, [](char letter) { return kind_of(letter) == LetterKind::kDigit; });
  return rest;
}

std::vector<std::string_view> numbers_in(std::string_view text) {
  auto numbers = components_of(text);
  std::erase_if(numbers, [](std::string_view component) { return !is_number(component); });
  return numbers;
}

}  // namespace

bool is_wrapper(std::string_view component) {
  constexpr std::string_view kWrappers[] = {"module", "_orig_mod", "_fsdp_wrapped_module",
                                            "_checkpoint_wrapped_module"};
  return std::ranges::find(kWrappers, component) != std::end(kWrappers);
}

bool differ_by_number(std::string_view from, std::string_view to) {
  if (from == to) return false;
  if (without_digits(from) == without_digits(to)) return true;
  const auto numbers = numbers_in(from);
  const auto others = numbers_in(to);
  return numbers.size() == others.size() && numbers != others;
}

double kinship(std::string_view from, std::string_view to) {
  const bool is_longer = from.size() > to.size();
  const std::string_view added = is_longer ? added_path(to, from) : added_path(from, to);
  if (!added.empty()) {
    return std::ranges::all_of(components_of(added), is_wrapper) ? kKinOfWrapper : kKinOfPath;
  }
  return std::max(shared_part(words_of(from, true), words_of(to, true)),
                  shared_part(words_of(from, false), words_of(to, false)));
}

}  // namespace weightmap
