// SPDX-License-Identifier: Apache-2.0
#include "io/processors.h"

#include <algorithm>
#include <sched.h>
#include <thread>

namespace weightmap::io {

unsigned usable_processors() {
  cpu_set_t set;
  CPU_ZERO(&set);
  // Fails where there are more processors than the set has room for.
  const bool is_told = ::sched_getaffinity(0, sizeof set, &set) == 0;
  const auto count =
      is_told ? static_cast<unsigned>(CPU_COUNT(&set)) : std::thread::hardware_concurrency();
  return std::max(count, 1U);
}

}  // namespace weightmap::io
