// SPDX-License-Identifier: Apache-2.0
#include "weightmap/publish.h"

#include <memory>

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
    "Verifies NEW and renames it to CURRENT in one step, then tells every process that serves\n"
    "CURRENT by LiveFile or Live; they keep the old file until they let go of it. Whatever goes\n"
    "wrong, and whatever kills this, CURRENT is the old file or the new one. NEW and CURRENT lie\n"
    "in one file system; CURRENT.generation beside it counts the publishes.\n\n"
    "Examples:\n"
    "  weightmap convert epoch9.pt /srv/next.wmap && weightmap publish /srv/next.wmap "
    "/srv/model.wmap\n"
    "  weightmap publish next.wmap model.wmap --json | jq .generation\n"
    "  weightmap publish next.wmap model.wmap --wait   # after whoever is at it\n";

struct Arguments {
  std::string new_path;
  std::string current_path;
  bool no_verify = false;
  bool no_sync = false;
  bool wait = false;
  Style style = Style::kText;
};

struct Outcome {
  PublishReport report;
  double seconds = 0;
};

Result<Outcome> publish_file(const Arguments& arguments) {
  Progress progress("verifying");
  PublishOptions options;
  options.verify = !arguments.no_verify;
  options.sync = !arguments.no_sync;
  options.progress = [&](auto done, auto total) { return progress.update(done, total); };
  const auto keep_waiting = [&] { return progress.wait_for("another process that publishes"); };
  if (arguments.wait) options.keep_waiting = keep_waiting;
  const auto report = publish(arguments.new_path, arguments.current_path, options);
  if (!report) return report.error();
  return Outcome{*report, progress.seconds()};
}

void print_text(const Arguments& arguments, const Outcome& outcome) {
  const PublishReport& report = outcome.report;
  print("checked    {}, {}, {} against digests\n", printable(arguments.new_path),
        human_bytes(report.file_bytes), human_bytes(report.verified_bytes));
  if (report.healed) put("healed     what a publisher left that ended before its work was done\n");
  print("published  {}, generation {}{}\n", printable(arguments.current_path), report.generation,
        report.replaced ? "" : ", the first of this name");
  print("time       {:.3f} s\n", outcome.seconds);
  print("digest     {}\n", report.digest.hex());
}

void print_json_outcome(const Arguments& arguments, const Outcome& outcome) {
  const PublishReport& report = outcome.report;
  print_json({{"path", arguments.current_path},
              {"generation", report.generation},
              {"replaced", report.replaced},
              {"healed", report.healed},
              {"file_bytes", report.file_bytes},
              {"verified_bytes", report.verified_bytes},
              {"digest", report.digest.hex()},
              {"seconds", outcome.seconds}});
}

int run(const Arguments& arguments) {
  const auto outcome = publish_file(arguments);
  if (!outcome) {
    const Error& error = outcome.error();
    return report(error, arguments.style, hint_for_weight_file(error, arguments.new_path));
  }
  arguments.style == Style::kJson ? print_json_outcome(arguments, *outcome)
                                  : print_text(arguments, *outcome);
  return kDone;
}

}  // namespace

Run add_publish(CLI::App& app) {
  const auto arguments = std::make_shared<Arguments>();
  add_operand(app, arguments->new_path, "NEW", "the weight file that takes the place")->required();
  add_operand(app, arguments->current_path, "CURRENT", "the path that is served")->required();
  app.add_flag("--no-verify", arguments->no_verify, "do not hold NEW's bytes against its digests");
  app.add_flag("--no-sync", arguments->no_sync, "do not wait until the disk has it");
  app.add_flag("--wait", arguments->wait, "wait while another process publishes CURRENT");
  add_json(app, arguments->style);
  app.footer(kExamples);
  return [arguments] { return run(*arguments); };
}

}  // namespace weightmap::tool
