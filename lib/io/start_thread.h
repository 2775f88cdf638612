// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <csignal>
#include <exception>
#include <mutex>
#include <optional>
#include <pthread.h>
#include <system_error>
#include <thread>
#include <utility>

namespace weightmap::io {

// A program's signals are for its own threads: ours, which are started while this lives, get none
// but those that a fault of their own raises.
class SignalsLeftToOthers {
 public:
  SignalsLeftToOthers() {
    sigset_t others;
    sigfillset(&others);
    for (const int fault : {SIGBUS, SIGSEGV, SIGFPE, SIGILL, SIGTRAP, SIGSYS})
      sigdelset(&others, fault);
    pthread_sigmask(SIG_BLOCK, &others, &before_);
  }
  ~SignalsLeftToOthers() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  SignalsLeftToOthers(const SignalsLeftToOthers&) = delete;
  SignalsLeftToOthers& operator=(const SignalsLeftToOthers&) = delete;

 private:
  sigset_t before_{};
};

// Nothing: the system has no thread to give.
template <typename Body>
std::optional<std::jthread> start_thread(Body body) {
  const SignalsLeftToOthers signals;
  try {
    return std::optional<std::jthread>(std::in_place, std::move(body));
  } catch (const std::system_error&) {
    return std::nullopt;
  }
}

// The first exception of several threads, kept for the one that waits for them: out of a thread it
// would end the program.
class CaughtExceptions {
 public:
  // Whether the body came to its end. Safe for use from several threads.
  template <typename Body>
  bool run(const Body& body) {
    try {
      body();
      return true;
    } catch (...) {
      const std::scoped_lock lock(mutex_);
      if (!first_) first_ = std::current_exception();
      return false;
    }
  }

  // REQUIRES: the other threads are gone.
  void rethrow() const {
    if (first_) std::rethrow_exception(first_);
  }

 private:
  std::mutex mutex_;  // guards:
  std::exception_ptr first_;
};

}  // namespace weightmap::io
