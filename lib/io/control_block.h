// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "weightmap/digest.h"
#include "weightmap/result.h"

#include "io/descriptor.h"
#include "io/file.h"

// The small file beside a weight file by which a publisher tells readers of the next generation:
// FORMAT.md 11. It holds lock-free atomics only, so that no process that dies can block another.
namespace weightmap::io {

inline constexpr std::uint64_t kControlBlockBytes = 4096;

// "model.wmap.generation"
std::string control_block_name(std::string_view weight_file_name);

// What a block holds before the first publish.
std::string new_control_block();

// The counter is twice the generation, and one more while the next one is being published.
inline bool is_publishing(std::uint64_t counter) {
  return counter % 2 == 1;
}
inline std::uint64_t generation_of(std::uint64_t counter) {
  return counter / 2;
}

// A block, mapped and trusted. Movable; safe for several threads and processes.
class ControlBlock {
 public:
  enum class Access : bool { kRead, kWrite };

  // `path` is the block's, for messages; `weight_file` that which it is about, if there is one.
  // Errors: kIo, kCorrupt (it is no control block), kUnsupported (of another layout); kIo:
  // somebody else may write it who may not write the weight file.
  static Result<ControlBlock> map(const Descriptor& file,
                                  const std::string& path,
                                  const Descriptor& weight_file,
                                  Access access);

  ~ControlBlock();
  ControlBlock(ControlBlock&&) noexcept;
  ControlBlock& operator=(ControlBlock&&) noexcept;
  ControlBlock(const ControlBlock&) = delete;
  ControlBlock& operator=(const ControlBlock&) = delete;

  FileIdentity identity() const { return identity_; }

  std::uint64_t counter() const;
  // Of the index of a generation's file, zero where there was none. That of the generation before
  // the one that is being published stays readable until it is.
  Digest digest(std::uint64_t generation) const;
  // Until the counter is another, the time is over, or for no reason.
  void wait_while(std::uint64_t counter, std::chrono::milliseconds at_most) const;

  // REQUIRES: mapped with Access::kWrite, and that no other process writes it.
  void set_counter(std::uint64_t counter);  // and wakes all who wait
  void set_digest(std::uint64_t generation, const Digest& digest);

 private:
  struct Region;  // Boost's mapped_region
  struct Fields;
  ControlBlock();
  Fields& fields() const;

  std::unique_ptr<Region> region_;
  FileIdentity identity_;
};

// What a reader finds beside the weight file of this path, links followed.
struct FoundBlock {
  std::optional<ControlBlock> block;
  std::optional<Error> problem;  // why the one that is there is not used
};
// Errors: kNotFound, kIo: the path leads nowhere.
Result<FoundBlock> find_control_block(const std::string& weight_file_path);

}  // namespace weightmap::io
