// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <chrono>
#include <memory>
#include <poll.h>
#include <span>

#include <CLI/CLI.hpp>

#include "weightmap/file_stat.h"

#include "arguments.h"
#include "command.h"
#include "hint.h"
#include "output.h"
#include "stat_view.h"
#include "stop_signal.h"
#include "terminal.h"

namespace weightmap::tool {
namespace {

constexpr const char* kExamples =
    "rss: what a process has of the file in memory; pss: its share of that, which adds up;\n"
    "private: what no other process has; copied: copies of its own; tables: the page tables of\n"
    "the whole process.\n\n"
    "Examples:\n"
    "  weightmap stat model.wmap\n"
    "  weightmap stat model.wmap --watch 5               # until Ctrl-C\n"
    "  weightmap stat model.wmap --watch 60 --json >> model.log\n"
    "  weightmap stat model.wmap --json | jq '[.processes[].mappings[].pss_bytes] | add'\n";

constexpr double kLongestSeconds = 86'400;

struct Arguments {
  std::string path;
  bool watches = false;
  double seconds = 1;
  std::uint64_t count = 0;  // 0: no end
  Style style = Style::kText;
};

// A record has as many cells wherever it is written to.
Screen screen_for(const Arguments& arguments) {
  return arguments.style == Style::kJson ? Screen() : screen_of(stdout);
}

int report_failure(const Error& error, const Arguments& arguments) {
  const std::string hint = hint_for_weight_file(error, arguments.path);
  const bool is_record = arguments.watches && arguments.style == Style::kJson;
  if (!is_record) return report(error, arguments.style, hint);
  print("{}\n", json_text(error_json(error, hint)));
  return kFailed;
}

void put_lines(std::span<const std::string> lines) {
  for (const std::string& line : lines)
    print("{}\n", line);
}

// Follows a file until a signal, the given count or a failure ends it.
class Watch {
 public:
  explicit Watch(const Arguments& arguments) : arguments_(arguments) {}

  int run() {
    catch_stop_signals();
    for (std::uint64_t done = 0; caught_signal() == 0;) {
      const Screen screen = screen_for(arguments_);
      const auto stat = file_stat(arguments_.path, {.most_cells = picture_cells(screen)});
      if (!stat) return report_failure(stat.error(), arguments_);
      show(*stat, screen, done == 0);
      if (!flush_output() || ++done == arguments_.count) break;
      sleep();
    }
    return kDone;
  }

 private:
  void show(const FileStat& stat, const Screen& screen, bool is_first) const {
    if (arguments_.style == Style::kJson) return print("{}\n", json_text(stat_json(stat)));
    const std::vector<std::string> lines = stat_lines(stat, screen);
    if (screen.moves_cursor) return redraw(lines, screen, is_first);
    if (!is_first) put("\n");
    put_lines(lines);
  }

  // Over what was there, line by line, so that nothing flickers.
  static void redraw(std::span<const std::string> lines, const Screen& screen, bool is_first) {
    put(is_first ? "\x1b[2J\x1b[H" : "\x1b[H");
    const std::size_t room = std::max<std::size_t>(screen.rows, 2) - 1;
    for (const std::string& line : lines.first(std::min(lines.size(), room)))
      print("{}\x1b[K\n", line);
    put("\x1b[J");
  }

  // A signal that comes just before a wait does not end it, so waits are short.
  void sleep() const {
    using Clock = std::chrono::steady_clock;
    const auto end = Clock::now() + std::chrono::duration<double>(arguments_.seconds);
    while (caught_signal() == 0 && Clock::now() < end) {
      const std::chrono::duration<double, std::milli> left = end - Clock::now();
      ::poll(nullptr, 0, static_cast<int>(std::clamp(left.count() + 1, 0.0, 100.0)));
    }
  }

  const Arguments& arguments_;
};

int run(const Arguments& arguments) {
  if (arguments.watches) return Watch(arguments).run();
  const Screen screen = screen_for(arguments);
  const auto stat = file_stat(arguments.path, {.most_cells = picture_cells(screen)});
  if (!stat) return report_failure(stat.error(), arguments);
  arguments.style == Style::kJson ? print_json(stat_json(*stat))
                                  : put_lines(stat_lines(*stat, screen));
  return kDone;
}

// Returns what is wrong with it, nothing if it may be taken.
std::string check_seconds(const std::string& text) {
  double seconds = 0;
  if (CLI::detail::lexical_cast(text, seconds) && seconds > 0 && seconds <= kLongestSeconds)
    return {};
  return fmt::format("takes seconds, up to {}, not {}; FILE goes before it", kLongestSeconds, text);
}

}  // namespace

Run add_stat(CLI::App& app) {
  const auto arguments = std::make_shared<Arguments>();
  add_operand(app, arguments->path, "FILE", "a weight file")->required();
  CLI::Option* const watch =
      app.add_option("--watch", arguments->seconds, "again and again, after so long: 1 if absent")
          ->type_name("[SECONDS]")
          ->expected(0, 1)
          ->check(CLI::Validator(check_seconds, ""));
  app.add_option("--count", arguments->count, "end after so many times")
      ->type_name("N")
      ->check(CLI::Range(1, 1'000'000))
      ->needs(watch);
  add_json(app, arguments->style);
  app.footer(kExamples);
  return [arguments, watch] {
    arguments->watches = watch->count() > 0;
    return run(*arguments);
  };
}

}  // namespace weightmap::tool
