// SPDX-License-Identifier: Apache-2.0
#include "weightmap/export.h"

#include <array>
#include <filesystem>
#include <memory>
#include <optional>

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
    "Examples:\n"
    "  weightmap export model.wmap model.pt              # as torch.save writes it\n"
    "  weightmap export model.wmap model.safetensors --align 4096 --drop-extras\n";

struct Format {
  std::string_view name;
  std::array<std::string_view, 4> extensions;
  Result<ExportReport> (*run)(const WeightFile&, const std::string&, const ExportOptions&);
};
constexpr std::array kFormats{
    Format{"torch", {".pt", ".pth", ".ckpt", ".bin"}, export_torch},
    Format{"safetensors", {".safetensors"}, export_safetensors},
};

struct Arguments {
  std::string source, target, format;
  bool no_sync = false;
  Style style = Style::kText;
  ExportOptions options;
};

struct Outcome {
  ExportReport report;
  double seconds = 0;
};

const Format* format_of(const Arguments& arguments) {
  const std::string extension = std::filesystem::path(arguments.target).extension();
  for (const Format& format : kFormats) {
    const bool is_named = format.name == arguments.format;
    const bool fits = arguments.format.empty() && !extension.empty() &&
                      std::ranges::find(format.extensions, extension) != format.extensions.end();
    if (is_named || fits) return &format;
  }
  return nullptr;
}

Result<Outcome> run_export(const Arguments& arguments, const Format& format) {
  const auto file = WeightFile::open(arguments.source, {.mapping = Mapping::kShared});
  if (!file) return file.error();
  Progress progress("exporting");
  ExportOptions options = arguments.options;
  options.progress = [&](auto done, auto total) { return progress.update(done, total); };
  auto report = format.run(*file, arguments.target, options);
  if (!report) return report.error();
  return Outcome{std::move(*report), progress.seconds()};
}

void print_text(const Arguments& arguments, const Outcome& outcome) {
  const ExportReport& report = outcome.report;
  print("read     {}, weight file\n", printable(arguments.source));
  print("written  {}, {}\n", printable(arguments.target), human_bytes(report.file_bytes));
  print("data     {}, {}\n", counted(report.tensor_count, "tensor"),
        human_bytes(report.data_bytes));
  print("time     {}\n", human_pace(report.data_bytes, outcome.seconds));
  if (!report.checked) print("unknown  some bytes have no digest to be held against\n");
  for (const std::string& what : report.dropped) {
    print("dropped  {}\n", printable(what));
  }
}

void print_json_outcome(const Arguments& arguments, const Format& format, const Outcome& outcome) {
  const ExportReport& report = outcome.report;
  print_json({{"source", arguments.source},
              {"target", arguments.target},
              {"format", format.name},
              {"tensors", report.tensor_count},
              {"data_bytes", report.data_bytes},
              {"file_bytes", report.file_bytes},
              {"checked", report.checked},
              {"dropped", report.dropped},
              {"seconds", outcome.seconds}});
}

// The option that the message says resolves it, as the command line has it.
std::string hint_for(const Error& error, const std::string& source) {
  constexpr std::array kOptions{
      std::pair{"drop_opaque", "to leave them out, add --drop-opaque"},
      std::pair{"drop_tensors", "to leave them out, add --drop-tensors"},
      std::pair{"drop_extras", "to leave them out, add --drop-extras"},
      std::pair{"contiguous", "to write their elements in row-major order, add --contiguous"},
      std::pair{"duplicate_ties", "to write the bytes once for each, add --duplicate-ties"},
  };
  if (error.code() == ErrorCode::kExists) return "to replace it all the same, add --force";
  if (error.code() == ErrorCode::kWrongKind) return hint_for_weight_file(error, source);
  if (error.code() != ErrorCode::kUnsupported) return {};
  for (const auto& [option, hint] : kOptions) {
    if (error.message().find(std::string("; ") + option) != std::string::npos) return hint;
  }
  return {};
}

int run(Arguments& arguments) {
  const Format* const format = format_of(arguments);
  if (format == nullptr) {
    return report_wrong_usage(printable(arguments.target) +
                                  ": its extension says no format: call it .pt, .pth, .ckpt, .bin "
                                  "or .safetensors, or name a format with --format",
                              "export");
  }
  arguments.options.sync = !arguments.no_sync;
  const auto outcome = run_export(arguments, *format);
  if (!outcome) {
    return report(outcome.error(), arguments.style, hint_for(outcome.error(), arguments.source));
  }
  const bool json = arguments.style == Style::kJson;
  json ? print_json_outcome(arguments, *format, *outcome) : print_text(arguments, *outcome);
  return kDone;
}

}  // namespace

Run add_export(CLI::App& app) {
  const auto arguments = std::make_shared<Arguments>();
  ExportOptions& options = arguments->options;
  add_operand(app, arguments->source, "IN", "the weight file")->required();
  add_operand(app, arguments->target, "OUT",
              "the file to write: .pt, .pth, .ckpt, .bin or .safetensors")
      ->required();
  app.add_option("--format", arguments->format, "whatever OUT is called: torch or safetensors")
      ->type_name("NAME")
      ->check(CLI::IsMember({"torch", "safetensors"}));
  app.add_flag("--drop-opaque", options.drop_opaque,
               "leave out objects of unknown classes, and tensors beside state dicts, instead of "
               "refusing");
  SafetensorsOptions& safetensors = options.safetensors;
  app.add_flag("--contiguous", safetensors.contiguous,
               "safetensors: write strided tensors in row-major order");
  app.add_flag("--duplicate-ties", safetensors.duplicate_ties,
               "safetensors: write bytes that tensors share once for each");
  app.add_flag("--drop-extras", safetensors.drop_extras,
               "safetensors: leave out values that are no tensors, and module versions");
  app.add_flag("--drop-tensors", safetensors.drop_tensors,
               "safetensors: leave out tensors that it cannot hold");
  add_alignment(app, safetensors.alignment_bytes, 8, "safetensors: where the data begins");
  app.add_flag("--force", options.replace_any, "replace OUT even if it is something else");
  add_jobs(app, options.jobs);
  app.add_flag("--no-sync", arguments->no_sync, "do not wait until the disk has the file");
  add_json(app, arguments->style);
  app.footer(kExamples);
  return [arguments] { return run(*arguments); };
}

}  // namespace weightmap::tool
