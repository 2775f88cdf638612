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
#include "io/share_work.h"
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
                            const io::WorkProgress& progress) = 0;
};

// A filler for one more thread. Called by that thread.
using MakePartFiller = std::function<std::unique_ptr<PartFiller>()>;

// Has the parts filled by threads_for(all of them, jobs) threads, as share_work does, and goes on
// behind them. A very large part has two of the threads. Each has 4 MiB of memory beside that of
// its filler.
// Errors: those of the fillers, of the file, of progress; where several parts fail, those of the
// first. REQUIRES: the parts follow one another, and no byte behind the first begin is written.
Result<void> write_parts(io::FileWriter& writer,
                         std::span<const ItemsPart> parts,
                         const MakePartFiller& make_filler,
                         unsigned jobs,
                         ProgressTeller& progress);

}  // namespace weightmap
