// SPDX-License-Identifier: Apache-2.0
#include <memory>

#include <CLI/CLI.hpp>

#include "arguments.h"
#include "command.h"
#include "globals.h"
#include "key_list.h"
#include "listing.h"
#include "output.h"

namespace weightmap::tool {
namespace {

constexpr const char* kExamples =
    "Examples:\n"
    "  weightmap inspect model.wmap\n"
    "  weightmap inspect checkpoint.pt --root model      # what convert would write\n"
    "  weightmap inspect checkpoint.pt --globals         # the classes that it names\n"
    "  weightmap inspect model.wmap --spec > model.json  # for diff --keys\n"
    "  weightmap inspect model.wmap --json | jq -r '.tensors[].name'\n";

struct Arguments {
  std::string path;
  CheckpointOptions options;
  bool globals = false;
  bool spec = false;
  Style style = Style::kText;
};

int run(const Arguments& arguments) {
  if (arguments.globals) return show_globals(arguments.path, arguments.style);
  const auto listing = list_any(arguments.path, arguments.options);
  if (!listing) return report(listing.error(), arguments.style);
  if (arguments.spec) {
    print_spec(*listing);
    return kDone;
  }
  const bool json = arguments.style == Style::kJson;
  json ? print_listing_json(*listing) : print_listing_table(*listing, screen_of(stdout));
  return kDone;
}

}  // namespace

Run add_inspect(CLI::App& app) {
  const auto arguments = std::make_shared<Arguments>();
  add_operand(app, arguments->path, "FILE", "a weight file or a checkpoint")->required();
  add_key(app, arguments->options.root, "--root",
          "of a checkpoint: only what is under this dotted key");
  app.add_flag("--globals", arguments->globals,
               "of a checkpoint: every class and function that it names, and whether "
               "torch.load(weights_only=True) loads it")
      ->excludes("--root");
  app.add_flag("--spec", arguments->spec,
               "write names, dtypes and shapes as JSON, with or without --json, which diff --keys "
               "compares with")
      ->excludes("--globals");
  add_json(app, arguments->style);
  app.footer(kExamples);
  return [arguments] { return run(*arguments); };
}

}  // namespace weightmap::tool
