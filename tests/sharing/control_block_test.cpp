// SPDX-License-Identifier: Apache-2.0
#include "io/control_block.h"

#include <cstdint>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <string>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <thread>
#include <unistd.h>

#include <doctest/doctest.h>

#include "weightmap/generation.h"

#include "io/call_seam.h"
#include "io/system.h"
#include "support/file_bytes.h"
#include "support/process.h"
#include "support/temp_dir.h"

namespace weightmap {
namespace {

using std::chrono::milliseconds;
using tests::TempDir;

constexpr uid_t kSomebody = 12'345;

// As FORMAT.md 11.1 has it, byte by byte.
std::string block_bytes(std::uint64_t counter) {
  std::string bytes(4096, '\0');
  std::memcpy(bytes.data(), "\x89WMGEN\r\n\x01\0\0\0", 12);
  std::memcpy(bytes.data() + 16, &counter, sizeof counter);
  for (char i = 0; i < 16; ++i) {
    bytes[32 + static_cast<std::size_t>(i)] = static_cast<char>(0x20 + i);
    bytes[48 + static_cast<std::size_t>(i)] = static_cast<char>(0x40 + i);
  }
  return bytes;
}

// A directory with a weight file (which nobody opens here) and a block.
struct Scene {
  TempDir dir;
  std::string weights = dir / "m.wmap";
  std::string block = dir / "m.wmap.generation";

  explicit Scene(const std::string& bytes = block_bytes(6)) {
    tests::write_file(weights, "weights");
    tests::write_file(block, bytes);
    ::chmod(weights.c_str(), 0644);
    ::chmod(block.c_str(), 0644);
  }

