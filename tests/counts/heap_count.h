// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace weightmap::tests {

// Blocks that this process has taken from the heap so far, whoever asked: new, malloc, a shared
// library. Under sanitizers, too.
std::uint64_t heap_allocations();

}  // namespace weightmap::tests
