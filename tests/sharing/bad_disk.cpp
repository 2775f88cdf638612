// SPDX-License-Identifier: Apache-2.0
// bad_disk HOW FILE    has a weight file open and bound, says `bound`, waits for a line, and then
// tells a line a fact. HOW: `touch` reads every tensor, `guard` does so under a guard, `ask` has
// the library read in all the ways that answer with an error, `live` follows the file.
#include <algorithm>
#include <csignal>
#include <cstdio>
#include <deque>
#include <exception>
#include <iostream>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "weightmap/live.h"
#include "weightmap/load.h"
#include "weightmap/prefault.h"
#include "weightmap/weight_file.h"

namespace weightmap::tests {
namespace {

// A tensor that holds its number, counted from one, in every element.
class Bound {
 public:
  explicit Bound(const WeightFile& file) {
    std::vector<FreeSlot> list;
    for (const TensorView tensor : file) {
      Slot& slot = slots_.emplace_back(Slot::Wanted{.shape = {tensor.shape()[0]}});
      list.push_back({tensor.name(), &slot});
    }
    const LoadReport report = bind_slots(list, file);
    if (!report.ok()) throw std::runtime_error(report.text());
  }

  // How many elements are what they were, are zero, and are anything else.
  void tell() const {
    for (std::size_t number = 0; number < slots_.size(); ++number) {
      const std::span<const float> values = values_of(slots_[number]);
      const auto right = std::ranges::count(values, static_cast<float>(number + 1));
      const auto zero = std::ranges::count(values, 0.0F);
      std::cout << "tensor " << number << ' ' << right << ' ' << zero << ' '
                << static_cast<std::ptrdiff_t>(values.size()) - right - zero << std::endl;
    }
  }

 private:
  static std::span<const float> values_of(const Slot& slot) {
    return {reinterpret_cast<const float*>(slot.bytes()),
            static_cast<std::size_t>(slot.shape()[0])};
  }

  std::deque<Slot> slots_;
};

template <typename T>
void tell(std::string_view what, const Result<T>& result) {
  std::cout << what << ' ';
  if (result) {
    std::cout << "ok" << std::endl;
  } else {
    std::cout << error_code_name(result.error().code()) << ' ' << result.error().message()
              << std::endl;
  }
}

void wait_for_bad_disk() {
  std::cout << "bound" << std::endl;
  if (std::cin.get() == EOF) throw std::runtime_error("nobody said that the disk is bad");
}

WeightFile open(const std::string& path, const OpenOptions& options = {}) {
  const auto file = WeightFile::open(path, options);
  if (!file) throw std::runtime_error(file.error().message());
  return *file;
}

void touch(const std::string& path) {
  std::signal(SIGBUS, SIG_DFL);  // not a sanitizer's
  const WeightFile file = open(path);
  const Bound bound(file);
  wait_for_bad_disk();
  bound.tell();
}

void touch_under_guard(const std::string& path) {
  const WeightFile file = open(path, {.guard = true});
  const Bound bound(file);
  wait_for_bad_disk();
  std::cout << "faults " << file.has_faults() << std::endl;
  tell("check", file.check());
  bound.tell();
  std::cout << "faults " << file.has_faults() << std::endl;
  tell("check", file.check());
  for (const Damage& fault : file.faults()) {
    std::cout << "fault " << fault.begin_bytes << ' ' << fault.end_bytes;
    for (const std::string_view name : fault.tensors)
      std::cout << ' ' << name;
    std::cout << std::endl;
  }
}

void tell_what_report_has(const std::string& path) {
  const auto locked = WeightFile::open(path, {.lock = true});
  tell("open-lock", locked);
  if (locked) std::cout << "lock-problem " << locked->report().files[0].lock_problem << std::endl;
  const auto background = WeightFile::open(path, {.prefault = Prefault::kBackground});
  tell("open-background", background);
  if (!background) return;
  std::string problem;
  while (problem.empty()) {
    std::this_thread::yield();
    problem = background->report().prefault_problem;
  }
  std::cout << "background-problem " << problem << std::endl;
}

void ask(const std::string& path) {
  const WeightFile file = open(path);
  const Bound bound(file);
  wait_for_bad_disk();
  tell("prefault", prefault(file));
  tell("prefault-background", BackgroundPrefault(file).wait());
  tell("prefault-first", prefault(file, {.tensors = {0}}));
  std::vector<std::byte> bytes(4);
  tell("read-first", file.read_segment(0, 0, bytes));
  tell("read-last", file.read_segment(file.segment_count() - 1, 0, bytes));
  tell("open", WeightFile::open(path));
  tell("open-copied", WeightFile::open(path, {.mapping = Mapping::kCopied}));
  tell("open-prefault", WeightFile::open(path, {.prefault = Prefault::kBeforeReturn}));
  tell_what_report_has(path);
}

void tell(const FileGeneration& served) {
  std::cout << "generation " << served.generation << std::endl;
  Bound(served.file).tell();
}

// All of the file is in memory before its disk goes bad, of the next one nothing.
void live(const std::string& path) {
  const auto live =
      LiveFile::open(path, {.open = {.prefault = Prefault::kBeforeReturn}, .bind = {}});
  if (!live) throw std::runtime_error(live.error().message());
  wait_for_bad_disk();
  tell(*live->current());
  tell("refresh", live->refresh());
  if (const auto error = live->last_error()) std::cout << "last " << error->message() << std::endl;
  tell(*live->current());
}

int run(std::span<const char* const> arguments) {
  const std::string_view how = arguments.size() == 3 ? arguments[1] : "";
  if (how == "touch") {
    touch(arguments[2]);
  } else if (how == "guard") {
    touch_under_guard(arguments[2]);
  } else if (how == "ask") {
    ask(arguments[2]);
  } else if (how == "live") {
    live(arguments[2]);
  } else {
    std::fprintf(stderr, "usage: bad_disk touch|guard|ask|live FILE\n");
    return 2;
  }
  return 0;
}

}  // namespace
}  // namespace weightmap::tests

int main(int argc, char** argv) {
  try {
    return weightmap::tests::run({argv, static_cast<std::size_t>(argc)});
  } catch (const std::exception& error) {
    std::fprintf(stderr, "bad_disk: %s\n", error.what());
    return 1;
  }
}
