// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "weightmap/load_report.h"

#include "modules/recorded.h"
#include "modules/tree.h"

// What has become of modules and state dicts, held against a case.
namespace weightmap::tests {

// PyTorch's names for what a tree has.
bool has_its_names(Module& root, const Json& described);

// Whether the entries and metadata are the recorded ones. `places`: where tensors may lie.
bool is_as_recorded(const StateDict& found,
                    const Json& items,
                    const Json& metadata,
                    const Recorded& recorded,
                    Places& places);

// What the report says: the error or the lists, and which keys slots took or refused.
bool tells_as_recorded(const LoadReport& report, const Json& outcome);

// What is in the slots, and in the storages after the load. `places`: where the tensors that slots
// were pointed to lie; what slots have had from the start lies in the memory.
bool has_as_recorded(const Tree& tree,
                     const Memory& memory,
                     const Recorded& recorded,
                     const Json& outcome,
                     Places& places);

// Whether slots that were pointed to tensors of the memory know of what these are views.
bool knows_storages(const Tree& tree,
                    const Memory& memory,
                    const Recorded& recorded,
                    const Json& outcome);

}  // namespace weightmap::tests
