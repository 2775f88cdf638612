// SPDX-License-Identifier: Apache-2.0
#include <memory>

#include <CLI/CLI.hpp>

#include "weightmap/convert.h"

#include "arguments.h"
#include "command.h"
#include "output.h"
#include "progress.h"
#include "target_name.h"
#include "terminal.h"

namespace weightmap::tool {
namespace {

constexpr const char* kExamples =
    "Examples:\n"
    "  weightmap adopt model.pt                  # writes model.wmap, which refers to model.pt\n"
    "  weightmap adopt model.pt --no-digest      # in milliseconds, whatever the size\n";

struct Arguments {
  std::string source, target;
  bool no_digest = false;
  bool no_sync = false;
  Style style = Style::kText;
  AdoptOptions options;
};

struct Outcome {
  AdoptReport report;
  double seconds = 0;
};

Result<Outcome> adopt(const Arguments& arguments) {
  Progress progress("adopting");
  AdoptOptions options = arguments.options;
  options.progress = [&](auto done, auto total) { return progress.update(done, total); };
  auto report = adopt_checkpoint(arguments.source, arguments.target, options);
  if (!report) return report.error();
  return Outcome{std::move(*report), progress.seconds()};
}

void print_text(const Arguments& arguments, const Outcome& outcome) {
  const AdoptReport& report = outcome.report;
  print("read     {}, {}\n", printable(arguments.source), report.source_kind);
  print("written  {}, {}\n", printable(arguments.target), human_bytes(report.file_bytes));
  for (const AdoptedFile& file : report.data_files) {
    print("keep     {} beside it, unchanged: {}, alignment {}\n", printable(file.name),
          human_bytes(file.size_bytes), human_bytes(file.alignment_bytes));
  }
  print("data     {} in {}, {}, {}\n", counted(report.tensor_count, "tensor"),
        counted(report.segment_count, "segment"), human_bytes(report.data_bytes),
        arguments.options.digests ? "digests recorded" : "no digests");
  print("time     {:.2f} s\n", outcome.seconds);
  print("digest   {}\n", report.digest.hex());
  for (const std::string& name : report.opaque_classes) {
    print("opaque   {}: kept as a record that can be looked at but not loaded\n", printable(name));
  }
}

void print_json_outcome(const Arguments& arguments, const Outcome& outcome) {
  const AdoptReport& report = outcome.report;
  Json files = Json::array();
  for (const AdoptedFile& file : report.data_files) {
    files.push_back({{"name", file.name},
                     {"size_bytes", file.size_bytes},
                     {"alignment_bytes", file.alignment_bytes}});
  }
  print_json({{"source", arguments.source},
              {"source_kind", report.source_kind},
              {"target", arguments.target},
              {"data_files", std::move(files)},
              {"tensors", report.tensor_count},
              {"segments", report.segment_count},
              {"data_bytes", report.data_bytes},
              {"file_bytes", report.file_bytes},
              {"has_digests", arguments.options.digests},
              {"digest", report.digest.hex()},
              {"opaque_classes", report.opaque_classes},
              {"seconds", outcome.seconds}});
}

std::string_view hint_for(const Error& error) {
  return error.code() == ErrorCode::kExists ? "to replace it all the same, add --force" : "";
}

int run(Arguments& arguments) {
  if (arguments.target.empty()) arguments.target = adopted_name(arguments.source);
  arguments.options.digests = !arguments.no_digest;
  arguments.options.sync = !arguments.no_sync;
  const auto outcome = adopt(arguments);
  if (!outcome) return report(outcome.error(), arguments.style, hint_for(outcome.error()));
  const bool json = arguments.style == Style::kJson;
  json ? print_json_outcome(arguments, *outcome) : print_text(arguments, *outcome);
  return kDone;
}

}  // namespace

Run add_adopt(CLI::App& app) {
  const auto arguments = std::make_shared<Arguments>();
  AdoptOptions& options = arguments->options;
  add_operand(app, arguments->source, "IN", "the checkpoint, which stays where it is")->required();
  add_operand(app, arguments->target, "OUT",
              "the weight file, in the directory of what it refers to; if absent, IN with .wmap as "
              "extension, or model.wmap in the directory IN");
  add_key(app, options.checkpoint.root, "--root", "take only what is under this dotted key");
  app.add_flag("--no-digest", arguments->no_digest,
               "do not read the tensors: verify then cannot check their bytes");
  app.add_flag("--force", options.replace_any, "replace OUT even if it is no weight file");
  app.add_flag("--no-sync", arguments->no_sync, "do not wait until the disk has the file");
  app.add_flag("--strict-globals", options.checkpoint.strict_globals,
               "refuse every class that torch.load(weights_only=True) refuses");
  add_json(app, arguments->style);
  app.footer(kExamples);
  return [arguments] { return run(*arguments); };
}

}  // namespace weightmap::tool