  GenerationState state() const {
    const auto found = generation_state(weights);
    REQUIRE(found);
    REQUIRE(found->has_value());
    return **found;
  }
  std::string problem() const {
    const auto problem = state().problem;
    return problem ? problem->message() : "";
  }
};

bool mentions(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

io::ControlBlock map_block(const std::string& path, io::ControlBlock::Access access) {
  const bool writes = access == io::ControlBlock::Access::kWrite;
  const io::Descriptor file(::open(path.c_str(), (writes ? O_RDWR : O_RDONLY) | O_CLOEXEC));
  auto block = io::ControlBlock::map(file, path, {}, access);
  REQUIRE_MESSAGE(block, block.error().message());
  return std::move(*block);
}

TEST_SUITE_BEGIN("sharing/control_block");

TEST_CASE("no block is no state, and a path that leads nowhere is an error") {
  const TempDir dir;
  const auto none = generation_state(dir / "m.wmap");
  REQUIRE(none);
  CHECK_FALSE(none->has_value());
  std::filesystem::create_symlink("nowhere", dir / "link.wmap");
  const auto dead = generation_state(dir / "link.wmap");
  REQUIRE_FALSE(dead);
  CHECK(dead.error().code() == ErrorCode::kNotFound);
}

TEST_CASE("a block of bytes counted by hand is read") {
  const Scene even;
  CHECK_FALSE(even.state().problem);
  CHECK(even.state().generation == 3);
  CHECK_FALSE(even.state().is_publishing);
  CHECK(even.state().digest.hex() == "404142434445464748494a4b4c4d4e4f");

  const Scene odd(block_bytes(5));
  CHECK(odd.state().generation == 2);
  CHECK(odd.state().is_publishing);
  CHECK(odd.state().digest.hex() == "202122232425262728292a2b2c2d2e2f");
}

TEST_CASE("a link to the weight file leads to the block beside the file") {
  const Scene scene;
  std::filesystem::create_directory(scene.dir / "links");
  std::filesystem::create_symlink("../m.wmap", scene.dir / "links/now.wmap");
  const auto state = generation_state(scene.dir / "links/now.wmap");
  REQUIRE(state);
  REQUIRE(state->has_value());
  CHECK((*state)->generation == 3);
}

TEST_CASE("what is no block is named, and not used") {
  std::string other = block_bytes(6);
  other[0] = 'x';
  CHECK(mentions(Scene(other).problem(), "is no control block"));
  std::string later = block_bytes(6);
  later[8] = 2;
  CHECK(mentions(Scene(later).problem(), "layout 2, known is 1"));
  CHECK(mentions(Scene("short").problem(), "has 5 bytes, a control block 4096"));

  const Scene linked;
  std::filesystem::rename(linked.block, linked.dir / "elsewhere");
  std::filesystem::create_symlink("elsewhere", linked.block);
  CHECK(mentions(linked.problem(), "cannot open"));

  const Scene fifo;
  std::filesystem::remove(fifo.block);
  REQUIRE(::mkfifo(fifo.block.c_str(), 0644) == 0);
  CHECK(mentions(fifo.problem(), "is a FIFO, not a control block"));

  const Scene folder;
  std::filesystem::remove(folder.block);
  std::filesystem::create_directory(folder.block);
  CHECK(mentions(folder.problem(), "is a directory, not a control block"));
}

TEST_CASE("a block that others may write counts only where they may write the weights, too") {
  const Scene scene;
  for (const mode_t mode : {mode_t{0664}, mode_t{0646}, mode_t{0666}}) {
    CAPTURE(mode);
    ::chmod(scene.weights.c_str(), 0644);
    ::chmod(scene.block.c_str(), mode);
    CHECK(mentions(scene.problem(), "writable by others only if the weight file is"));
    ::chmod(scene.weights.c_str(), mode);
    CHECK(scene.problem().empty());
  }
}

TEST_CASE("a block of somebody else's counts only beside a weight file of theirs") {
  const Scene scene;
  if (::chown(scene.block.c_str(), kSomebody, kSomebody) != 0) {
    MESSAGE("SKIPPED: only root may give a file away");
    return;
  }
  CHECK(mentions(scene.problem(), "belongs to user 12345 with mode 0644"));
  REQUIRE(::chown(scene.weights.c_str(), kSomebody, kSomebody) == 0);
  CHECK(scene.problem().empty());
  // Who may not be another may still be root, or oneself.
  REQUIRE(::chown(scene.block.c_str(), 0, 0) == 0);
  ::chmod(scene.dir.path().c_str(), 0755);
  CHECK(tests::exited_well(tests::in_child([&] {
    return ::setuid(kSomebody + 1) == 0 && generation_state(scene.weights) &&
           !(*generation_state(scene.weights))->problem;
  })));
}

TEST_CASE("a block on a network file system is not used") {
  static constexpr std::uint32_t kNfs = 0x6969;
  static decltype(io::SystemCalls::fstatfs) kernel;
  const Scene scene;
  const io::SystemCalls before = io::system_calls();
  kernel = before.fstatfs;
  io::system_calls().fstatfs = [](int fd, struct statfs* status) {
    const int result = kernel(fd, status);
    status->f_type = kNfs;
    return result;
  };
  const std::string problem = scene.problem();
  io::system_calls() = before;
  CHECK(mentions(problem, "lies on NFS"));
  CHECK(scene.problem().empty());
}

TEST_CASE("a reader writes nothing") {
  const Scene scene;
  const std::string before = tests::read_file(scene.block);
  CHECK(scene.state().generation == 3);
  CHECK(tests::read_file(scene.block) == before);
  CHECK(scene.dir.names() == std::vector<std::string>{"m.wmap", "m.wmap.generation"});
}

TEST_CASE("who waits at a read-only mapping is woken by another process") {
  const Scene scene;
  const io::ControlBlock block = map_block(scene.block, io::ControlBlock::Access::kRead);
  std::thread other([&] {
    const int status = tests::in_child([&] {
      ::usleep(20'000);
      const io::Descriptor file(::open(scene.block.c_str(), O_RDWR | O_CLOEXEC));
      auto own = io::ControlBlock::map(file, scene.block, {}, io::ControlBlock::Access::kWrite);
      if (own) own->set_counter(8);
      return own.has_value();
    });
    CHECK(tests::exited_well(status));
  });
  // Were it not woken, this would outlast any time limit of a test.
  while (block.counter() == 6)
    block.wait_while(6, std::chrono::hours(10));
  CHECK(block.counter() == 8);
  other.join();
}

TEST_CASE("who waits for a counter that has moved on does not wait") {
  const Scene scene;
  const io::ControlBlock block = map_block(scene.block, io::ControlBlock::Access::kRead);
  block.wait_while(5, std::chrono::hours(10));
  block.wait_while(6, milliseconds(1));
  CHECK(block.counter() == 6);
}

TEST_CASE("what a publisher sets stands where FORMAT.md says") {
  const Scene scene(io::new_control_block());
  io::ControlBlock block = map_block(scene.block, io::ControlBlock::Access::kWrite);
  Digest digest;
  for (std::size_t i = 0; i < digest.bytes.size(); ++i)
    digest.bytes[i] = static_cast<std::byte>(0x20 + i);
  block.set_digest(2, digest);
  for (std::byte& byte : digest.bytes)
    byte |= std::byte{0x40};
  for (std::byte& byte : digest.bytes)
    byte &= ~std::byte{0x20};
  block.set_digest(3, digest);
  block.set_counter(6);
  CHECK(tests::read_file(scene.block) == block_bytes(6));
}

TEST_SUITE_END();

}  // namespace
}  // namespace weightmap
