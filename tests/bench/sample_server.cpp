// SPDX-License-Identifier: Apache-2.0
#include "sample_server.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <exception>
#include <iostream>
#include <map>
#include <string>

namespace weightmap::bench {
namespace {

using Clock = std::chrono::steady_clock;
using Seconds = std::chrono::duration<double>;

constexpr double kSampleSeconds = 0.003;
constexpr std::size_t kMostRuns = 1'000;

double seconds_of(const Contestant& contestant, std::size_t runs) {
  const auto begin = Clock::now();
  for (std::size_t i = 0; i < runs; ++i)
    contestant.run();
  return Seconds(Clock::now() - begin).count() / static_cast<double>(runs);
}

// Measured once warm: the first run of all pays for what no other will.
std::size_t runs_of(const Contestant& contestant) {
  contestant.run();
  const double once = seconds_of(contestant, 1);
  return std::clamp<std::size_t>(static_cast<std::size_t>(kSampleSeconds / once), 1, kMostRuns);
}

// What a sample needs to know from one request to the next.
class Sampler {
 public:
  explicit Sampler(const std::vector<Contestant>& contestants) : contestants_(contestants) {}

  double take(const std::string& name) {
    const auto found = std::ranges::find(contestants_, name, &Contestant::name);
    require(found != contestants_.end(), "no such contestant");
    std::size_t& runs = runs_[name];
    if (runs == 0) runs = runs_of(*found);
    return seconds_of(*found, runs);
  }

 private:
  const std::vector<Contestant>& contestants_;
  std::map<std::string, std::size_t> runs_;
};

void print_error(std::string text) {
  std::ranges::replace_if(
      text, [](char c) { return c == '"' || c == '\\' || c == '\n'; }, ' ');
  std::printf("{\"error\": \"%s\"}\n", text.c_str());
}

}  // namespace

void serve_samples(const std::vector<Contestant>& contestants, std::size_t per) {
  Sampler sampler(contestants);
  for (std::string name; std::getline(std::cin, name);) {
    try {
      std::printf("{\"seconds\": %.12g}\n", sampler.take(name) / static_cast<double>(per));
    } catch (const std::exception& failure) {
      print_error(failure.what());
    }
    std::fflush(stdout);
  }
}

}  // namespace weightmap::bench
