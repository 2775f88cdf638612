// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <stdexcept>
#include <string>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

namespace weightmap::tests {

// Runs `body` in a child process, which ends with exit code 0, or 1 where `body` returned false;
// returns the child's status as waitpid(2) tells it.
template <typename Body>
int in_child(const Body& body) {
  const pid_t child = ::fork();
  if (child < 0) throw std::runtime_error("cannot fork");
  if (child == 0) ::_exit(body() ? 0 : 1);
  int status = 0;
  ::waitpid(child, &status, 0);
  return status;
}

// A child process that has done `body`, and then does nothing for as long as this object lives.
class WaitingChild {
 public:
  // Throws where `body` returned false.
  template <typename Body>
  explicit WaitingChild(const Body& body) {
    int to_parent[2] = {};
    if (::pipe(to_parent) != 0) throw std::runtime_error("no pipe");
    pid_ = ::fork();
    if (pid_ < 0) throw std::runtime_error("cannot fork");
    if (pid_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      const char word = body() ? 'y' : 'n';
      if (::write(to_parent[1], &word, 1) == 1) ::pause();
      ::_exit(1);
    }
    char word = 'n';
    ::close(to_parent[1]);
    const bool is_ready = ::read(to_parent[0], &word, 1) == 1 && word == 'y';
    ::close(to_parent[0]);
    if (is_ready) return;
    end();
    throw std::runtime_error("the child process failed");
  }
  ~WaitingChild() { end(); }
  WaitingChild(const WaitingChild&) = delete;
  WaitingChild& operator=(const WaitingChild&) = delete;

  std::uint32_t pid() const { return static_cast<std::uint32_t>(pid_); }

 private:
  void end() const {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }

  pid_t pid_ = -1;
};

inline bool exited_well(int status) {
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

inline bool was_killed_by(int status, int signal) {
  return WIFSIGNALED(status) && WTERMSIG(status) == signal;
}

// What a shell command prints; throws when it fails.
inline std::string output_of(const std::string& command) {
  std::FILE* const pipe = ::popen(command.c_str(), "r");
  if (pipe == nullptr) throw std::runtime_error("cannot run " + command);
  std::string text;
  char piece[4096];
  for (std::size_t got = 0; (got = std::fread(piece, 1, sizeof piece, pipe)) > 0;) {
    text.append(piece, got);
  }
  if (::pclose(pipe) != 0) throw std::runtime_error("failed: " + command);
  return text;
}

inline bool is_installed(const std::string& program) {
  return std::system(("command -v " + program + " > /dev/null").c_str()) == 0;
}

inline std::size_t open_descriptors() {
  const std::filesystem::directory_iterator entries("/proc/self/fd");
  return static_cast<std::size_t>(std::distance(begin(entries), end(entries)));
}

// This process may have so many bytes of address space more than now, and no more.
inline bool leave_memory(std::uint64_t more_bytes) {
  std::uint64_t pages = 0;
  std::ifstream("/proc/self/statm") >> pages;
  const rlim_t most = pages * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE)) + more_bytes;
  const rlimit limit{.rlim_cur = most, .rlim_max = most};
  return pages > 0 && ::setrlimit(RLIMIT_AS, &limit) == 0;
}

// From now on this process gets no further thread. For a child, which is nobody afterwards: root
// would get them all the same.
inline bool give_up_threads() {
  const rlimit none{.rlim_cur = 0, .rlim_max = 0};
  return ::setrlimit(RLIMIT_NPROC, &none) == 0 && (::getuid() != 0 || ::setuid(65'534) == 0);
}

// The directories in /proc of this process's threads.
inline std::set<std::filesystem::path> threads() {
  const std::filesystem::directory_iterator tasks("/proc/self/task");
  return {begin(tasks), end(tasks)};
}

}  // namespace weightmap::tests
