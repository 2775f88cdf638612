// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "weightmap/digest.h"
#include "weightmap/result.h"

#include "format/content.h"
#include "io/file.h"
#include "io/file_writer.h"

// What all that writes weight files has in common.
namespace weightmap::convert {

// A target that exists must be a weight file, or the caller's wish; never one of the sources.
// Errors: kExists, kInvalidArgument, kIo. Messages begin with the target.
Result<void> check_target(std::span<const io::File> sources,
                          const std::string& target,
                          bool replace_any);

// Two names alike, a name that is none: valid in a checkpoint, not to be kept in a weight file.
// Error: kUnsupported. Messages begin with the source's path.
Result<format::Layout> lay_out(const format::Content& content, const std::string& source_path);

// A new file with room for header, index and extras: the next byte written is the blob's first.
Result<io::FileWriter> begin_file(const format::Layout& layout,
                                  const std::string& target,
                                  bool sync);

// Puts header, index and extras into their room and gives the file its name; returns the digest of
// the index. REQUIRES: the blob is written.
Result<Digest> finish_file(io::FileWriter& writer,
                           const format::Content& content,
                           const format::Layout& layout,
                           const format::ContentDigests& digests,
                           const std::string& target);

// The sum of sizes that a layout has accepted.
std::uint64_t sum(std::span<const std::uint64_t> sizes);

}  // namespace weightmap::convert
