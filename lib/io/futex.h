// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

// Waiting for a number in shared memory to change. A read-only mapping will do, for both sides.
namespace weightmap::io {

// Until somebody wakes who waits at the counter, the time is over, or for no reason. Does not wait
// where the counter's low half is no longer `expected`'s.
void wait_while(const std::atomic<std::uint64_t>& counter,
                std::uint64_t expected,
                std::chrono::milliseconds at_most);

// Everybody, in all processes.
void wake_all(const std::atomic<std::uint64_t>& counter);

}  // namespace weightmap::io
