// SPDX-License-Identifier: Apache-2.0
#include "weightmap/convert.h"

#include "checkpoint/checkpoint.h"

namespace weightmap {
namespace {

GlobalVerdict verdict_on(checkpoint::GlobalTrust trust) {
  switch (trust) {
    case checkpoint::GlobalTrust::kListed: return GlobalVerdict::kLoaded;
    case checkpoint::GlobalTrust::kUnknown: return GlobalVerdict::kRefused;
    case checkpoint::GlobalTrust::kAttack: return GlobalVerdict::kAttack;
  }
  return GlobalVerdict::kAttack;
}

}  // namespace

Result<CheckpointGlobals> list_globals(const std::string& path) {
  checkpoint::GlobalList list;
  const auto source = checkpoint::open_checkpoint(path, {.globals = &list});
  if (!source) return source.error();
  CheckpointGlobals found{.source_kind = source->kind};
  for (const auto& [name, trust] : list)
    found.globals.push_back({.name = name, .verdict = verdict_on(trust)});
  return found;
}

}  // namespace weightmap
