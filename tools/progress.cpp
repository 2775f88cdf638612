// SPDX-License-Identifier: Apache-2.0
#include "progress.h"

#include <algorithm>
#include <cstdio>
#include <utility>

#include <fmt/format.h>

#include "stop_signal.h"

namespace weightmap::tool {
namespace {

constexpr std::chrono::seconds kSilence{1};
constexpr std::chrono::milliseconds kBetweenDraws{100};
constexpr std::size_t kBarColumns = 24;

void write_error_stream(const std::string& text) {
  std::fwrite(text.data(), 1, text.size(), stderr);
}

}  // namespace

Progress::Progress(std::string_view doing)
    : doing_(doing),
      screen_(screen_of(stderr)),
      start_(Clock::now()),
      next_draw_(start_ + kSilence) {}

Progress::~Progress() {
  clear();
}

bool Progress::update(std::uint64_t done_bytes, std::uint64_t total_bytes) {
  if (is_due()) draw(line(done_bytes, total_bytes));
  return caught_signal() == 0;
}

bool Progress::wait_for(std::string_view whom) {
  if (is_due()) draw(fmt::format("waiting for {}", whom));
  return caught_signal() == 0;
}

bool Progress::is_due() {
  if (!std::exchange(catching_, true)) catch_stop_signals();
  return screen_.moves_cursor && Clock::now() >= next_draw_;
}

void Progress::draw(const std::string& text) {
  write_error_stream("\r\x1b[K" + cut_end(text, screen_.columns));
  drawn_ = true;
  next_draw_ = Clock::now() + kBetweenDraws;
}

double Progress::seconds() const {
  return std::chrono::duration<double>(Clock::now() - start_).count();
}

void Progress::clear() {
  if (drawn_) write_error_stream("\r\x1b[K");
  drawn_ = false;
}

std::string Progress::line(std::uint64_t done_bytes, std::uint64_t total_bytes) const {
  const double part =
      total_bytes == 0 ? 1 : static_cast<double>(done_bytes) / static_cast<double>(total_bytes);
  const double fraction = std::clamp(part, 0.0, 1.0);
  const double left_seconds = fraction > 0 ? seconds() * (1 - fraction) / fraction : 0;
  const std::string bar(static_cast<std::size_t>(fraction * kBarColumns), '#');
  return fmt::format("{} {:3.0f}% [{:<{}}] {} of {}, {}, {:.0f} s left", doing_, fraction * 100,
                     bar, kBarColumns, human_bytes(done_bytes), human_bytes(total_bytes),
                     human_rate(done_bytes, seconds()), left_seconds);
}

}  // namespace weightmap::tool
