// SPDX-License-Identifier: Apache-2.0
// Times whole processes: stopwatch RUNS COMMAND... runs the command so often, one after another,
// and prints a line of JSON: the mean time from start to end, and the largest memory that was
// resident. What the command prints is dropped. Small itself, since a process begins with the peak
// of the one that started it.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fcntl.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

namespace {

using Clock = std::chrono::steady_clock;

pid_t started(char** command, const posix_spawn_file_actions_t& actions) {
  pid_t process = 0;
  if (::posix_spawnp(&process, command[0], &actions, nullptr, command, environ) == 0)
    return process;
  std::fprintf(stderr, "stopwatch: cannot start %s\n", command[0]);
  std::exit(127);
}

// The exit code as a shell would tell it.
int code_of(int status) {
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

// Its peak in KiB.
long run(char** command, const posix_spawn_file_actions_t& actions) {
  const pid_t process = started(command, actions);
  int status = 0;
  struct rusage usage {};
  if (::wait4(process, &status, 0, &usage) != process) std::exit(127);
  if (status != 0) std::exit(code_of(status));
  return usage.ru_maxrss;
}

}  // namespace

int main(int argc, char** argv) {
  const int runs = argc > 2 ? std::atoi(argv[1]) : 0;
  if (runs < 1) {
    std::fputs("usage: stopwatch RUNS COMMAND...\n", stderr);
    return 2;
  }
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
  long peak_kib = 0;
  const auto begin = Clock::now();
  for (int i = 0; i < runs; ++i)
    peak_kib = std::max(peak_kib, run(argv + 2, actions));
  const std::chrono::duration<double> taken = Clock::now() - begin;
  std::printf("{\"seconds\": %.9f, \"peak_mib\": %.1f}\n", taken.count() / runs,
              static_cast<double>(peak_kib) / 1024);
  return 0;
}
