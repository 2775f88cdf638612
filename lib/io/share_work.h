// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>

#include "weightmap/result.h"

// Numbered items of work, done by several threads.
namespace weightmap::io {

// To be called when more bytes are done: an error says that it is not to go on.
using WorkProgress = std::function<Result<void>(std::uint64_t more_bytes)>;

// Does one item after another. Each is used by one thread.
using Worker = std::function<Result<void>(std::size_t item, const WorkProgress& progress)>;

// Whoever asks for more gets these.
inline constexpr std::size_t kMostThreads = 64;

struct SharedWork {
  std::size_t items = 0;
  std::size_t threads = 1;  // at most, the calling one among them; never more than kMostThreads
  std::function<Worker()> make_worker;  // called by the thread that uses it
  WorkProgress tell;                    // called by the calling thread, until it refuses
};

// Every thread takes the next item, until there is none; where the system has no more threads to
// give, fewer do the work. When an item fails, none behind it is begun, and those before it are
// done all the same: the error is that of the first item that fails, or that of `tell`, which hears
// of all bytes before this returns well. An exception in any thread comes out of the call, whatever
// else failed. No thread is left when it returns.
Result<void> share_work(const SharedWork& work);

// From here on one more thread gains more than it costs.
inline constexpr std::uint64_t kThreadedBytes = std::uint64_t{16} << 20U;

// How many threads are to do so much work: as many as `jobs` says, at most kMostThreads, or where
// that is 0 as there are usable processors, at most kMostJobs; one for less than kThreadedBytes.
inline constexpr unsigned kMostJobs = 8;
std::size_t threads_for(std::uint64_t size_bytes, unsigned jobs);

}  // namespace weightmap::io
