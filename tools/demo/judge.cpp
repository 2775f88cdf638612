// SPDX-License-Identifier: Apache-2.0
#include "demo/judge.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <functional>
#include <iterator>
#include <string>
#include <unistd.h>

#include <fmt/core.h>

namespace weightmap::demo {
namespace {

constexpr float kLargestDifference = 1e-4F;  // tests/data/digits/README.md says why

template <typename Report, typename Number>
auto largest(const std::vector<Report>& reports, Number number) {
  return std::invoke(number, *std::ranges::max_element(reports, {}, number));
}

template <typename Report, typename Number>
auto smallest(const std::vector<Report>& reports, Number number) {
  return std::invoke(number, *std::ranges::min_element(reports, {}, number));
}

// "61, 58, 60, 59": one number of each process.
template <typename Report, typename Number>
std::string listed(const std::vector<Report>& reports, Number number) {
  std::string text;
  for (const Report& report : reports) {
    text += fmt::format("{}{:.0f}", text.empty() ? "" : ", ", std::invoke(number, report));
  }
  return text;
}

std::string listed_kib(const std::vector<MappedMemory>& memory,
                       std::uint64_t MappedMemory::*bytes) {
  return listed(memory,
                [&](const MappedMemory& it) { return static_cast<double>(it.*bytes) / 1024; });
}

// The middle one; of an even number the larger of the two in the middle.
double median(std::vector<double> numbers) {
  const auto middle = numbers.begin() + static_cast<std::ptrdiff_t>(numbers.size() / 2);
  std::ranges::nth_element(numbers, middle);
  return *middle;
}

// The median is what is checked: whatever else the machine does can only add to a time.
bool judge_times(const std::vector<Binding>& bindings, std::optional<int> limit_us) {
  std::vector<double> times_us;
  std::ranges::transform(bindings, std::back_inserter(times_us), &Binding::open_to_bound_us);
  const double median_us = median(times_us);
  const std::string line =
      fmt::format("open to bound: {} µs in the {} processes, median {:.0f} µs",
                  listed(bindings, &Binding::open_to_bound_us), bindings.size(), median_us);
  const bool in_time =
      limit_us ? check(median_us <= *limit_us, fmt::format("{} (limit {})", line, *limit_us))
               : (fmt::print("{}\n", line), true);
  fmt::print("  opened {} times more: {} µs at best\n", kRepeats,
             listed(bindings, &Binding::best_again_us));
  fmt::print("  making the modules beforehand: {} µs, not counted\n",
             listed(bindings, &Binding::construct_us));
  return in_time;
}

bool judge_keys(const std::vector<Binding>& bindings) {
  const std::uint32_t missing = largest(bindings, &Binding::missing);
  const std::uint32_t unexpected = largest(bindings, &Binding::unexpected);
  return check(missing == 0 && unexpected == 0,
               fmt::format("keys: {} bound, {} missing, {} unexpected, in each process",
                           smallest(bindings, &Binding::bound), missing, unexpected));
}

bool judge_slots(const std::vector<Binding>& bindings) {
  const std::uint32_t bound = largest(bindings, &Binding::bound);
  const std::uint32_t in_place = smallest(bindings, &Binding::slots_in_mapping);
  return check(bound > 0 && in_place == bound,
               fmt::format("values: {} of {} slots point into the mapped file, in each process",
                           in_place, bound));
}

bool judge_scores(const std::vector<Score>& scores) {
  const std::uint32_t right = smallest(scores, &Score::right);
  const std::uint32_t images = scores.front().images;
  fmt::print("accuracy: {} of {} held-out digits right ({:.2f} %), in each process\n", right,
             images, 100.0 * right / images);
  const float difference = largest(scores, &Score::largest_difference);
  return check(difference <= kLargestDifference,
               fmt::format("logits: differ from PyTorch's by at most {:.1e} (limit {:.0e})",
                           difference, kLargestDifference));
}

std::uint64_t in_whole_pages(std::uint64_t bytes) {
  const auto page_bytes = static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
  return (bytes + page_bytes - 1) / page_bytes * page_bytes;
}

bool judge_resident(const Findings& findings, std::uint64_t whole_bytes) {
  const std::vector<MappedMemory>& memory = findings.memory;
  const bool all_there = smallest(memory, &MappedMemory::rss_bytes) == whole_bytes &&
                         largest(memory, &MappedMemory::rss_bytes) == whole_bytes;
  return check(all_there, fmt::format("memory: each process has read all {} pages: Rss {} KiB",
                                      smallest(findings.touched, &Touched::pages),
                                      listed_kib(memory, &MappedMemory::rss_bytes)));
}

bool judge_private(const std::vector<MappedMemory>& memory) {
  return check(largest(memory, &MappedMemory::private_bytes) == 0,
               fmt::format("  in no other process: {} KiB",
                           listed_kib(memory, &MappedMemory::private_bytes)));
}

bool judge_shared(const std::vector<MappedMemory>& memory, std::uint64_t whole_bytes) {
  std::uint64_t sum_bytes = 0;
  for (const MappedMemory& it : memory) {
    sum_bytes += it.pss_bytes;
  }
  const double times = static_cast<double>(sum_bytes) / static_cast<double>(whole_bytes);
  return check(std::abs(times - 1) <= 0.01,
               fmt::format("  shared fairly: Pss {} KiB, in sum {:.3f} times the file",
                           listed_kib(memory, &MappedMemory::pss_bytes), times));
}

}  // namespace

bool check(bool holds, const std::string& line) {
  fmt::print("{:<88} {}\n", line, holds ? "ok" : "FAILED");
  return holds;
}

bool judge(const Findings& findings, std::optional<int> limit_us) {
  const std::uint64_t whole_bytes = in_whole_pages(findings.file_bytes);
  const std::array checks = {judge_times(findings.bindings, limit_us),
                             judge_keys(findings.bindings),
                             judge_slots(findings.bindings),
                             judge_scores(findings.scores),
                             judge_resident(findings, whole_bytes),
                             judge_private(findings.memory),
                             judge_shared(findings.memory, whole_bytes)};
  return std::ranges::all_of(checks, std::identity());
}

}  // namespace weightmap::demo
