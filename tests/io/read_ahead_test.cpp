// SPDX-License-Identifier: Apache-2.0
#include "io/read_ahead.h"

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <optional>
#include <string>

#include <doctest/doctest.h>

#include "io/call_seam.h"
#include "support/file_bytes.h"
#include "support/temp_dir.h"

namespace weightmap::io {
namespace {

using tests::CallSeam;
using tests::noise;
using tests::SeenCall;
using tests::TempDir;
using tests::Verdict;
using tests::write_file;

// A file of noise, which is read piece by piece.
class NoiseFile {
 public:
  explicit NoiseFile(std::size_t size) : bytes_(noise(size)) {
    write_file(path(), bytes_);
    auto opened = File::open(path());
    REQUIRE(opened);
    file_.emplace(std::move(*opened));
  }
  std::string path() const { return directory_ / "noise"; }
  const File& file() const { return *file_; }

  // Whether the piece is what stands there.
  bool reads(ReadAhead& ahead, std::uint64_t offset, std::size_t size) const {
    std::string piece(size, '?');
    const auto read = ahead.read_at(*file_, offset, std::as_writable_bytes(std::span(piece)));
    REQUIRE(read);
    return piece == bytes_.substr(offset, size);
  }

 private:
  TempDir directory_;
  std::string bytes_;
  std::optional<File> file_;
};

TEST_SUITE("io/read_ahead") {
  TEST_CASE("pieces are what the file has, whatever their order and sizes") {
    const NoiseFile noise_file(1'000'000);
    ReadAhead ahead;
    std::uint64_t state = 1;
    for (std::uint64_t at = 0, step = 0; step < 5'000; ++step) {
      state = state * 6364136223846793005U + 1442695040888963407U;
      const std::size_t size = (state >> 33U) % (step % 16 == 0 ? 40'000 : 300);
      const bool is_jump = step % 7 == 0;
      at = is_jump ? (state >> 20U) % 900'000 : at + (state >> 50U) % 5'000;
      at = std::min<std::uint64_t>(at, 1'000'000 - size);
      CHECK(noise_file.reads(ahead, at, size));
    }
  }

  TEST_CASE("small pieces close together take few calls, and all bytes are read once") {
    constexpr std::uint64_t kPieces = 20'000;
    const NoiseFile noise_file(kPieces * 64);
    ReadAhead ahead;
    CallSeam seam;
    for (std::uint64_t i = 0; i < kPieces; ++i)
      REQUIRE(noise_file.reads(ahead, i * 64 + 30, 10));
    const auto reads = seam.all("pread");
    CHECK(reads.size() <= 15);
    std::int64_t bytes = 0;
    for (const SeenCall& call : reads)
      bytes += call.size;
    CHECK(bytes <= static_cast<std::int64_t>(kPieces * 64 + 4096));
  }

  TEST_CASE("large and distant pieces take one call each, of their own size") {
    const NoiseFile noise_file(1'000'000);
    ReadAhead ahead;
    CallSeam seam;
    for (const std::uint64_t at : {0U, 100'000U, 30'000U, 500'000U})
      REQUIRE(noise_file.reads(ahead, at, 100));
    for (const std::uint64_t at : {600'000U, 700'000U, 800'000U})
      REQUIRE(noise_file.reads(ahead, at, 100'000));
    const auto reads = seam.all("pread");
    REQUIRE(reads.size() == 7);
    for (std::size_t i = 0; i < 7; ++i)
      CHECK(reads[i].size == (i < 4 ? 100 : 100'000));
  }

  TEST_CASE("what cannot be read ahead is no error, what was asked for is") {
    const NoiseFile noise_file(100'000);
    ReadAhead ahead;
    const CallSeam seam([](const SeenCall& call) -> Verdict {
      return call.offset + call.size > 20'000 ? Verdict{.error = EIO} : Verdict{};
    });
    for (std::uint64_t at = 0; at < 20'000; at += 100)
      REQUIRE(noise_file.reads(ahead, at, 100));
    std::string piece(100, '?');
    const auto read =
        ahead.read_at(noise_file.file(), 20'000, std::as_writable_bytes(std::span(piece)));
    REQUIRE_FALSE(read);
    CHECK(read.error().code() == ErrorCode::kIo);
  }

  TEST_CASE("a file that was cut short is corrupt where it ends, not before") {
    const NoiseFile noise_file(100'000);
    std::filesystem::resize_file(noise_file.path(), 50'000);
    ReadAhead ahead;
    for (std::uint64_t at = 0; at < 50'000; at += 1'000)
      REQUIRE(noise_file.reads(ahead, at, 1'000));
    std::string piece(1'000, '?');
    const auto read =
        ahead.read_at(noise_file.file(), 50'000, std::as_writable_bytes(std::span(piece)));
    REQUIRE_FALSE(read);
    CHECK(read.error().code() == ErrorCode::kCorrupt);
  }

  TEST_CASE("the window is one file's") {
    const NoiseFile first(50'000);
    ReadAhead ahead;
    for (std::uint64_t at = 0; at < 1'000; at += 100)
      REQUIRE(first.reads(ahead, at, 100));
    TempDir directory;
    write_file(directory / "zeros", std::string(50'000, '\0'));
    const auto second = File::open(directory / "zeros");
    REQUIRE(second);
    for (const std::uint64_t at : {900U, 1'000U}) {
      std::string piece(100, '?');
      REQUIRE(ahead.read_at(*second, at, std::as_writable_bytes(std::span(piece))));
      CHECK(piece == std::string(100, '\0'));
    }
    CHECK(first.reads(ahead, 1'000, 100));
  }
}

}  // namespace
}  // namespace weightmap::io
