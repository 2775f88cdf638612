// SPDX-License-Identifier: Apache-2.0
#include "weightmap/warm.h"

#include <memory>
#include <numeric>

#include <CLI/CLI.hpp>

#include "arguments.h"
#include "command.h"
#include "hint.h"
#include "output.h"
#include "progress.h"
#include "terminal.h"

namespace weightmap::tool {
namespace {

constexpr const char* kExamples =
    "What is in the page cache every process shares; what is not, the first to touch it waits "
    "for.\n"
    "Pages of 2 MiB, which convert leaves, are mapped some 50 times faster than those that cp or "
    "a\n"
    "download leaves: these are dropped and read anew, unless a process has them in use.\n\n"
    "Examples:\n"
    "  weightmap warm model.wmap           # before the workers start\n"
    "  weightmap warm model.wmap --json | jq '.after[].huge_bytes'\n";

struct Arguments {
  std::string path;
  Style style = Style::kText;
};

struct Outcome {
  WarmReport report;
  double seconds = 0;
};

Result<Outcome> warm_up(const std::string& path) {
  const auto file = WeightFile::open(path, {.mapping = Mapping::kShared});
  if (!file) return file.error();
  Progress progress("reading");
  WarmOptions options;
  options.progress = [&](auto done, auto total) { return progress.update(done, total); };
  auto report = warm(*file, options);
  if (!report) return report.error();
  return Outcome{std::move(*report), progress.seconds()};
}

void print_states(const char* when, const std::vector<CacheState>& states) {
  for (const CacheState& state : states) {
    print("{:<9}{}: {}, {:.1f} % in the page cache", when, printable(state.path),
          human_bytes(state.size_bytes), percent(state.cached_bytes, state.size_bytes));
    if (state.huge_bytes) {
      print(", {:.1f} % in pages of 2 MiB", percent(*state.huge_bytes, state.size_bytes));
    }
    put("\n");
  }
}

std::uint64_t size_of(const std::vector<CacheState>& states) {
  return std::accumulate(
      states.begin(), states.end(), std::uint64_t{0},
      [](std::uint64_t sum, const CacheState& state) { return sum + state.size_bytes; });
}

void print_text(const Outcome& outcome) {
  print_states("before", outcome.report.before);
  print_states("after", outcome.report.after);
  if (outcome.report.was_dropped) put("dropped  what was there in small pages, to read it anew\n");
  print("time     {}\n", human_pace(size_of(outcome.report.after), outcome.seconds));
}

Json states_json(const std::vector<CacheState>& states) {
  Json list = Json::array();
  for (const CacheState& state : states) {
    list.push_back({{"path", state.path},
                    {"size_bytes", state.size_bytes},
                    {"cached_bytes", state.cached_bytes},
                    {"huge_bytes", state.huge_bytes ? Json(*state.huge_bytes) : Json()}});
  }
  return list;
}

void print_json_outcome(const Outcome& outcome) {
  print_json({{"before", states_json(outcome.report.before)},
              {"after", states_json(outcome.report.after)},
              {"was_dropped", outcome.report.was_dropped},
              {"seconds", outcome.seconds}});
}

int run(const Arguments& arguments) {
  const auto outcome = warm_up(arguments.path);
  if (!outcome) {
    const Error& error = outcome.error();
    return report(error, arguments.style, hint_for_weight_file(error, arguments.path));
  }
  arguments.style == Style::kJson ? print_json_outcome(*outcome) : print_text(*outcome);
  return kDone;
}

}  // namespace

Run add_warm(CLI::App& app) {
  const auto arguments = std::make_shared<Arguments>();
  add_operand(app, arguments->path, "FILE", "a weight file")->required();
  add_json(app, arguments->style);
  app.footer(kExamples);
  return [arguments] { return run(*arguments); };
}

}  // namespace weightmap::tool
