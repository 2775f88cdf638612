// SPDX-License-Identifier: Apache-2.0
#include "stop_signal.h"

#include <csignal>
#include <initializer_list>

namespace weightmap::tool {
namespace {

volatile std::sig_atomic_t caught = 0;

void remember(int signal) {
  caught = signal;
}

void catch_one(int signal) {
  struct sigaction action {};
  if (sigaction(signal, nullptr, &action) != 0 || action.sa_handler == SIG_IGN) return;
  action = {};
  action.sa_handler = remember;
  action.sa_flags = static_cast<int>(SA_RESTART | SA_RESETHAND);
  sigaction(signal, &action, nullptr);
}

}  // namespace

void catch_stop_signals() {
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    catch_one(signal);
  }
}

int caught_signal() {
  return caught;
}

}  // namespace weightmap::tool
