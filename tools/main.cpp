// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <cstdio>
#include <exception>
#include <new>

#include <CLI/CLI.hpp>

#include "command.h"
#include "output.h"

namespace weightmap::tool {
namespace {

constexpr std::array kCommands{
    Command{"convert", "Write a PyTorch checkpoint as a weight file", add_convert},
    Command{"adopt", "Write an index over a checkpoint that stays where it is", add_adopt},
    Command{"export", "Write a weight file as a PyTorch checkpoint or safetensors", add_export},
    Command{"diff", "Compare two checkpoints or weight files", add_diff, kDiffFailed},
    Command{"inspect", "Show what is in a weight file or a checkpoint", add_inspect},
    Command{"verify", "Check every byte of a weight file", add_verify},
    Command{"warm", "Bring a weight file into the page cache, in large pages", add_warm},
    Command{"stat", "Show who holds what of a weight file", add_stat},
    Command{"publish", "Put a weight file in another's place, and tell who serves that",
            add_publish},
};

constexpr const char* kFooter =
    "Examples:\n"
    "  weightmap convert model.pt       # writes model.wmap\n"
    "  weightmap inspect model.wmap\n\n"
    "Exit codes: 0 done, 1 failed or damaged, 2 wrong usage, 128 + n ended by signal n;\n"
    "of diff: 0 equal, 1 different, 2 failed or wrong usage\n";

// What is out of memory is told as any other failure is.
int run_within_memory(const Run& run, const CLI::App& app, int failed) try {
  return run();
} catch (const std::bad_alloc&) {
  const bool json = app.get_subcommands()[0]->count("--json") > 0;
  return report(Error(ErrorCode::kIo, "there is not enough memory"),
                json ? Style::kJson : Style::kText, {}, failed);
}

int run_program(int argc, char** argv) {
  CLI::App app("Converts PyTorch checkpoints into files that are mapped, not loaded.", "weightmap");
  app.set_version_flag("--version", "weightmap " WEIGHTMAP_VERSION);
  app.require_subcommand(0, 1)->footer(kFooter);
  Run run_chosen;
  int failed = kFailed;
  for (const Command& command : kCommands) {
    CLI::App* parser = app.add_subcommand(command.name, command.summary);
    parser->callback([&, run = command.add(*parser), code = command.failed] {
      run_chosen = run;
      failed = code;
    });
  }
  app.allow_extras();  // not of the commands: words before or instead of one are told first
  try {
    app.parse(argc, argv);
    if (const auto rest = app.remaining(); !rest.empty()) throw CLI::ExtrasError({rest[0]});
    if (!run_chosen) throw CLI::RequiredError("a command");
    return finish_output(run_within_memory(run_chosen, app, failed), failed);
  } catch (const CLI::CallForVersion& version) {
    print("{}\n", version.what());
  } catch (const CLI::CallForHelp&) {
    put(app.help());
  } catch (const CLI::ParseError& error) {
    const auto chosen = app.get_subcommands();
    return report_wrong_usage(error.what(), chosen.empty() ? "" : chosen[0]->get_name());
  }
  return finish_output(kDone);
}

}  // namespace
}  // namespace weightmap::tool

int main(int argc, char** argv) try {
  return weightmap::tool::run_program(argc, argv);
} catch (const std::exception& error) {
  std::fprintf(stderr, "weightmap: %s\n", error.what());
  return weightmap::tool::kFailed;
}
