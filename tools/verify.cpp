// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <iterator>
#include <memory>

#include <CLI/CLI.hpp>

#include "weightmap/weight_file.h"

#include "archive_check.h"
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
    "  weightmap verify model.wmap\n"
    "  weightmap verify model.wmap --json | jq '.damages[].tensors'\n";

struct Arguments {
  std::string path;
  Style style = Style::kText;
};

struct Outcome {
  VerifyReport report;
  WeightFile file;  // which the names in the report belong to
  std::uint64_t segments_by_crc = 0;
  double seconds = 0;
};

Result<Outcome> verify(const std::string& path) {
  const auto file = WeightFile::open(path, {.mapping = Mapping::kShared});
  if (!file) return file.error();
  Progress progress("verifying");
  VerifyOptions options;
  options.progress = [&](auto done, auto total) { return progress.update(done, total); };
  auto report = file->verify(options);
  if (!report) return report.error();
  const auto by_crc = check_archives(*file, *report, options.progress);
  if (!by_crc) return by_crc.error();
  return Outcome{std::move(*report), *file, *by_crc, progress.seconds()};
}

void print_damage(const WeightFile& file, const Damage& damage) {
  const DataFileInfo data_file = file.data_files()[damage.data_file];
  if (damage.data_file != 0) print("{}: ", printable(data_file.name));
  print("bytes {} to {}: {}\n", damage.begin_bytes, damage.end_bytes - 1, printable(damage.what));
  for (const std::string_view name : damage.tensors) {
    print("  {}\n", printable(name));
  }
}

void print_text(const Outcome& outcome) {
  const VerifyReport& report = outcome.report;
  for (const Damage& damage : report.damages) {
    print_damage(outcome.file, damage);
  }
  print("checked  header, index, extras, padding; {}, {}, against digests\n",
        counted(report.segments_checked, "segment"), human_bytes(report.bytes_checked));
  if (outcome.segments_by_crc > 0) {
    print("         {}, against the CRCs of the archive\n",
          counted(outcome.segments_by_crc, "segment"));
  }
  if (report.segments_without_digest > 0) {
    print("unknown  {} without a digest\n", counted(report.segments_without_digest, "segment"));
  }
  print("time     {}\n", human_pace(report.bytes_checked, outcome.seconds));
  if (!report.ok()) return;
  const bool is_whole = report.segments_without_digest == 0;
  const char* verdict = is_whole ? "no damage" : "no damage in what can be checked";
  print("{}: {}\n", printable(outcome.file.path()),
        coloured(screen_of(stdout), Colour::kGreen, verdict));
}

Json damage_json(const Damage& damage) {
  return {{"data_file", damage.data_file},
          {"begin_bytes", damage.begin_bytes},
          {"end_bytes", damage.end_bytes},
          {"what", damage.what},
          {"tensors", damage.tensors}};
}

void print_json_outcome(const Outcome& outcome) {
  const VerifyReport& report = outcome.report;
  Json damages = Json::array();
  std::ranges::transform(report.damages, std::back_inserter(damages), damage_json);
  print_json({{"ok", report.ok()},
              {"size_bytes", outcome.file.size_bytes()},
              {"digest", outcome.file.digest().hex()},
              {"segments_checked", report.segments_checked},
              {"segments_checked_by_crc", outcome.segments_by_crc},
              {"segments_without_digest", report.segments_without_digest},
              {"bytes_checked", report.bytes_checked},
              {"seconds", outcome.seconds},
              {"damages", std::move(damages)}});
}

Error damage_error(const Outcome& outcome) {
  const std::string places = counted(outcome.report.damages.size(), "place");
  return {ErrorCode::kCorrupt, fmt::format("{}: damaged in {}", outcome.file.path(), places)};
}

int run(const Arguments& arguments) {
  const auto outcome = verify(arguments.path);
  if (!outcome) {
    const Error& error = outcome.error();
    return report(error, arguments.style, hint_for_weight_file(error, arguments.path));
  }
  const bool json = arguments.style == Style::kJson;
  json ? print_json_outcome(*outcome) : print_text(*outcome);
  if (outcome->report.ok()) return kDone;
  return json ? kFailed : report(damage_error(*outcome), arguments.style);
}

}  // namespace

Run add_verify(CLI::App& app) {
  const auto arguments = std::make_shared<Arguments>();
  add_operand(app, arguments->path, "FILE", "a weight file")->required();
  add_json(app, arguments->style);
  app.footer(kExamples);
  return [arguments] { return run(*arguments); };
}

}  // namespace weightmap::tool
