// SPDX-License-Identifier: Apache-2.0
#include <memory>

#include <CLI/CLI.hpp>

#include "arguments.h"
#include "command.h"
#include "globals.h"
#include "listing.h"
#include "output.h"

namespace weightmap::tool {
namespace {

constexpr const char* kExamples =
    "Examples:\n"
    "  weightmap inspect model.wmap\n"
    "  weightmap inspect checkpoint.pt --root model      # what convert would write\n"
    "  weightmap inspect checkpoint.pt --globals         # the classes that it names\n"
    "  weightmap inspect model.wmap --json | jq -r '.tensors[].name'\n";

struct Arguments {
  std::string path;
  CheckpointOptions options;
  bool globals = false;
  Style style = Style::kText;
};

Result<Listing> list_opened(const WeightFile& file) {
  auto values = file.values();
  if (!values) return values.error();
  Listing listing = list_weight_file(file);
  listing.values = std::move(*values);
  return listing;
}

Result<Listing> list_any(const Arguments& arguments) {
  const auto file = WeightFile::open(arguments.path, {.need_data_files = false});
  if (file && !arguments.options.root.empty()) {
    return Error(ErrorCode::kInvalidArgument,
                 arguments.path + ": --root is for checkpoints, this is a weight file");
  }
  if (file) return list_opened(*file);
  const bool is_other = file.error().code() == ErrorCode::kWrongKind ||
                        file.error().code() == ErrorCode::kInvalidArgument;  // a directory
  if (!is_other) return file.error();
  auto content = read_checkpoint(arguments.path, arguments.options);
  if (!content) return content.error();
  return list_checkpoint(arguments.path, std::move(*content));
}

int run(const Arguments& arguments) {
  if (arguments.globals) return show_globals(arguments.path, arguments.style);
  const auto listing = list_any(arguments);
  if (!listing) return report(listing.error(), arguments.style);
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
  add_json(app, arguments->style);
  app.footer(kExamples);
  return [arguments] { return run(*arguments); };
}

}  // namespace weightmap::tool
