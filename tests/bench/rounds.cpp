// SPDX-License-Identifier: Apache-2.0
#include "rounds.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

namespace weightmap::bench {
namespace {

using Clock = std::chrono::steady_clock;
using Microseconds = std::chrono::duration<double, std::micro>;

constexpr double kSampleUs = 3'000;
constexpr std::size_t kMostRuns = 1'000;
constexpr std::size_t kReadBytes = 256U << 20U;  // more than the index of any input
constexpr std::size_t kTouchedBytes = 192U << 20U;

void read_whole(const std::string& path) {
  if (path.empty()) return;
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  require(file >= 0, "cannot open the input");
  std::vector<char> piece(1U << 20U);
  std::size_t done = 0;
  for (ssize_t got = 1; got > 0 && done < kReadBytes; done += static_cast<std::size_t>(got))
    got = ::read(file, piece.data(), piece.size());
  ::close(file);
}

void touch_memory() {
  void* const block =
      ::mmap(nullptr, kTouchedBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  require(block != MAP_FAILED, "cannot take memory to touch");
  ::madvise(block, kTouchedBytes, MADV_HUGEPAGE);
  std::memset(block, 1, kTouchedBytes);
  ::munmap(block, kTouchedBytes);
}

double microseconds_of(const Contestant& contestant, std::size_t runs) {
  const auto begin = Clock::now();
  for (std::size_t i = 0; i < runs; ++i)
    contestant.run();
  return Microseconds(Clock::now() - begin).count() / static_cast<double>(runs);
}

// Measured once warm: the first run of all pays for what no other will.
std::size_t runs_of(const Contestant& contestant) {
  contestant.run();
  const double once = microseconds_of(contestant, 1);
  return std::clamp<std::size_t>(static_cast<std::size_t>(kSampleUs / once), 1, kMostRuns);
}

const char* role_name(Role role) {
  switch (role) {
    case Role::kOurs: return "ours";
    case Role::kRival: return "rival";
    case Role::kLimit: return "limit";
  }
  return "";
}

void print(const std::string& benchmark,
           const Contestant& contestant,
           const char* unit,
           const std::vector<double>& samples) {
  std::printf(R"({"benchmark": "%s", "contestant": "%s", "role": "%s", "unit": "%s", "samples": [)",
              benchmark.c_str(), contestant.name.c_str(), role_name(contestant.role), unit);
  for (std::size_t i = 0; i < samples.size(); ++i)
    std::printf("%s%.4f", i == 0 ? "" : ", ", samples[i]);
  std::puts("]}");
}

}  // namespace

void run_rounds(const std::string& benchmark,
                const std::vector<Contestant>& contestants,
                int rounds,
                std::size_t per) {
  const std::size_t count = contestants.size();
  const double scale = per == 0 ? 1 : 1'000 / static_cast<double>(per);
  std::vector<std::size_t> runs;
  for (const Contestant& contestant : contestants)
    runs.push_back(runs_of(contestant));
  std::vector<std::vector<double>> samples(count);
  for (std::size_t turn = 0; turn < count * static_cast<std::size_t>(rounds); ++turn) {
    const std::size_t at = (turn + turn / count) % count;
    read_whole(contestants[at].path);
    touch_memory();
    samples[at].push_back(microseconds_of(contestants[at], runs[at]) * scale);
  }
  for (std::size_t at = 0; at < count; ++at)
    print(benchmark, contestants[at], per == 0 ? "us" : "ns", samples[at]);
}

}  // namespace weightmap::bench
