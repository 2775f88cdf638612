// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "weightmap/digest.h"
#include "weightmap/result.h"

#include "base/file_kind.h"
#include "format/content.h"
#include "io/file.h"
#include "io/file_writer.h"

// What all that writes weight files has in common.
namespace weightmap::convert {

// Judged by its first bytes. Errors: those of reading.
Result<FileKind> kind_of(const io::File& file);

// A target that exists must be a weight file, or the caller's wish; never one of the sources.
// Errors: kExists, kInvalidArgument, kIo. Messages begin with the target.
Result<void> check_target(std::span<const io::File> sources,
                          const std::string& target,
                          bool replace_any);

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
