// SPDX-License-Identifier: Apache-2.0
#include "sharing/processes.h"

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <random>
#include <sys/mman.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

#include "weightmap/publish.h"

#include "sharing/generations.h"
#include "support/file_bytes.h"
#include "support/process.h"

namespace weightmap::tests {
namespace {

// Far more than any step takes: only a process that will never go on is stuck.
constexpr std::chrono::seconds kStuck{120};

void read_file_once(const FileGeneration& now, Board& board, std::size_t reader) {
  board.note(reader, now.generation, mark_of(now.file).value_or(-1));
}

bool read_by_file(const std::string& path, Board& board, std::size_t reader, bool waits) {
  const auto live = LiveFile::open(path);
  if (!live) return false;
  while (!board.is_over) {
    const auto now = live->current();
    read_file_once(*now, board, reader);
    if (waits) live->wait_for_next(now->generation, std::chrono::milliseconds(2));
  }
  return true;
}

// Two tensors at random, which must be of one generation.
bool read_by_net(const std::string& path, Board& board, std::size_t reader) {
  const auto live = Live<MarkedNet>::open(path, {.open = {}, .bind = {.strict = false}});
  if (!live) return false;
  while (!board.is_over) {
    const auto net = live->current();
    std::int64_t sum = 0;
    for (std::int64_t i = 0; i < kElements; ++i)
      sum += net->t0[static_cast<std::size_t>(i)] + net->t1[static_cast<std::size_t>(i)];
    const bool is_one = sum == 2 * kElements * net->t0[0];
    board.note(reader, net.generation(), is_one ? net->t0[0] : -1);
  }
  return true;
}

// Opens anew, as a worker that starts does.
bool read_by_opening(const std::string& path, Board& board, std::size_t reader) {
  while (!board.is_over) {
    const auto live = LiveFile::open(path);
    if (!live) return false;
    read_file_once(*live->current(), board, reader);
  }
  return true;
}

}  // namespace

void Board::note(std::size_t reader, std::uint64_t generation, std::int64_t mark) {
  std::int64_t known = 0;
  const bool is_first = mark_of.at(generation).compare_exchange_strong(known, mark);
  if (mark <= 0 || (!is_first && known != mark)) {
    std::fprintf(stderr, "reader %zu: generation %lu is marked %ld, %ld before\n", reader,
                 static_cast<unsigned long>(generation), static_cast<long>(mark),
                 static_cast<long>(known));
    ++wrong;
  }
  ReaderReport& report = readers.at(reader);
  report.mark = mark;
  if (report.reads++ == 100) measure(report.early);
  if (is_late && report.late.descriptors == 0) measure(report.late);
}

void Unmap::operator()(Board* board) const {
  ::munmap(board, sizeof(Board));
}

std::unique_ptr<Board, Unmap> make_board() {
  void* const memory =
      ::mmap(nullptr, sizeof(Board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  return std::unique_ptr<Board, Unmap>(new (memory) Board);
}

Usage& measure(Usage& usage) {
  std::ifstream statm("/proc/self/statm");
  std::uint64_t whole = 0;
  std::uint64_t resident = 0;
  statm >> whole >> resident;
  usage.resident_bytes = resident * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  // Of files, which have paths: how many the heap has is not ours.
  const std::string maps = read_file("/proc/self/maps");
  usage.mappings = 0;
  for (std::size_t at = maps.find(" /"); at != std::string::npos; at = maps.find(" /", at + 1))
    ++usage.mappings;
  usage.descriptors = open_descriptors();
  return usage;
}

pid_t start(const std::function<bool()>& body) {
  const pid_t child = ::fork();
  if (child < 0) throw std::runtime_error("cannot fork");
  if (child == 0) ::_exit(body() ? 0 : 1);
  return child;
}

bool ended_well(pid_t process) {
  int status = 0;
  return ::waitpid(process, &status, 0) == process && exited_well(status);
}

bool read_on(const std::string& path, Board& board, std::size_t reader) {
  switch (reader % 4) {
    case 0: return read_by_file(path, board, reader, false);
    case 1: return read_by_net(path, board, reader);
    case 2: return read_by_file(path, board, reader, true);
    default: return read_by_opening(path, board, reader);
  }
}

std::int64_t publish_next(const std::string& directory, Board& board, bool sync) {
  const std::int64_t mark = board.next_mark++;
  write_marked(directory + "/new.wmap", mark);
  const auto report =
      publish(directory + "/new.wmap", directory + "/m.wmap", {.verify = false, .sync = sync});
  if (report) return mark;
  std::fprintf(stderr, "%s\n", report.error().message().c_str());
  return 0;
}

bool all_read(const Board& board, std::size_t readers, std::int64_t mark) {
  const auto start = std::chrono::steady_clock::now();
  for (std::size_t reader = 0; reader < readers; ++reader) {
    while (board.readers.at(reader).mark != mark) {
      if (std::chrono::steady_clock::now() - start > kStuck) return false;
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  }
  return true;
}

}  // namespace weightmap::tests
