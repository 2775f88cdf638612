// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "weightmap/result.h"

#include "io/file_part.h"
#include "io/file_writer.h"
#include "runtime/target_file.h"

// A file whose items all have their places is written by several threads, each with a part of it.
namespace weightmap {

// Consecutive items, and the range of the file that they fill.
struct ItemsPart {
  std::size_t first_item = 0;
  std::size_t end_item = 0;
  io::FilePart::Range range;
};

// The first item fills the file from `begin`, the others from where the one before ends. Small ones
// are taken together.
std::vector<ItemsPart> parts_of(std::uint64_t begin, std::span<const std::uint64_t> item_ends);

// To be called when more bytes are done: an error says that it is not to go on.
using PartProgress = std::function<Result<void>(std::uint64_t more_bytes)>;

// Fills parts, one after another. Each is used by one thread.
class PartFiller {
 public:
  PartFiller() = default;
  virtual ~PartFiller() = default;
  PartFiller(const PartFiller&) = delete;
  PartFiller& operator=(const PartFiller&) = delete;
  PartFiller(PartFiller&&) = delete;
  PartFiller& operator=(PartFiller&&) = delete;

  // Writes these items into `into`, which is finished by the caller.
  virtual Result<void> fill(const ItemsPart& part,
                            io::FilePart& into,
                            const PartProgress& progress) = 0;
};

// A filler for one more thread. Called by that thread.
using MakePartFiller = std::function<std::unique_ptr<PartFiller>()>;

// Has the parts filled, up to `jobs` at the same time (0: as many as there are usable processors,
// at most kMostJobs), each with 4 MiB of memory beside that of its filler, and goes on behind them.
// Progress is told by the caller's thread, and an exception of any is thrown there.
// Errors: those of the fillers, of the file, of progress; where several parts fail, those of the
// first. REQUIRES: the parts follow one another, and no byte behind the first begin is written.
inline constexpr unsigned kMostJobs = 8;
Result<void> write_parts(io::FileWriter& writer,
                         std::span<const ItemsPart> parts,
                         const MakePartFiller& make_filler,
                         unsigned jobs,
                         ProgressTeller& progress);

}  // namespace weightmap
