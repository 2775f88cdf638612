// SPDX-License-Identifier: Apache-2.0
// sharing_stress kills COUNT     kills publishers and readers at random moments while others read
// sharing_stress soak SECONDS    readers at work while one publisher publishes again and again
// Says what was done, and fails when a read was of no single generation, a process is stuck or
// grows, a generation is lost, or something is left behind.
#include <charconv>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <exception>
#include <random>
#include <string>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

#include "weightmap/generation.h"

#include "sharing/generations.h"
#include "sharing/processes.h"
#include "support/temp_dir.h"

namespace weightmap::tests {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::uint64_t kNoise = std::uint64_t{4} << 20U;  // of resident memory

bool check(bool holds, const char* what) {
  if (!holds) std::fprintf(stderr, "FAILED: %s\n", what);
  return holds;
}

// A published file, readers of it, and what they tell.
class Scene {
 public:
  explicit Scene(std::size_t readers) : board_(make_board()) {
    is_well_ = check(publish_next(dir_.path(), *board_, false) != 0, "the first publish");
    for (std::size_t reader = 0; reader < readers; ++reader)
      readers_.push_back(start([&] { return read_on(path(), *board_, reader); }));
  }

  Board& board() { return *board_; }
  const std::string& directory() const { return dir_.path(); }
  std::string path() const { return dir_ / "m.wmap"; }
  std::uint64_t reads() const {
    std::uint64_t sum = 0;
    for (const ReaderReport& report : board_->readers)
      sum += report.reads;
    return sum;
  }

  // A publish works, and everybody comes to see it.
  bool go_on() {
    const std::int64_t mark = publish_next(dir_.path(), *board_, true);
    return check(mark != 0, "the next publish works") &&
           check(all_read(*board_, readers_.size(), mark), "no reader is stuck");
  }

  bool end() {
    bool is_well = is_well_ && go_on();
    board_->is_over = true;
    for (const pid_t reader : readers_)
      is_well &= check(ended_well(reader), "a reader ends in good order");
    is_well &= check(board_->wrong == 0, "each read is of one generation");
    is_well &= check(dir_.names() == std::vector<std::string>{"m.wmap", "m.wmap.generation"},
                     "nothing is left behind");
    return is_well;
  }

 private:
  TempDir dir_;
  std::unique_ptr<Board, Unmap> board_;
  std::vector<pid_t> readers_;
  bool is_well_ = false;
};

struct Kills {
  int publishers = 0;
  int readers = 0;
  int at_work = 0;  // publishers, between their first and last step
};

pid_t start_victim(Scene& scene, bool publishes, bool syncs) {
  return start([&] {
    while (publishes)
      publish_next(scene.directory(), scene.board(), syncs);
    return read_on(scene.path(), scene.board(), kReaders - 1);
  });
}

// What a reader that was there before sees, and what one sees who comes now: the same.
bool is_seen(const LiveFile& reader, const std::string& path) {
  const auto seen = mark_of(reader.current()->file);
  return check(seen && seen == mark_at(path), "no generation is lost");
}

void kill_one(Scene& scene, int number, std::mt19937& random, Kills& kills) {
  const bool publishes = number % 4 != 3;
  const pid_t victim = start_victim(scene, publishes, number % 2 == 0);
  ::usleep(static_cast<useconds_t>(random() % 4'000));
  ::kill(victim, SIGKILL);
  ::waitpid(victim, nullptr, 0);
  ++(publishes ? kills.publishers : kills.readers);
  const auto state = generation_state(scene.path());
  if (state && *state && (*state)->is_publishing) ++kills.at_work;
}

bool run_kills(int count) {
  constexpr std::size_t kStanding = 4;  // one of each kind
  constexpr int kBetween = 100;
  Scene scene(kStanding);
  auto reader = LiveFile::open(scene.path());
  if (!reader) return check(false, "the file opens");
  std::mt19937 random(1);
  Kills kills;
  bool is_well = true;
  for (int number = 0; is_well && number < count; ++number) {
    kill_one(scene, number, random, kills);
    is_well = is_seen(*reader, scene.path());
    if (number % kBetween == kBetween - 1) is_well = is_well && scene.go_on();
  }
  is_well &= scene.end() && is_seen(*reader, scene.path());
  std::printf(
      "%d publishers killed, %d of them between first and last step; %d readers killed; "
      "%lu reads, %lu wrong; last generation %lu\n",
      kills.publishers, kills.at_work, kills.readers, static_cast<unsigned long>(scene.reads()),
      static_cast<unsigned long>(scene.board().wrong),
      static_cast<unsigned long>(reader->current()->generation));
  return is_well;
}

bool has_not_grown(const Usage& early, const Usage& late) {
  bool is_well = check(late.descriptors > 0, "every process was measured");
  is_well &= check(late.descriptors <= early.descriptors, "descriptors do not grow");
  is_well &= check(late.mappings <= early.mappings + 2, "mappings do not grow");
  is_well &= check(late.resident_bytes <= early.resident_bytes + kNoise, "memory does not grow");
  return is_well;
}

bool run_soak(int seconds) {
  Scene scene(kReaders);
  Usage early;
  Usage late;
  std::uint64_t published = 0;
  bool is_well = true;
  for (const auto begin = Clock::now();
       is_well && Clock::now() - begin < std::chrono::seconds(seconds); ++published) {
    is_well = check(publish_next(scene.directory(), scene.board(), false) != 0, "a publish works");
    if (published == 20) measure(early);
  }
  measure(late);
  scene.board().is_late = true;
  is_well &= scene.end();
  is_well &= check(published < 20 || has_not_grown(early, late), "the publisher");
  for (const ReaderReport& report : scene.board().readers)
    is_well &= check(has_not_grown(report.early, report.late), "a reader");
  std::printf("%lu generations in %d s; %lu reads, %lu wrong; publisher %lu KiB early, %lu late\n",
              static_cast<unsigned long>(published), seconds,
              static_cast<unsigned long>(scene.reads()),
              static_cast<unsigned long>(scene.board().wrong),
              static_cast<unsigned long>(early.resident_bytes / 1024),
              static_cast<unsigned long>(late.resident_bytes / 1024));
  return is_well;
}

int run(const std::vector<std::string>& arguments) {
  int number = 0;
  if (arguments.size() == 3) {
    const std::string& text = arguments[2];
    std::from_chars(text.data(), text.data() + text.size(), number);
  }
  if (number > 0 && arguments[1] == "kills") return run_kills(number) ? 0 : 1;
  if (number > 0 && arguments[1] == "soak") return run_soak(number) ? 0 : 1;
  std::fprintf(stderr, "usage: sharing_stress kills COUNT | soak SECONDS\n");
  return 2;
}

}  // namespace
}  // namespace weightmap::tests

int main(int argc, char** argv) {
  try {
    return weightmap::tests::run({argv, argv + argc});
  } catch (const std::exception& error) {
    std::fprintf(stderr, "sharing_stress: %s\n", error.what());
    return 1;
  }
}
