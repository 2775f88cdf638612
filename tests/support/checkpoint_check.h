// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "checkpoint/checkpoint.h"

namespace weightmap::tests {

// What an opened checkpoint promises, computed anew and with room for every product: tensors inside
// their storages, storages inside the file and apart from each other, a graph without cycles whose
// parts are where it says. "": all is well.
std::string broken_promise(const checkpoint::Checkpoint& found);

}  // namespace weightmap::tests
