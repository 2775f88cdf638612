// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <fmt/core.h>

#include "demo/follow.h"
#include "demo/judge.h"
#include "demo/process.h"
#include "demo/worker.h"

// Four processes map one weight file and use it at the same time, and the kernel is asked what that
// costs.
namespace weightmap::demo {
namespace {

constexpr int kProcesses = 4;

struct Task {
  std::string weight_file;  // without symbolic links, as the kernel names it
  std::string folder;       // tests/data/digits
  std::optional<int> limit_us;
};

// One after another: on a machine with fewer processors than workers they would measure each other.
std::optional<std::vector<Process>> start_workers(const Task& task, Findings& findings) {
  std::vector<Process> workers;
  for (int number = 0; number < kProcesses; ++number) {
    auto worker = Process::start({"weightmap_demo", "--worker", task.weight_file, task.folder});
    if (!worker) return std::nullopt;
    const auto binding = worker->channel().receive<Binding>();
    if (!binding) return std::nullopt;
    findings.bindings.push_back(*binding);
    workers.push_back(std::move(*worker));
  }
  return workers;
}

// Lets all workers go on at once and waits until each has reported.
template <typename T>
bool next_step(std::vector<Process>& workers, std::vector<T>& reports) {
  for (Process& worker : workers) {
    worker.channel().send(GoOn{});
  }
  for (Process& worker : workers) {
    const std::optional<T> report = worker.channel().receive<T>();
    if (!report) return false;
    reports.push_back(*report);
  }
  return true;
}

// Reads the file once, so that the times are those of a file in the page cache.
std::uint64_t warm_up(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::vector<char> buffer(1U << 20U);
  std::uint64_t size_bytes = 0;
  while (file.read(buffer.data(), static_cast<std::streamsize>(buffer.size())) ||
         file.gcount() > 0) {
    size_bytes += static_cast<std::uint64_t>(file.gcount());
  }
  return size_bytes;
}

// Nothing: a worker failed, and said why.
std::optional<Findings> run_workers(const Task& task) {
  Findings findings;
  findings.file_bytes = warm_up(task.weight_file);
  auto workers = start_workers(task, findings);
  if (!workers || !next_step(*workers, findings.scores) || !next_step(*workers, findings.touched)) {
    return std::nullopt;
  }
  for (const Process& worker : *workers) {
    findings.memory.push_back(mapped_memory(worker.id(), task.weight_file));
  }
  const bool all_well = std::ranges::all_of(*workers, &Process::finish);
  return all_well ? std::optional(std::move(findings)) : std::nullopt;
}

int run_demo(Task task) {
  std::error_code error;
  const auto path = std::filesystem::canonical(task.weight_file, error);
  if (error) {
    fmt::print(stderr, "weightmap_demo: {}: {}\n", task.weight_file, error.message());
    return 1;
  }
  task.weight_file = path.string();
  fmt::print("{} processes map {}\n", kProcesses, task.weight_file);
  std::fflush(stdout);  // before a worker complains

  const std::optional<Findings> findings = run_workers(task);
  if (!findings) {
    fmt::print(stderr, "weightmap_demo: a process ended before its work was done\n");
    return 1;
  }
  return judge(*findings, task.limit_us) ? 0 : 1;
}

std::optional<int> positive_number(const std::string& text) {
  int number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const bool whole = error == std::errc() && end == text.data() + text.size();
  return whole && number > 0 ? std::optional(number) : std::nullopt;
}

int explain_usage() {
  fmt::print(stderr,
             "usage: weightmap_demo WEIGHT_FILE DIGITS_FOLDER [MICROSECONDS]\n"
             "       weightmap_demo --publish WEIGHT_FILE DIGITS_FOLDER\n");
  return 2;
}

int run(const std::vector<std::string>& arguments) {
  if (arguments.size() == 4 && arguments[1] == "--worker") {
    return run_worker(arguments[2], arguments[3]);
  }
  if (arguments.size() == 4 && arguments[1] == "--follow") {
    return run_following_worker(arguments[2], arguments[3]);
  }
  if (arguments.size() == 4 && arguments[1] == "--publish") {
    return run_publishing(arguments[2], arguments[3]);
  }
  if (arguments.size() != 3 && arguments.size() != 4) return explain_usage();
  Task task{.weight_file = arguments[1], .folder = arguments[2], .limit_us = {}};
  if (arguments.size() == 4) {
    task.limit_us = positive_number(arguments[3]);
    if (!task.limit_us) return explain_usage();
  }
  return run_demo(std::move(task));
}

}  // namespace
}  // namespace weightmap::demo

int main(int argc, char** argv) {
  try {
    return weightmap::demo::run({argv, argv + argc});
  } catch (const std::exception& error) {  // the standard library's: no memory, no terminal
    std::fprintf(stderr, "weightmap_demo: %s\n", error.what());
    return 1;
  }
}
