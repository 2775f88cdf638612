// SPDX-License-Identifier: Apache-2.0
// Attaches to a file once and says how long it took: attach HOW FILE [hold]. HOW: `weightmap` (open
// and bind every tensor), `prefault` (the same, and all pages are there), and without a library
// `populate` (map, all pages are there), `touch` (map, and read a byte of each page) and `read`
// (read the file into memory of one's own).
//
// Prints a line of JSON: the seconds, and the share of the file that huge pages map. With `hold` it
// then reads a byte of each page, also of the data files beside it, prints how long that took, and
// stays until its input ends.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <deque>
#include <exception>
#include <filesystem>
#include <iostream>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <sys/mman.h>
#include <utility>
#include <vector>

#include "weightmap/load.h"
#include "weightmap/weight_file.h"

#include "contestant.h"
#include "support/smaps.h"

namespace {

using namespace weightmap;
using Bytes = std::span<const std::byte>;

constexpr std::size_t kPageBytes = 4096;

double seconds_now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

void populate(Bytes bytes) {
  void* const begin = const_cast<std::byte*>(bytes.data());
  bench::require(::madvise(begin, bytes.size(), MADV_POPULATE_READ) == 0, "cannot populate");
}

unsigned touch(Bytes bytes) {
  unsigned sum = 0;
  for (std::size_t at = 0; at < bytes.size(); at += kPageBytes)
    sum += std::to_integer<unsigned>(static_cast<const volatile std::byte&>(bytes[at]));
  return sum;
}

// What is attached, until the end of the process.
struct Attached {
  std::vector<Bytes> parts;  // the file, then the data files beside it
  std::optional<WeightFile> file;
  std::deque<Slot> slots;
  std::optional<bench::InputFile> mapped;
  std::unique_ptr<std::byte[]> read;
};

void bind_all(const WeightFile& file, Attached& into) {
  std::vector<FreeSlot> list;
  for (const TensorView tensor : file) {
    const std::vector<std::int64_t> shape(tensor.shape().begin(), tensor.shape().end());
    Slot& slot = into.slots.emplace_back(Slot::Wanted{.dtype = tensor.dtype(), .shape = shape});
    list.push_back({tensor.name(), &slot});
  }
  const LoadReport report = bind_slots(list, file);
  if (!report.ok()) throw std::runtime_error(report.text());
}

void attach_weightmap(const std::string& path, Attached& into) {
  auto file = WeightFile::open(path);
  if (!file) throw std::runtime_error(file.error().message());
  bind_all(*file, into);
  for (std::uint32_t number = 0; number < file->data_files().size(); ++number)
    into.parts.push_back(file->data_file_mapping(number));
  into.file = std::move(*file);
}

void attach_mapped(const std::string& path, Attached& into) {
  into.mapped.emplace(path);
  into.parts.emplace_back(into.mapped->data(), into.mapped->size());
}

void attach_read(const std::string& path, Attached& into) {
  const bench::InputFile file(path);
  into.read = std::make_unique_for_overwrite<std::byte[]>(file.size());
  constexpr std::size_t kPieceBytes = 8U << 20U;
  for (std::size_t at = 0; at < file.size(); at += kPieceBytes)
    file.read(at, into.read.get() + at, std::min(kPieceBytes, file.size() - at));
  into.parts.emplace_back(into.read.get(), file.size());
}

void attach(const std::string& how, const std::string& path, Attached& into) {
  if (how == "weightmap" || how == "prefault") {
    attach_weightmap(path, into);
  } else if (how == "read") {
    attach_read(path, into);
  } else {
    bench::require(how == "populate" || how == "touch", "no such way to attach");
    attach_mapped(path, into);
  }
  if (how == "prefault" || how == "populate") std::ranges::for_each(into.parts, populate);
  if (how == "touch") std::ranges::for_each(into.parts, touch);
}

// Of the 2 MiB pages that the file could have; its last bytes never fill one.
double huge_share(const std::string& path, std::size_t size) {
  constexpr std::size_t kHugeBytes = 2U << 20U;
  const std::size_t possible = size / kHugeBytes * kHugeBytes;
  if (possible == 0) return 0;
  const std::string real = std::filesystem::canonical(path);
  return static_cast<double>(tests::bytes_of_mapping(real, "FilePmdMapped:")) /
         static_cast<double>(possible);
}

void hold(const Attached& attached) {
  const double begin = seconds_now();
  std::ranges::for_each(attached.parts, touch);
  std::printf("{\"seconds\": %.9f}\n", seconds_now() - begin);
  std::fflush(stdout);
  for (std::string line; std::getline(std::cin, line);) {
  }
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc < 3) {
    std::fputs("usage: attach weightmap|prefault|populate|touch|read FILE [hold]\n", stderr);
    return 2;
  }
  const std::string path = argv[2];
  Attached attached;
  const double begin = seconds_now();
  attach(argv[1], path, attached);
  const double seconds = seconds_now() - begin;
  std::printf("{\"seconds\": %.9f, \"huge_share\": %.4f}\n", seconds,
              huge_share(path, attached.parts.front().size()));
  std::fflush(stdout);
  if (argc > 3) hold(attached);
  return 0;
} catch (const std::exception& failure) {
  std::fprintf(stderr, "attach: %s\n", failure.what());
  return 1;
}
