// SPDX-License-Identifier: Apache-2.0
#include "weightmap/diff.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <iterator>
#include <memory>

#include <CLI/CLI.hpp>

#include "weightmap/weight_file.h"

#include "arguments.h"
#include "command.h"
#include "key_diff.h"
#include "key_list.h"
#include "output.h"
#include "progress.h"
#include "stop_signal.h"
#include "terminal.h"
#include "value.h"

namespace weightmap::tool {
namespace {

constexpr const char* kExamples =
    "What is compared: names, dtypes, shapes, strides, flags, every element, which names\n"
    "share their elements, versions of modules, and all values beside the tensors with their\n"
    "order. Not compared: alignment, devices, views that overlap in part. Weight files are\n"
    "believed their digests: verify checks these.\n\n"
    "Examples:\n"
    "  weightmap diff model.pt model.wmap\n"
    "  weightmap diff epoch1.pt epoch2.pt --root model\n"
    "  weightmap diff model.pt model.safetensors --tensors\n"
    "  weightmap diff a.wmap b.wmap --json | jq -r '.tensors[].name'\n"
    "  weightmap diff --keys checkpoint.pt model.json    # does it fit? inspect --spec wrote B\n\n"
    "Exit codes: 0 equal or fits, 1 different or does not, 2 failed or wrong usage\n";

struct Arguments {
  std::string first;
  std::string second;
  std::string root;
  DiffOptions options;
  bool keys = false;
  bool not_strict = false;
  bool ignore_dtype = false;
  Style style = Style::kText;
};

struct Outcome {
  DiffReport report;
  double seconds = 0;
};

bool has_no_root(const std::string& path) {
  return is_spec_or_names(path) || WeightFile::open(path, look_only()).has_value();
}

// --root is for both where they are checkpoints; --root-a and --root-b overrule it.
void spread_root(Arguments& arguments) {
  if (arguments.root.empty()) return;
  const bool first_has_none = has_no_root(arguments.first);
  const bool second_has_none = has_no_root(arguments.second);
  std::string& first = arguments.options.first.root;
  std::string& second = arguments.options.second.root;
  if (first.empty() && (!first_has_none || second_has_none)) first = arguments.root;
  if (second.empty() && !second_has_none) second = arguments.root;
}

Result<Outcome> compare(const Arguments& arguments) {
  Progress progress("comparing");
  DiffOptions options = arguments.options;
  options.progress = [&](auto done, auto total) { return progress.update(done, total); };
  auto report = diff(arguments.first, arguments.second, options);
  if (!report) return report.error();
  return Outcome{std::move(*report), progress.seconds()};
}

struct Row {
  std::string what;
  std::string name;
  std::string detail;
};

std::string versus(std::string_view first, std::string_view second) {
  return fmt::format("{} vs {}", printable(first), printable(second));
}

std::string changes_text(const ElementChanges& changes) {
  std::string text = fmt::format("{} of {}", changes.changed, counted(changes.elements, "element"));
  if (changes.largest) text += fmt::format(", largest difference {:.6g}", *changes.largest);
  if (changes.nan_only_in_first > 0) {
    text += fmt::format(", NaN only in A: {}", changes.nan_only_in_first);
  }
  if (changes.nan_only_in_second > 0) {
    text += fmt::format(", NaN only in B: {}", changes.nan_only_in_second);
  }
  return text;
}

void add_tensor_rows(const TensorDifference& tensor, std::vector<Row>& rows) {
  const std::string part = tensor.part.empty() ? "" : "." + tensor.part;
  const std::string name = printable(tensor.name + part);
  for (const FactDifference& fact : tensor.facts) {
    rows.push_back(
        {std::string(tensor_fact_name(fact.fact)), name, versus(fact.first, fact.second)});
  }
  if (tensor.elements) rows.push_back({"elements", name, changes_text(*tensor.elements)});
}

void add_tie_rows(const std::vector<std::vector<std::string>>& ties,
                  const char* where,
                  std::vector<Row>& rows) {
  for (const std::vector<std::string>& names : ties)
    rows.push_back({"tie", printable(fmt::format("{}", fmt::join(names, " = "))), where});
}

std::string version_text(const std::optional<std::int64_t>& version) {
  return version ? std::to_string(*version) : "nothing";
}

std::string place_text(const std::string& path) {
  return path.empty() ? "(root)" : printable(path);
}

std::vector<Row> rows_of(const DiffReport& report) {
  std::vector<Row> rows;
  for (const std::string& name : report.only_in_first)
    rows.push_back({"only in A", printable(name), ""});
  for (const std::string& name : report.only_in_second)
    rows.push_back({"only in B", printable(name), ""});
  for (const TensorDifference& tensor : report.tensors)
    add_tensor_rows(tensor, rows);
  add_tie_rows(report.ties_only_in_first, "only in A", rows);
  add_tie_rows(report.ties_only_in_second, "only in B", rows);
  for (const ModuleDifference& module : report.modules) {
    rows.push_back({"version", place_text(module.path),
                    versus(version_text(module.first), version_text(module.second))});
  }
  for (const ValueDifference& value : report.values)
    rows.push_back({"value", place_text(value.path), versus(value.first, value.second)});
  if (report.more_values) rows.push_back({"value", "...", "there may be more"});
  return rows;
}

void print_rows(const std::vector<Row>& rows, const Screen& screen) {
  constexpr std::size_t kWidest = 48;
  std::size_t names = 0;
  for (const Row& row : rows) {
    if (!row.detail.empty()) names = std::max(names, std::min(width(row.name), kWidest));
  }
  for (const Row& row : rows) {
    const std::string line = row.detail.empty() ? fmt::format("{:<9}  {}", row.what, row.name)
                                                : fmt::format("{:<9}  {:<{}}  {}", row.what,
                                                              row.name, names, row.detail);
    print("{}\n", cut_end(line, screen.columns));
  }
  if (!rows.empty()) put("\n");
}

// Names with a difference: parts of a composite belong to it.
std::size_t different_names(const DiffReport& report) {
  std::size_t count = 0;
  std::string_view last;
  for (const TensorDifference& tensor : report.tensors) {
    if (count == 0 || tensor.name != last) ++count;
    last = tensor.name;
  }
  return count;
}

std::string totals_text(const DiffReport& report) {
  std::vector<std::string> totals;
  const auto add = [&](std::size_t count, std::string text) {
    if (count > 0) totals.push_back(std::move(text));
  };
  const std::size_t different = different_names(report);
  add(different, fmt::format("{} of {}", different, counted(report.compared, "tensor")));
  add(report.only_in_first.size(), fmt::format("{} only in A", report.only_in_first.size()));
  add(report.only_in_second.size(), fmt::format("{} only in B", report.only_in_second.size()));
  const std::size_t ties = report.ties_only_in_first.size() + report.ties_only_in_second.size();
  add(ties, counted(ties, "tie"));
  add(report.modules.size(), counted(report.modules.size(), "version"));
  const bool more = report.more_values;
  add(report.values.size() + (more ? 1 : 0),
      counted(report.values.size(), "value") + (more ? " and perhaps more" : ""));
  return fmt::format("{}", fmt::join(totals, ", "));
}

void print_text(const Outcome& outcome, bool only_tensors) {
  const DiffReport& report = outcome.report;
  const Screen screen = screen_of(stdout);
  print_rows(rows_of(report), screen);
  const auto print_source = [](const char* letter, const DiffSource& source) {
    print("{:<9}  {}, {}, {}\n", letter, printable(source.path), source.kind,
          counted(source.tensors, "tensor"));
  };
  print_source("A", report.first);
  print_source("B", report.second);
  if (report.read_bytes > 0) {
    print("read       {} of each, {}\n", human_bytes(report.read_bytes),
          human_pace(report.read_bytes, outcome.seconds));
  }
  if (!report.equal()) {
    print("{}  {}\n", coloured(screen, Colour::kRed, "different"), totals_text(report));
    return;
  }
  const char* more = only_tensors ? "" : ", ties, versions and values";
  print("{}      {}{}\n", coloured(screen, Colour::kGreen, "equal"),
        counted(report.compared, "tensor"), more);
}

Json elements_json(const ElementChanges& changes) {
  return {{"elements", changes.elements},
          {"changed", changes.changed},
          {"largest", changes.largest ? real_json(*changes.largest) : Json()},
          {"nan_only_in_first", changes.nan_only_in_first},
          {"nan_only_in_second", changes.nan_only_in_second}};
}

Json tensor_json(const TensorDifference& tensor) {
  Json facts = Json::object();
  for (const FactDifference& fact : tensor.facts) {
    facts[std::string(tensor_fact_name(fact.fact))] = Json::array({fact.first, fact.second});
  }
  return {{"name", tensor.name},
          {"part", tensor.part.empty() ? Json() : Json(tensor.part)},
          {"facts", std::move(facts)},
          {"elements", tensor.elements ? elements_json(*tensor.elements) : Json()}};
}

Json module_json(const ModuleDifference& module) {
  const auto version = [](const auto& of) { return of ? Json(*of) : Json(); };
  return {
      {"path", module.path}, {"first", version(module.first)}, {"second", version(module.second)}};
}

Json value_difference_json(const ValueDifference& value) {
  return {{"path", value.path}, {"first", value.first}, {"second", value.second}};
}

Json source_json(const DiffSource& source) {
  return {{"path", source.path}, {"kind", source.kind}, {"tensors", source.tensors}};
}

template <typename T>
Json list_json(const std::vector<T>& items, Json (*json)(const T&)) {
  Json list = Json::array();
  std::ranges::transform(items, std::back_inserter(list), json);
  return list;
}

void print_json_outcome(const Outcome& outcome) {
  const DiffReport& report = outcome.report;
  print_json({{"equal", report.equal()},
              {"first", source_json(report.first)},
              {"second", source_json(report.second)},
              {"compared", report.compared},
              {"only_in_first", report.only_in_first},
              {"only_in_second", report.only_in_second},
              {"tensors", list_json(report.tensors, tensor_json)},
              {"ties_only_in_first", report.ties_only_in_first},
              {"ties_only_in_second", report.ties_only_in_second},
              {"modules", list_json(report.modules, module_json)},
              {"values", list_json(report.values, value_difference_json)},
              {"more_values", report.more_values},
              {"read_bytes", report.read_bytes},
              {"seconds", outcome.seconds}});
}

int compare_keys(const Arguments& arguments) {
  return diff_keys(
      {.file = arguments.first,
       .against = arguments.second,
       .file_options = arguments.options.first,
       .against_options = arguments.options.second,
       .options = {.strict = !arguments.not_strict, .check_dtypes = !arguments.ignore_dtype},
       .style = arguments.style});
}

int run(Arguments& arguments) {
  spread_root(arguments);
  if (arguments.keys) return compare_keys(arguments);
  catch_stop_signals();
  const auto outcome = compare(arguments);
  if (!outcome) return report(outcome.error(), arguments.style, {}, kDiffFailed);
  const bool json = arguments.style == Style::kJson;
  json ? print_json_outcome(*outcome) : print_text(*outcome, arguments.options.only_tensors);
  return outcome->report.equal() ? kDone : kDifferent;
}

}  // namespace

Run add_diff(CLI::App& app) {
  const auto arguments = std::make_shared<Arguments>();
  add_operand(app, arguments->first, "A", "a checkpoint or a weight file")->required();
  add_operand(app, arguments->second, "B", "what it is compared with, of any kind")->required();
  add_key(app, arguments->root, "--root", "of checkpoints: only what is under this dotted key");
  add_key(app, arguments->options.first.root, "--root-a", "the same of A alone");
  add_key(app, arguments->options.second.root, "--root-b", "the same of B alone");
  app.add_flag("--tensors", arguments->options.only_tensors,
               "compare only names, dtypes, shapes and elements: what every format has");
  auto* const keys =
      app.add_flag(
             "--keys", arguments->keys,
             "tell whether A fits where B is wanted: names, shapes and dtypes alone, why not, "
             "and what mends it; either may be a spec, too, or a list of names, one a line, in a "
             "file whose name ends in .txt")
          ->excludes("--tensors");
  app.add_flag("--not-strict", arguments->not_strict,
               "with --keys: missing and unexpected keys are no failure unless nothing fits")
      ->needs(keys);
  app.add_flag("--ignore-dtype", arguments->ignore_dtype, "with --keys: do not compare dtypes")
      ->needs(keys);
  add_json(app, arguments->style);
  app.footer(kExamples);
  return [arguments] { return run(*arguments); };
}

}  // namespace weightmap::tool
