// SPDX-License-Identifier: Apache-2.0
#include "demo/worker.h"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <span>
#include <unistd.h>

#include <fmt/core.h>

#include "weightmap/load.h"
#include "weightmap/weight_file.h"

#include "demo/digits.h"
#include "demo/held_out.h"
#include "demo/process.h"

namespace weightmap::demo {
namespace {

using Clock = std::chrono::steady_clock;

double microseconds_since(Clock::time_point start) {
  return std::chrono::duration<double, std::micro>(Clock::now() - start).count();
}

struct TimedBind {
  WeightFile file;
  LoadReport report;
  double open_to_bound_us;
};

Result<TimedBind> open_and_bind(Digits& network, const std::string& path) {
  const Clock::time_point start = Clock::now();
  const Result<WeightFile> file = WeightFile::open(path);
  if (!file) return file.error();
  LoadReport report = bind(network, *file);
  const double elapsed_us = microseconds_since(start);
  if (!report.ok()) return report.error();
  return TimedBind{*file, std::move(report), elapsed_us};
}

Result<double> best_open_to_bound_us(const std::string& path) {
  double best_us = 0;
  for (int repeat = 0; repeat < kRepeats; ++repeat) {
    Digits network;
    const Result<TimedBind> timed = open_and_bind(network, path);
    if (!timed) return timed.error();
    const double elapsed_us = timed->open_to_bound_us;
    best_us = repeat == 0 ? elapsed_us : std::min(best_us, elapsed_us);
  }
  return best_us;
}

// Under every name, as a bind counts them.
std::uint32_t slots_in(Module& module, std::span<const std::byte> mapping) {
  const ModuleNaming every_name{.prefix = "", .remove_duplicate = false};
  std::uint32_t count = 0;
  for (const auto& named :
       {module.named_parameters(every_name), module.named_buffers(every_name)}) {
    for (const Module::NamedSlot& slot : named) {
      const std::byte* bytes = slot.slot->bytes();
      count += bytes >= mapping.data() && bytes < mapping.data() + mapping.size() ? 1 : 0;
    }
  }
  return count;
}

Binding describe(Digits& network, const TimedBind& timed) {
  const LoadReport& report = timed.report;
  return {.open_to_bound_us = timed.open_to_bound_us,
          .bound = static_cast<std::uint32_t>(report.matched_count()),
          .missing = static_cast<std::uint32_t>(report.missing().size()),
          .unexpected = static_cast<std::uint32_t>(report.unexpected().size()),
          .slots_in_mapping = slots_in(network, timed.file.mapping())};
}

Touched touch_every_page(std::span<const std::byte> mapping) {
  const auto page_bytes = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  Touched touched;
  for (std::size_t offset = 0; offset < mapping.size(); offset += page_bytes) {
    touched.pages += 1;
    touched.sum += std::to_integer<std::uint64_t>(mapping[offset]);
  }
  return touched;
}

Result<void> work(const std::string& weight_file, const std::string& folder) {
  Channel parent = Process::to_parent();

  const Clock::time_point start = Clock::now();
  Digits network;
  const double construct_us = microseconds_since(start);
  const Result<TimedBind> timed = open_and_bind(network, weight_file);
  if (!timed) return timed.error();
  const Result<double> again_us = best_open_to_bound_us(weight_file);
  if (!again_us) return again_us.error();
  Binding binding = describe(network, *timed);
  binding.construct_us = construct_us;
  binding.best_again_us = *again_us;
  parent.send(binding);
  parent.receive<GoOn>();

  const Result<HeldOut> held_out = read_held_out(folder);
  if (!held_out) return held_out.error();
  parent.send(score(network, *held_out));
  parent.receive<GoOn>();

  parent.send(touch_every_page(timed->file.mapping()));
  parent.receive<GoOn>();
  return {};
}

}  // namespace

int run_worker(const std::string& weight_file, const std::string& folder) {
  const Result<void> done = work(weight_file, folder);
  if (done) return 0;
  fmt::print(stderr, "weightmap_demo: {}\n", done.error().message());
  return 1;
}

}  // namespace weightmap::demo
