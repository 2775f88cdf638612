// SPDX-License-Identifier: Apache-2.0
#include "globals.h"

#include <algorithm>

#include "weightmap/convert.h"

#include "terminal.h"

namespace weightmap::tool {
namespace {

std::string_view word_for(GlobalVerdict verdict) {
  switch (verdict) {
    case GlobalVerdict::kLoaded: return "loaded";
    case GlobalVerdict::kRefused: return "refused";
    case GlobalVerdict::kAttack: return "attack";
  }
  return "";
}

std::string totals_text(const std::vector<NamedGlobal>& globals) {
  const auto count = [&](GlobalVerdict verdict) {
    return std::ranges::count(globals, verdict, &NamedGlobal::verdict);
  };
  return fmt::format(
      "torch.load(weights_only=True) loads {} and refuses {}, of which {} only an attack names",
      count(GlobalVerdict::kLoaded), count(GlobalVerdict::kRefused) + count(GlobalVerdict::kAttack),
      count(GlobalVerdict::kAttack));
}

void print_text(const std::string& path, const CheckpointGlobals& found) {
  print("{}: {}\n\n", printable(path), found.source_kind);
  for (const NamedGlobal& global : found.globals)
    print("{:<7}  {}\n", word_for(global.verdict), printable(global.name));
  print("{}{}\n", found.globals.empty() ? "" : "\n", totals_text(found.globals));
}

void print_globals_json(const CheckpointGlobals& found) {
  Json globals = Json::array();
  for (const NamedGlobal& global : found.globals)
    globals.push_back({{"name", global.name}, {"verdict", word_for(global.verdict)}});
  print_json({{"source_kind", found.source_kind}, {"globals", globals}});
}

}  // namespace

int show_globals(const std::string& path, Style style) {
  const auto found = list_globals(path);
  if (!found) return report(found.error(), style);
  style == Style::kJson ? print_globals_json(*found) : print_text(path, *found);
  return kDone;
}

}  // namespace weightmap::tool
