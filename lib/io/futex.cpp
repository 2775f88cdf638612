// SPDX-License-Identifier: Apache-2.0
#include "io/futex.h"

#include <bit>
#include <ctime>
#include <limits>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace weightmap::io {
namespace {

// The kernel compares 32 bits: the low half, which changes with every step of the counter.
static_assert(std::endian::native == std::endian::little, "the low half comes first");
static_assert(sizeof(std::atomic<std::uint64_t>) == sizeof(std::uint64_t));

const void* word_of(const std::atomic<std::uint64_t>& counter) {
  return &counter;
}

}  // namespace

void wait_while(const std::atomic<std::uint64_t>& counter,
                std::uint64_t expected,
                std::chrono::milliseconds at_most) {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(at_most);
  const std::chrono::nanoseconds rest = at_most - seconds;
  const std::timespec time{.tv_sec = seconds.count(), .tv_nsec = rest.count()};
  ::syscall(SYS_futex, word_of(counter), FUTEX_WAIT, static_cast<std::uint32_t>(expected), &time,
            nullptr, 0);
}

void wake_all(const std::atomic<std::uint64_t>& counter) {
  ::syscall(SYS_futex, word_of(counter), FUTEX_WAKE, std::numeric_limits<int>::max(), nullptr,
            nullptr, 0);
}

}  // namespace weightmap::io
