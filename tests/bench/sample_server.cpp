// SPDX-License-Identifier: Apache-2.0
#include "sample_server.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <exception>
#include <iostream>
#include <string>

namespace weightmap::bench {
namespace {

using Clock = std::chrono::steady_clock;
using Seconds = std::chrono::duration<double>;

constexpr double kSampleSeconds = 0.03;

struct Sample {
  double first = 0;  // seconds, with the processor's caches as whatever went before left them
  double mean = 0;   // of the runs after it
};

double seconds_since(Clock::time_point begin) {
  return Seconds(Clock::now() - begin).count();
}

Sample take(const Contestant& contestant) {
  Sample sample;
  auto begin = Clock::now();
  contestant.run();
  sample.first = seconds_since(begin);
  begin = Clock::now();
  int runs = 0;
  do {
    contestant.run();
    ++runs;
  } while (seconds_since(begin) < kSampleSeconds);
  sample.mean = seconds_since(begin) / runs;
  return sample;
}

Sample take(const std::vector<Contestant>& contestants, const std::string& name) {
  const auto found = std::ranges::find(contestants, name, &Contestant::name);
  require(found != contestants.end(), "no such contestant");
  return take(*found);
}

void print_error(std::string text) {
  std::ranges::replace_if(
      text, [](char c) { return c == '"' || c == '\\' || c == '\n'; }, ' ');
  std::printf("{\"error\": \"%s\"}\n", text.c_str());
}

}  // namespace

void serve_samples(const std::vector<Contestant>& contestants, std::size_t per) {
  const auto divisor = static_cast<double>(per);
  for (std::string name; std::getline(std::cin, name);) {
    try {
      const Sample sample = take(contestants, name);
      std::printf("{\"seconds\": %.12g, \"first_us\": %.6g}\n", sample.mean / divisor,
                  sample.first * 1e6 / divisor);
    } catch (const std::exception& failure) {
      print_error(failure.what());
    }
    std::fflush(stdout);
  }
}

}  // namespace weightmap::bench
