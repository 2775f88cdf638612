// SPDX-License-Identifier: Apache-2.0
#include "demo/follow.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <numeric>
#include <optional>
#include <system_error>
#include <vector>

#include <fmt/core.h>

#include "weightmap/live.h"
#include "weightmap/publish.h"
#include "weightmap/save.h"

#include "demo/digits.h"
#include "demo/held_out.h"
#include "demo/judge.h"
#include "demo/process.h"
#include "demo/worker.h"

namespace weightmap::demo {
namespace {

constexpr int kProcesses = 4;
constexpr int kMostRounds = 1000;

// Where the file that is served lies for the time of the demonstration.
class Workplace {
 public:
  Workplace() {
    std::string name = (std::filesystem::temp_directory_path() / "weightmap-demo-XXXXXX").string();
    if (::mkdtemp(name.data()) != nullptr) folder_ = name;
  }
  ~Workplace() {
    std::error_code ignored;
    if (!folder_.empty()) std::filesystem::remove_all(folder_, ignored);
  }
  Workplace(const Workplace&) = delete;
  Workplace& operator=(const Workplace&) = delete;

  std::string served() const { return (folder_ / "served.wmap").string(); }
  std::string next() const { return (folder_ / "next.wmap").string(); }

 private:
  std::filesystem::path folder_;
};

std::uint32_t is_right(const Digits& network, const HeldOut& held_out, std::size_t image) {
  const Logits logits = classify(network, held_out.image(image));
  return std::ranges::max_element(logits) - logits.begin() == held_out.labels[image] ? 1 : 0;
}

using Verdicts = std::vector<std::uint32_t>;  // 1 for each image that is told right

Result<Verdicts> verdicts_of(const std::string& weight_file, const HeldOut& held_out) {
  Digits network;
  const auto file = WeightFile::open(weight_file);
  if (!file) return file.error();
  const LoadReport report = bind(network, *file);
  if (!report.ok()) return report.error();
  Verdicts verdicts(held_out.count());
  for (std::size_t image = 0; image < verdicts.size(); ++image)
    verdicts[image] = is_right(network, held_out, image);
  return verdicts;
}

// The same network, less sure of the digits below five.
Result<void> save_worse(const std::string& weight_file, const std::string& target) {
  constexpr std::ptrdiff_t kRows = 5;
  constexpr float kFactor = 0.3F;
  Digits network;
  const auto file = WeightFile::open(weight_file);
  if (!file) return file.error();
  const LoadReport report = load(network, *file);
  if (!report.ok()) return report.error();
  const auto weights = network.fc.weight.mutable_values();
  const auto count = static_cast<std::size_t>(network.fc.weight.shape()[1] * kRows);
  for (float& weight : weights.first(count))
    weight *= kFactor;
  const auto saved = save(network, target);
  if (!saved) return saved.error();
  return {};
}

// What both generations make of the images, the second one waiting to be published.
struct Expected {
  Verdicts first;
  Verdicts second;
};

Result<Expected> prepare(const Workplace& place,
                         const std::string& weight_file,
                         const HeldOut& held_out) {
  const Result<void> saved = save_worse(weight_file, place.next());
  if (!saved) return saved.error();
  const auto served = publish(place.next(), place.served());
  if (!served) return served.error();
  auto first = verdicts_of(place.served(), held_out);
  if (!first) return first.error();
  std::error_code error;
  std::filesystem::copy_file(weight_file, place.next(), error);
  if (error) return Error(ErrorCode::kIo, weight_file + ": " + error.message());
  auto second = verdicts_of(place.next(), held_out);
  if (!second) return second.error();
  return Expected{std::move(*first), std::move(*second)};
}

std::uint32_t sum_of(const Verdicts& verdicts, std::size_t begin, std::size_t end) {
  const auto at = [&](std::size_t image) {
    return verdicts.begin() + static_cast<std::ptrdiff_t>(image);
  };
  return std::accumulate(at(begin), at(end), 0U);
}

bool is_expected(const Pass& pass, const Expected& expected) {
  const std::size_t count = expected.first.size();
  return pass.strays == 0 && pass.switched_at <= count &&
         pass.right == sum_of(expected.first, 0, pass.switched_at) +
                           sum_of(expected.second, pass.switched_at, count);
}

struct Course {
  std::vector<Pass> passes;
  std::uint64_t generation = 0;
  bool is_done = false;  // every worker made a whole pass with the second generation
};

// Nothing: a worker ended, and said why.
std::optional<std::vector<Pass>> receive_passes(std::vector<Process>& workers) {
  std::vector<Pass> passes;
  for (Process& worker : workers) {
    const auto pass = worker.channel().receive<Pass>();
    if (!pass) return std::nullopt;
    passes.push_back(*pass);
  }
  return passes;
}

Result<Course> run_rounds(const Workplace& place, std::vector<Process>& workers) {
  Course course;
  for (int round = 0; round < kMostRounds && !course.is_done; ++round) {
    for (Process& worker : workers)
      worker.channel().send(GoOn{});
    if (round == 1) {  // while they are at it
      const auto report = publish(place.next(), place.served());
      if (!report) return report.error();
      course.generation = report->generation;
    }
    const auto passes = receive_passes(workers);
    if (!passes) return Error(ErrorCode::kIo, "a process ended before its work was done");
    course.passes.insert(course.passes.end(), passes->begin(), passes->end());
    course.is_done =
        std::ranges::all_of(*passes, [](const Pass& pass) { return pass.switched_at == 0; });
  }
  return course;
}

bool judge_course(const Course& course, const Expected& expected) {
  const std::size_t count = expected.first.size();
  const std::uint32_t before = sum_of(expected.first, 0, count);
  const std::uint32_t after = sum_of(expected.second, 0, count);
  const auto right = std::ranges::count_if(
      course.passes, [&](const Pass& pass) { return is_expected(pass, expected); });
  const auto passes = static_cast<std::ptrdiff_t>(course.passes.size());
  const bool is_better =
      check(after > before, fmt::format("accuracy: {} of {} digits right in generation 1, {} in {}",
                                        before, count, after, course.generation));
  const bool is_whole = check(
      right == passes, fmt::format("answers: in {} of {} passes all are of one generation, then "
                                   "of the next",
                                   right, passes));
  return check(course.is_done, "following: every process serves the new generation") && is_better &&
         is_whole;
}

Result<bool> demonstrate(const std::string& weight_file, const std::string& folder) {
  const auto held_out = read_held_out(folder);
  if (!held_out) return held_out.error();
  const Workplace place;
  const auto expected = prepare(place, weight_file, *held_out);
  if (!expected) return expected.error();
  std::vector<Process> workers;
  for (int number = 0; number < kProcesses; ++number) {
    auto worker = Process::start({"weightmap_demo", "--follow", place.served(), folder});
    if (!worker) return Error(ErrorCode::kIo, "a process cannot be started");
    workers.push_back(std::move(*worker));
  }
  const auto course = run_rounds(place, workers);
  if (!course) return course.error();
  const bool all_well = std::ranges::all_of(workers, &Process::finish);
  return judge_course(*course, *expected) && all_well;
}

Pass pass_over(const Live<Digits>& live, const HeldOut& held_out, std::uint64_t& generation) {
  Pass pass{.switched_at = static_cast<std::uint32_t>(held_out.count())};
  for (std::size_t image = 0; image < held_out.count(); ++image) {
    const LiveNet<Digits> network = live.current();
    pass.strays += network.generation() < generation || network.generation() > 2 ? 1 : 0;
    generation = network.generation();
    if (generation == 2)
      pass.switched_at = std::min(pass.switched_at, static_cast<std::uint32_t>(image));
    pass.right += is_right(*network, held_out, image);
  }
  return pass;
}

Result<void> follow(const std::string& weight_file, const std::string& folder) {
  Channel parent = Process::to_parent();
  const auto held_out = read_held_out(folder);
  if (!held_out) return held_out.error();
  const auto live = Live<Digits>::open(weight_file);
  if (!live) return live.error();
  std::uint64_t generation = 1;
  while (parent.receive<GoOn>())
    parent.send(pass_over(*live, *held_out, generation));
  return {};
}

int fail(const Error& error) {
  fmt::print(stderr, "weightmap_demo: {}\n", error.message());
  return 1;
}

}  // namespace

int run_publishing(const std::string& weight_file, const std::string& folder) {
  fmt::print("{} processes classify digits while a better checkpoint is published\n", kProcesses);
  std::fflush(stdout);  // before a worker complains
  const auto is_well = demonstrate(weight_file, folder);
  if (!is_well) return fail(is_well.error());
  return *is_well ? 0 : 1;
}

int run_following_worker(const std::string& weight_file, const std::string& folder) {
  const Result<void> done = follow(weight_file, folder);
  return done ? 0 : fail(done.error());
}

}  // namespace weightmap::demo
