// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <new>
#include <string>
#include <sys/types.h>
#include <vector>

#include "weightmap/live.h"

// Processes that read while others publish, and what they tell each other through shared memory.
namespace weightmap::tests {

inline constexpr std::size_t kReaders = 8;
inline constexpr std::size_t kGenerations = 1U << 20U;

// What one process uses.
struct Usage {
  std::atomic<std::uint64_t> resident_bytes = 0;
  std::atomic<std::uint64_t> descriptors = 0;
  std::atomic<std::uint64_t> mappings = 0;
};

struct ReaderReport {
  std::atomic<std::uint64_t> reads = 0;
  std::atomic<std::int64_t> mark = 0;  // of what it read last
  Usage early;
  Usage late;
};

// Zero at first, seen by a process and all that it forks.
struct Board {
  std::atomic<bool> is_over = false;
  std::atomic<bool> is_late = false;
  std::atomic<std::int64_t> next_mark = 1;
  std::atomic<std::uint64_t> wrong = 0;  // reads that no single generation explains
  std::array<ReaderReport, kReaders> readers;
  std::array<std::atomic<std::int64_t>, kGenerations> mark_of;  // 0: nobody has read that one

  // Counts what cannot be: a mixed file, or two files of one number.
  void note(std::size_t reader, std::uint64_t generation, std::int64_t mark);
};

struct Unmap {
  void operator()(Board* board) const;
};
std::unique_ptr<Board, Unmap> make_board();

Usage& measure(Usage& usage);  // of this process, now

// Runs `body` in a process of its own.
pid_t start(const std::function<bool()>& body);
bool ended_well(pid_t process);

// Reads until the board says that it is over, by LiveFile, Live or waiting, as its number has it.
bool read_on(const std::string& path, Board& board, std::size_t reader);

// Writes a file of the next mark and publishes it; returns the mark, 0 where that failed.
std::int64_t publish_next(const std::string& directory, Board& board, bool sync);

// Waits until every reader has read that mark. False: one of them is stuck.
bool all_read(const Board& board, std::size_t readers, std::int64_t mark);

}  // namespace weightmap::tests
