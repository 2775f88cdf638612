// SPDX-License-Identifier: Apache-2.0
#include <memory>
#include <utility>

#include <CLI/CLI.hpp>

#include "arguments.h"
#include "command.h"
#include "listing.h"
#include "output.h"
#include "progress.h"
#include "target_name.h"

namespace weightmap::tool {
namespace {

constexpr const char* kExamples =
    "Examples:\n"
    "  weightmap convert model.pt                        # writes model.wmap\n"
    "  weightmap convert checkpoint.pt --root model      # only the model, no optimizer\n"
    "  weightmap convert model.pt --include 'encoder.*' --rename 'encoder.*=*'\n"
    "  weightmap convert model.pt --dtype bfloat16       # half the bytes\n"
    "  weightmap convert model.pt --align 2MiB           # each segment on a huge page's border\n"
    "  weightmap convert tuned.pt --base model.wmap      # only what differs from model.wmap\n"
    "  weightmap convert model.pt --max-shard-size 2GiB  # model.wmap and files beside it\n"
    "  weightmap convert tuned.wmap whole.wmap           # one file that needs no other\n";

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
  const auto file = WeightFile::open(arguments.target, {.mapping = Mapping::kShared});
  if (!file) return file.error();
  return Outcome{std::move(*report), list_weight_file(*file), seconds};
}

void print_changes(const ConvertReport& report) {
  if (report.trimmed_bytes > 0) {
    print("trimmed  {} of storages that no tensor refers to\n", human_bytes(report.trimmed_bytes));
  }
  if (report.cast_tensors > 0) print("cast     {} tensors\n", report.cast_tensors);
  for (const RuleUse& use : report.rules)
    print("rule     {}: {} tensors\n", printable(use.rule), use.tensors);
  if (report.left_out_tensors > 0) print("left out {} tensors\n", report.left_out_tensors);
  if (report.left_out_values > 0)
    print("left out {} values that are no tensors\n", report.left_out_values);
}

// The files beside it that the weight file needs from now on.
void print_data_files(const Arguments& arguments, const ConvertReport& report) {
  const std::uint64_t most_bytes = arguments.options.max_shard_bytes;
  for (const ReferredFile& file : report.data_files) {
    const bool is_larger = file.is_shard && file.size_bytes > most_bytes;
    print("{} {} beside it: {}, {} in {}{}\n", file.is_shard ? "shard   " : "keep    ",
          printable(file.name), human_bytes(file.size_bytes), human_bytes(file.data_bytes),
          counted(file.segment_count, "segment"),
          is_larger ? ", larger than wanted: a segment is not divided" : "");
  }
  if (!arguments.options.base.empty()) {
    print("reused   {} in {}, {} written\n", human_bytes(report.reused_bytes),
          counted(report.reused_segments, "segment"),
          human_bytes(report.data_bytes - report.reused_bytes));
  }
  for (const std::string& name : report.left_shards) {
    print("left     {}: of an earlier conversion, {} does not refer to it\n", printable(name),
          printable(arguments.target));
  }
}

void print_text(const Arguments& arguments, const Outcome& outcome) {
  const ConvertReport& report = outcome.report;
  print("read     {}, {}\n", printable(arguments.source), report.source_kind);
  print("written  {}, {}\n", printable(arguments.target), human_bytes(report.file_bytes));
  print("data     {}\n", totals_text(outcome.written));
  print_data_files(arguments, report);
  print_changes(report);
  print("time     {}\n", human_pace(report.data_bytes, outcome.seconds));
  print("digest   {}\n", report.digest.hex());
  for (const std::string& name : report.opaque_classes) {
    print("opaque   {}: kept as a record that can be looked at but not loaded\n", printable(name));
  }
  for (const std::string& location : report.locations) {
    print("device   {}: not kept, a weight file's tensors are in memory\n", printable(location));
  }
  for (const std::string& name : report.crc_mismatches) {
    print("crc      {}: its bytes differ from its CRC: damaged, or written without CRCs\n",
          printable(name));
  }
}

Json rules_json(const std::vector<RuleUse>& rules) {
  Json list = Json::array();
  for (const RuleUse& use : rules)
    list.push_back({{"rule", use.rule}, {"tensors", use.tensors}});
  return list;
}

Json data_files_json(const ConvertReport& report) {
  Json list = Json::array();
  for (const ReferredFile& file : report.data_files) {
    list.push_back({{"name", file.name},
                    {"is_shard", file.is_shard},
                    {"size_bytes", file.size_bytes},
                    {"alignment_bytes", file.alignment_bytes},
                    {"segments", file.segment_count},
                    {"data_bytes", file.data_bytes}});
  }
  return list;
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
              {"data_files", data_files_json(report)},
              {"reused_segments", report.reused_segments},
              {"reused_bytes", report.reused_bytes},
              {"written_bytes", report.data_bytes - report.reused_bytes},
              {"left_shards", report.left_shards},
              {"alignment_bytes", arguments.options.alignment_bytes},
              {"digest", report.digest.hex()},
              {"opaque_classes", report.opaque_classes},
              {"trimmed_bytes", report.trimmed_bytes},
              {"cast_tensors", report.cast_tensors},
              {"rules", rules_json(report.rules)},
              {"left_out_tensors", report.left_out_tensors},
              {"left_out_values", report.left_out_values},
              {"locations", report.locations},
              {"crc_mismatches", report.crc_mismatches},
              {"seconds", outcome.seconds}});
}

std::string_view hint_for(const Error& error) {
  return error.code() == ErrorCode::kExists ? "to replace it all the same, add --force" : "";
}

int run(Arguments& arguments) {
  if (arguments.target.empty()) arguments.target = converted_name(arguments.source);
  arguments.options.sync = !arguments.no_sync;
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
  add_operand(app, arguments->source, "IN",
              "the checkpoint: a file, or the directory or index of several; or a weight file")
      ->required();
  add_operand(app, arguments->target, "OUT",
              "the weight file; if absent, IN with .wmap as extension");
  add_key(app, options.checkpoint.root, "--root", "take only what is under this dotted key");
  add_alignment(app, options.alignment_bytes, 64, "where segments begin");
  add_selection(app, options.selection);
  add_float_dtype(app, options.float_dtype);
  app.add_option(
         "--base", options.base,
         "write only what this weight file beside OUT does not have; refer to it for the rest")
      ->type_name("FILE");
  add_shard_size(app, options.max_shard_bytes);
  app.add_flag("--whole-storages", options.whole_storages,
               "keep bytes of storages that no tensor refers to");
  app.add_flag("--force", options.replace_any, "replace OUT even if it is no weight file");
  add_jobs(app, options.jobs);
  app.add_flag("--no-sync", arguments->no_sync, "do not wait until the disk has the file");
  app.add_flag("--strict-globals", options.checkpoint.strict_globals,
               "refuse every class that torch.load(weights_only=True) refuses");
  app.add_flag("--verify-crc", options.verify_crc,
               "refuse IN if its bytes differ from its CRCs, which PyTorch never looks at");
  add_json(app, arguments->style);
  app.footer(kExamples);
  return [arguments] { return run(*arguments); };
}

}  // namespace weightmap::tool
