// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <string>
#include <string_view>

#include "weightmap/diagnosis.h"

#include "base/escaped.h"
#include "base/text.h"
#include "runtime/diagnosis_keys.h"

namespace weightmap {
namespace {

// Keys of a kind; causes. Where a remedy mends all, a few are examples enough.
constexpr std::size_t kMostShown = 10;
constexpr std::size_t kMostExamples = 3;
constexpr std::string_view kPlainInShell =
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./-+=:,@%";

bool is_printable_ascii(char letter) {
  return letter >= ' ' && letter <= '~';
}

// `$'...'`, which bash, zsh and POSIX of 2024 know, for what would not survive a terminal.
std::string escaped_word(std::string_view text) {
  constexpr std::string_view kDigits = "01234567";
  std::string word = "$'";
  for (const char letter : text) {
    if (letter == '\'' || letter == '\\') {
      word += concat('\\', letter);
    } else if (is_printable_ascii(letter)) {
      word += letter;
    } else {
      const auto byte = static_cast<unsigned char>(letter);
      word += concat('\\', kDigits[byte >> 6U], kDigits[byte >> 3U & 7U], kDigits[byte & 7U]);
    }
  }
  return word + "'";
}

std::string shell_word(std::string_view text) {
  const bool is_plain = text.find_first_not_of(kPlainInShell) == std::string_view::npos;
  if (is_plain && !text.empty()) return std::string(text);
  const bool is_quotable =
      std::ranges::all_of(text, is_printable_ascii) && text.find('\'') == std::string_view::npos;
  return is_quotable ? concat("'", text, "'") : escaped_word(text);
}

std::string more_text(std::size_t count, std::size_t shown) {
  return count > shown ? concat("\n  ... and ", count - shown, " more") : "";
}

// One line for each of the first few.
template <typename T, typename Line>
std::string list_lines(const std::vector<T>& items, std::size_t most, const Line& line) {
  std::string text;
  for (std::size_t i = 0; i < std::min(items.size(), most); ++i)
    text += line(items[i]);
  return text + more_text(items.size(), most);
}

std::string counts_text(const Diagnosis& diagnosis) {
  const bool has_keys = diagnosis.wanted + diagnosis.found > 0;
  if (!has_keys && !diagnosis.failures.empty()) return "the keys were not compared";
  std::string text = concat(counted_keys(diagnosis.wanted), " wanted, ", diagnosis.found,
                            " found: ", diagnosis.matched, " fit");
  const auto add = [&](std::size_t count, std::string_view what) {
    if (count > 0) text += concat(", ", count, " ", what);
  };
  add(diagnosis.missing.size(), "missing");
  add(diagnosis.unexpected.size(), "unexpected");
  add(diagnosis.mismatched.size(), "mismatched");
  add(diagnosis.passed_over, "of another size, which is ignored");
  if (diagnosis.is_edited) text += "\nkeys are as hooks of the module have left them";
  return text;
}

std::string remedy_text(const Diagnosis& diagnosis) {
  if (diagnosis.remedy.empty()) return {};
  const std::string result = diagnosis.mended == diagnosis.wanted
                                 ? std::string("all wanted keys")
                                 : concat(diagnosis.mended, " of ", diagnosis.wanted, " keys");
  return concat("\nremedy: convert with ", diagnosis.remedy.command_text(), "\n  then ", result,
                diagnosis.mended == 1 ? " fits" : " fit");
}

std::string missing_line(const MissingKey& missing) {
  const std::string like = missing.nearest.empty() ? "" : ", like " + quoted(missing.nearest);
  return concat("\n  ", quoted(missing.key), like);
}

std::string unexpected_line(const std::string& key) {
  return concat("\n  ", quoted(key));
}

std::string mismatched_line(const MismatchedKey& mismatched) {
  return concat("\n  ", quoted(mismatched.key), ": ", escaped(mismatched.text));
}

std::string failure_line(const std::string& failure) {
  return concat("\n  ", escaped(failure));
}

std::string cause_line(const DiagnosisCause& cause) {
  return concat("\ncause: ", cause.text, " (", counted_keys(cause.keys), ")");
}

}  // namespace

std::string_view cause_kind_name(DiagnosisCause::Kind kind) {
  constexpr std::array<std::string_view, 17> kNames = {
      "extra_prefix",    "lacking_prefix",  "extra_component",   "lacking_component",
      "renamed",         "shifted_numbers", "transposed",        "other_dtype",
      "missing_subtree", "extra_subtree",   "missing_layers",    "extra_layers",
      "missing_leaf",    "extra_leaf",      "nothing_in_common", "ambiguous",
      "other_numbers",
  };
  return kNames[static_cast<std::size_t>(kind)];
}

std::vector<std::string> Remedy::arguments() const {
  std::vector<std::string> arguments;
  if (!strip_prefix.empty()) {
    arguments.emplace_back("--strip-prefix");
    arguments.push_back(strip_prefix);
  }
  for (const RenameRule& rule : rename) {
    arguments.emplace_back("--rename");
    arguments.push_back(concat(rule.pattern, "=", rule.replacement));
  }
  if (float_dtype) {
    arguments.emplace_back("--dtype");
    arguments.emplace_back(dtype_name(*float_dtype));
  }
  return arguments;
}

std::string Remedy::command_text() const {
  std::string text;
  for (const std::string& argument : arguments())
    text += concat(text.empty() ? "" : " ", shell_word(argument));
  return text;
}

std::string Diagnosis::text() const {
  std::string text =
      counts_text(*this) + list_lines(causes, kMostShown, cause_line) + remedy_text(*this);
  const bool is_mended = !remedy.empty() && mended == wanted;
  const std::size_t most = is_mended ? kMostExamples : kMostShown;
  const auto add = [&](std::string_view title, const auto& items, const auto& line) {
    if (!items.empty()) text += concat("\n", title, list_lines(items, most, line));
  };
  add("missing:", missing, missing_line);
  add("unexpected:", unexpected, unexpected_line);
  add("mismatched, found vs wanted:", mismatched, mismatched_line);
  add("failed:", failures, failure_line);
  return text;
}

}  // namespace weightmap
