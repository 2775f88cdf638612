// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <sys/types.h>
#include <type_traits>
#include <vector>

namespace weightmap::demo {

// One end of a connection between the parent and a worker. Values go over it as they lie in
// memory, since both ends are the same program.
class Channel {
 public:
  explicit Channel(int descriptor) : descriptor_(descriptor) {}  // takes ownership
  ~Channel();
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;
  Channel(Channel&& other) noexcept;
  Channel& operator=(Channel&& other) noexcept;

  template <typename T>
  requires std::is_trivially_copyable_v<T>
  void send(const T& value) { send_bytes(std::as_bytes(std::span(&value, 1))); }

  // Waits. Nothing: the other end is gone.
  template <typename T>
  requires std::is_trivially_copyable_v<T> std::optional<T> receive() {
    T value{};
    if (!receive_bytes(std::as_writable_bytes(std::span(&value, 1)))) return std::nullopt;
    return value;
  }

 private:
  void send_bytes(std::span<const std::byte> bytes);
  bool receive_bytes(std::span<std::byte> bytes);

  int descriptor_;
};

// This program, started again with other arguments: a process of its own, which inherits no memory
// and no file but the channel.
class Process {
 public:
  // Nothing: the system would not start it.
  static std::optional<Process> start(const std::vector<std::string>& arguments);
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;
  Process(Process&& other) noexcept;
  Process& operator=(Process&&) = delete;

  pid_t id() const { return id_; }
  Channel& channel() { return channel_; }

  // Ends the connection, by which a worker knows that it is to end, and waits for that. Whether it
  // left in good order. The destructor does the same.
  bool finish();

  // In the started process: its end of the connection.
  static Channel to_parent();

 private:
  Process(pid_t id, Channel channel) : id_(id), channel_(std::move(channel)) {}

  pid_t id_;
  Channel channel_;
};

}  // namespace weightmap::demo
