// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "weightmap/result.h"
#include "weightmap/weight_file.h"

namespace weightmap {

// What the options ask for beyond mappings, when all is verified: copies, pages, locks.
// Errors: those of io::MappedFile::copy and of prefault.
Result<void> bring_in(WeightFile::State& file);

}  // namespace weightmap
