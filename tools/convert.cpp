// SPDX-License-Identifier: Apache-2.0
#include <filesystem>
#include <memory>

#include <CLI/CLI.hpp>

#include "arguments.h"
#include "command.h"
#include "listing.h"
#include "output.h"
#include "progress.h"
#include "stop_signal.h"

namespace weightmap::tool {
namespace {

constexpr const char* kExamples =
    "Examples:\n"
    "  weightmap convert model.pt                        # writes model.wmap\n"
    "  weightmap convert checkpoint.pt --root model      # only the model, no optimizer\n"
    "  weightmap convert model.pt --align 2MiB           # each segment on a huge page's border\n";

struct Arguments {
  std::string source, target;
  bool no_sync = false;
  Style style = Style::kText;
  ConvertOptions options;
};

struct Outcome {
  ConvertReport report;
  Listing written;  // what the new file says when it is opened
  double seconds = 0;
};

Result<Outcome> convert(const Arguments& arguments) {
  Progress progress("converting");
  ConvertOptions options = arguments.options;
  options.progress = [&](auto done, auto total) { return progress.update(done, total); };
  auto report = convert_checkpoint(arguments.source, arguments.target, options);
  if (!report) return report.error();
  const double seconds = progress.seconds();
  const auto file = WeightFile::open(arguments.target);
  if (!file) return file.error();
  return Outcome{std::move(*report), list_weight_file(*file), seconds};
}

void print_text(const Arguments& arguments, const Outcome& outcome) {
  const ConvertReport& report = outcome.report;
  print("read     {}, {}\n", printable(arguments.source), report.source_kind);
  print("written  {}, {}\n", printable(arguments.target), human_bytes(report.file_bytes));
  print("data     {}\n", totals_text(outcome.written));
  print("time     {}\n", human_pace(report.data_bytes, outcome.seconds));
  print("digest   {}\n", report.digest.hex());
  for (const std::string& name : report.opaque_classes) {
    print("opaque   {}: kept as a record that can be looked at but not loaded\n", printable(name));
  }
}

void print_json_outcome(const Arguments& arguments, const Outcome& outcome) {
  const ConvertReport& report = outcome.report;
  print_json({{"source", arguments.source},
              {"source_kind", report.source_kind},
              {"target", arguments.target},
              {"tensors", report.tensor_count},
              {"segments", report.segment_count},
              {"data_bytes", report.data_bytes},
              {"shared_bytes", shared_bytes(outcome.written)},
              {"file_bytes", report.file_bytes},
              {"alignment_bytes", arguments.options.alignment_bytes},
              {"digest", report.digest.hex()},
              {"opaque_classes", report.opaque_classes},
              {"seconds", outcome.seconds}});
}

std::string_view hint_for(const Error& error) {
  return error.code() == ErrorCode::kExists ? "to replace it all the same, add --force" : "";
}

int run(Arguments& arguments) {
  if (arguments.target.empty()) {
    arguments.target = std::filesystem::path(arguments.source).replace_extension(".wmap");
  }
  arguments.options.sync = !arguments.no_sync;
  catch_stop_signals();
  const auto outcome = convert(arguments);
  if (!outcome) return report(outcome.error(), arguments.style, hint_for(outcome.error()));
  const bool json = arguments.style == Style::kJson;
  json ? print_json_outcome(arguments, *outcome) : print_text(arguments, *outcome);
  return kDone;
}

}  // namespace

Run add_convert(CLI::App& app) {
  const auto arguments = std::make_shared<Arguments>();
  ConvertOptions& options = arguments->options;
  add_operand(app, arguments->source, "IN", "the checkpoint, as torch.save wrote it")->required();
  add_operand(app, arguments->target, "OUT",
              "the weight file; if absent, IN with .wmap as extension");
  add_key(app, options.checkpoint.root, "--root", "take only what is under this dotted key");
  add_alignment(app, options.alignment_bytes, 64, "where segments begin");
  app.add_flag("--force", options.replace_any, "replace OUT even if it is no weight file");
  app.add_flag("--no-sync", arguments->no_sync, "do not wait until the disk has the file");
  app.add_flag("--strict-globals", options.checkpoint.strict_globals,
               "refuse every class that torch.load(weights_only=True) refuses");
  add_json(app, arguments->style);
  app.footer(kExamples);
  return [arguments] { return run(*arguments); };
}

}  // namespace weightmap::tool
