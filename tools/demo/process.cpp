// SPDX-License-Identifier: Apache-2.0
#include "demo/process.h"

#include <array>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <utility>

namespace weightmap::demo {
namespace {

constexpr int kNoDescriptor = -1;
constexpr int kParentDescriptor = 3;  // the first after the standard three

// Runs this program with `descriptor` as its kParentDescriptor. Zero: it could not be started.
pid_t spawn_self(const std::vector<std::string>& arguments, int descriptor) {
  std::vector<char*> argv;
  argv.reserve(arguments.size() + 1);
  for (const std::string& argument : arguments) {
    argv.push_back(const_cast<char*>(argument.c_str()));
  }
  argv.push_back(nullptr);

  posix_spawn_file_actions_t actions{};
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, descriptor, kParentDescriptor);
  pid_t id = 0;
  const int error = posix_spawn(&id, "/proc/self/exe", &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  return error == 0 ? id : 0;
}

}  // namespace

Channel::~Channel() {
  if (descriptor_ != kNoDescriptor) close(descriptor_);
}

Channel::Channel(Channel&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, kNoDescriptor)) {}

Channel& Channel::operator=(Channel&& other) noexcept {
  std::swap(descriptor_, other.descriptor_);
  return *this;
}

// What cannot be sent is noticed by who waits for an answer.
void Channel::send_bytes(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(descriptor_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return;
    bytes = bytes.subspan(static_cast<std::size_t>(sent));
  }
}

bool Channel::receive_bytes(std::span<std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t received = ::recv(descriptor_, bytes.data(), bytes.size(), 0);
    if (received <= 0) return false;
    bytes = bytes.subspan(static_cast<std::size_t>(received));
  }
  return true;
}

std::optional<Process> Process::start(const std::vector<std::string>& arguments) {
  std::array<int, 2> ends{};
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) return std::nullopt;
  Channel ours(ends[0]);
  const Channel theirs(ends[1]);
  const pid_t id = spawn_self(arguments, ends[1]);
  if (id == 0) return std::nullopt;
  return Process(id, std::move(ours));
}

Process::Process(Process&& other) noexcept
    : id_(std::exchange(other.id_, 0)), channel_(std::move(other.channel_)) {}

Process::~Process() {
  finish();
}

bool Process::finish() {
  channel_ = Channel(kNoDescriptor);
  const pid_t id = std::exchange(id_, 0);
  int status = 0;
  return id != 0 && waitpid(id, &status, 0) == id && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

Channel Process::to_parent() {
  return Channel(kParentDescriptor);
}

}  // namespace weightmap::demo
