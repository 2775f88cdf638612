// SPDX-License-Identifier: Apache-2.0
// What the machine can do at best, two threads at work: limit hash FILE (XXH3 of a mapping), limit
// copy FROM TO (the room taken first, then pieces that end where huge pages do), limit copy-sync
// FROM TO (until the disk has it), limit compare A B (read in pieces, to the end).
#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdio>
#include <exception>
#include <fcntl.h>
#include <future>
#include <memory>
#include <string>
#include <tuple>
#include <unistd.h>

#include "base/hash.h"
#include "contestant.h"

namespace {

using namespace weightmap;

constexpr std::size_t kHugeBytes = 2U << 20U;
constexpr std::size_t kWindowBytes = 64U << 20U;  // written back together

struct Range {
  std::size_t begin = 0;
  std::size_t end = 0;
};

// Runs `work` on both halves at once.
template <typename Work>
void in_halves(std::size_t size, const Work& work) {
  const std::size_t middle = size / 2 / kHugeBytes * kHugeBytes;
  auto first = std::async(std::launch::async, work, Range{0, middle});
  work(Range{middle, size});
  first.get();
}

void hash(const std::string& path) {
  const bench::InputFile file(path);
  in_halves(file.size(), [&file](Range range) {
    std::ignore = digest_of({file.data() + range.begin, range.end - range.begin});
  });
}

// What is not the same in both. Does not stop there: the bytes of a tensor stand at different
// places of two files.
std::size_t differences(const std::byte* first, const std::byte* second, std::size_t size) {
  std::size_t found = 0;
  for (std::size_t at = 0; at < size; ++at)
    found += first[at] == second[at] ? 0 : 1;
  return found;
}

void compare(const std::string& first_path, const std::string& second_path) {
  const bench::InputFile first(first_path);
  const bench::InputFile second(second_path);
  std::atomic<std::size_t> found = 0;
  in_halves(std::min(first.size(), second.size()), [&](Range range) {
    const auto pieces = std::make_unique_for_overwrite<std::byte[]>(2 * kHugeBytes);
    for (std::size_t at = range.begin; at < range.end; at += kHugeBytes) {
      const std::size_t size = std::min(kHugeBytes, range.end - at);
      first.read(at, pieces.get(), size);
      second.read(at, pieces.get() + kHugeBytes, size);
      found += differences(pieces.get(), pieces.get() + kHugeBytes, size);
    }
  });
  std::printf("%zu\n", found.load());
}

int created(const std::string& path, std::size_t size) {
  const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  bench::require(file >= 0, "cannot create the copy");
  bench::require(::posix_fallocate(file, 0, static_cast<off_t>(size)) == 0, "no room for the copy");
  return file;
}

void write_at(int file, const std::byte* from, std::size_t size, std::size_t at) {
  const ssize_t done = ::pwrite(file, from, size, static_cast<off_t>(at));
  bench::require(done == static_cast<ssize_t>(size), "cannot write the copy");
}

// Begins to write back each window that ends here, so that the last wait is short.
void write_back(int file, std::size_t end) {
  if (end % kWindowBytes != 0) return;
  ::sync_file_range(file, static_cast<off_t>(end - kWindowBytes), kWindowBytes,
                    SYNC_FILE_RANGE_WRITE);
}

void copy_range(const bench::InputFile& from, int to, Range range, bool is_durable) {
  const auto piece = std::make_unique_for_overwrite<std::byte[]>(kHugeBytes);
  for (std::size_t at = range.begin; at < range.end; at += kHugeBytes) {
    const std::size_t size = std::min(kHugeBytes, range.end - at);
    from.read(at, piece.get(), size);
    write_at(to, piece.get(), size, at);
    if (is_durable) write_back(to, at + size);
  }
}

void copy(const std::string& from_path, const std::string& to_path, bool is_durable) {
  const bench::InputFile from(from_path);
  const int to = created(to_path, from.size());
  in_halves(from.size(), [&](Range range) { copy_range(from, to, range, is_durable); });
  if (is_durable) bench::require(::fsync(to) == 0, "cannot sync the copy");
  ::close(to);
}

}  // namespace

int main(int argc, char** argv) try {
  const std::string what = argc > 1 ? argv[1] : "";
  if (what == "hash" && argc == 3) {
    hash(argv[2]);
  } else if (what == "compare" && argc == 4) {
    compare(argv[2], argv[3]);
  } else if ((what == "copy" || what == "copy-sync") && argc == 4) {
    copy(argv[2], argv[3], what == "copy-sync");
  } else {
    std::fputs("usage: limit hash FILE | limit copy|copy-sync FROM TO | limit compare A B\n",
               stderr);
    return 2;
  }
  return 0;
} catch (const std::exception& failure) {
  std::fprintf(stderr, "limit: %s\n", failure.what());
  return 1;
}
