// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <cstdio>
#include <exception>

#include <CLI/CLI.hpp>

#include "command.h"
#include "output.h"

namespace weightmap::tool {
namespace {

constexpr std::array kCommands{
    Command{"convert", "Write a PyTorch checkpoint as a weight file", add_convert},
    Command{"inspect", "Show what is in a weight file or a checkpoint", add_inspect},
    Command{"verify", "Check every byte of a weight file", add_verify},
};

constexpr const char* kExamples =
    "Examples:\n"
    "  weightmap convert model.pt       # writes model.wmap\n"
    "  weightmap inspect model.wmap\n"
    "  weightmap verify model.wmap\n\n"
    "Exit codes: 0 done, 1 failed or damaged, 2 wrong usage, 128 + n ended by signal n\n";

int run_program(int argc, char** argv) {
  CLI::App app("Converts PyTorch checkpoints into files that are mapped, not loaded.", "weightmap");
  app.set_version_flag("--version", "weightmap " WEIGHTMAP_VERSION);
  app.require_subcommand(0, 1);
  app.footer(kExamples);
  int code = kDone;
  for (const Command& command : kCommands) {
    CLI::App* parser = app.add_subcommand(command.name, command.summary);
    parser->callback([&code, run = command.add(*parser)] { code = run(); });
  }
  try {
    app.parse(argc, argv);
    if (app.get_subcommands().empty()) throw CLI::RequiredError("a command");
  } catch (const CLI::CallForVersion& version) {
    print("{}\n", version.what());
  } catch (const CLI::CallForHelp&) {
    put(app.help());
  } catch (const CLI::ParseError& error) {
    const auto chosen = app.get_subcommands();
    return report_wrong_usage(error.what(), chosen.empty() ? "" : chosen[0]->get_name());
  }
  return finish_output(code);
}

}  // namespace
}  // namespace weightmap::tool

int main(int argc, char** argv) try {
  return weightmap::tool::run_program(argc, argv);
} catch (const std::exception& error) {
  std::fprintf(stderr, "weightmap: %s\n", error.what());
  return weightmap::tool::kFailed;
}
