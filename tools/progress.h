// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "terminal.h"

namespace weightmap::tool {

// A bar on standard error for work that takes longer than a second, gone when the work ends;
// nothing where standard error is not a terminal. Not safe for use from several threads.
class Progress {
 public:
  explicit Progress(std::string_view doing);  // "converting"
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // To be called now and then, for the first time before there is anything that a signal could
  // leave behind: until then SIGINT, SIGTERM and SIGHUP end the process, from then on they are
  // remembered. False: one of them asked to stop.
  bool update(std::uint64_t done_bytes, std::uint64_t total_bytes);
  bool wait_for(std::string_view whom);  // the same while nothing is done

  double seconds() const;  // since the start
  void clear();

 private:
  bool is_due();
  void draw(const std::string& text);
  std::string line(std::uint64_t done_bytes, std::uint64_t total_bytes) const;

  using Clock = std::chrono::steady_clock;
  std::string doing_;
  Screen screen_;
  Clock::time_point start_;
  Clock::time_point next_draw_;
  bool drawn_ = false;
  bool catching_ = false;
};

}  // namespace weightmap::tool
