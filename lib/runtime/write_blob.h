// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <span>

#include "weightmap/result.h"

#include "format/content.h"
#include "io/file_writer.h"
#include "runtime/target_file.h"

namespace weightmap {

// Where the bytes of segments come from, one segment after another. Each is used by one thread.
class BlobSource {
 public:
  BlobSource() = default;
  virtual ~BlobSource() = default;
  BlobSource(const BlobSource&) = delete;
  BlobSource& operator=(const BlobSource&) = delete;
  BlobSource(BlobSource&&) = delete;
  BlobSource& operator=(BlobSource&&) = delete;

  virtual Result<void> begin_segment(std::size_t number) = 0;
  // Fills it with the segment's next bytes: to its end, or to a multiple of 2 MiB of the file.
  virtual Result<void> read(std::span<std::byte> into) = 0;
  virtual Result<void> end_segment() { return {}; }
};

// A source for one more thread. Called by that thread.
using MakeBlobSource = std::function<std::unique_ptr<BlobSource>()>;

// Moves the segments' bytes into the file that begin_file began, as write_parts does, and learns
// their digests. Errors: also those of the sources.
Result<format::ContentDigests> write_blob(io::FileWriter& writer,
                                          const format::Layout& layout,
                                          const MakeBlobSource& make_source,
                                          unsigned jobs,
                                          ProgressTeller& progress);

}  // namespace weightmap
