// SPDX-License-Identifier: Apache-2.0
#include "checkpoint/pickle_rewrite.h"

#include <numeric>

namespace weightmap::checkpoint {

void redirect(Pickle& pickle, std::span<const ValueId> stand_ins) {
  const auto turn = [&](ValueId& id) {
    if (id != kNoValue) id = stand_ins[id];
  };
  for (ValueId& item : pickle.items)
    turn(item);
  for (PickleCall& call : pickle.calls) {
    turn(call.callable);
    turn(call.arguments);
    turn(call.keyword_arguments);
    turn(call.state);
  }
  for (PickleValue& value : pickle.values) {
    if (value.kind == PickleKind::kPersistent) turn(value.slot);
  }
  turn(pickle.root);
}

std::vector<ValueId> no_stand_ins(const Pickle& pickle) {
  std::vector<ValueId> stand_ins(pickle.values.size());
  std::iota(stand_ins.begin(), stand_ins.end(), ValueId{0});
  return stand_ins;
}

}  // namespace weightmap::checkpoint
