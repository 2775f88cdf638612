// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "weightmap/digest.h"
#include "weightmap/result.h"

#include "format/content.h"
#include "format/segment_digest.h"
#include "io/file.h"
#include "io/file_writer.h"
#include "io/share_work.h"

// What all that writes weight files has in common.
namespace weightmap {

// What a weight file says of who wrote it: "weightmap 1.2.3".
std::string_view producer_name();

// Whether it is a power of two, from the least to 2 MiB. Error: kInvalidArgument.
Result<void> check_alignment(std::uint32_t alignment_bytes,
                             std::uint32_t least_bytes = format::kMinAlignmentBytes);

// A target that exists must be a weight file, or the caller's wish; never one of the sources.
// Errors: kExists, kInvalidArgument, kIo. Messages begin with the target.
Result<void> check_weight_file_target(std::span<const io::File> sources,
                                      const std::string& target,
                                      bool replace_any);

// Two names alike, a name that is none: valid in a checkpoint, not to be kept in a weight file.
// Error: kUnsupported. Messages begin with `where`: the source's path.
Result<format::Layout> lay_out_file(const format::Content& content, const std::string& where);

// A new file with room for header, index and extras: the next byte written is the blob's first.
Result<io::FileWriter> begin_file(const format::Layout& layout,
                                  const std::string& target,
                                  bool sync);

// Tells a caller how far work is.
class ProgressTeller {
 public:
  using Function = std::function<bool(std::uint64_t done_bytes, std::uint64_t total_bytes)>;

  // REQUIRES: `function` outlives it.
  ProgressTeller(const Function& function, std::string_view where, std::uint64_t total_bytes)
      : function_(function), where_(where), total_bytes_(total_bytes) {}

  // Error: kCancelled; its message begins with `where`.
  Result<void> tell(std::uint64_t more_bytes);

  // The same, for work that several threads do. REQUIRES: this outlives it.
  io::WorkProgress as_work_progress() {
    return [this](std::uint64_t more_bytes) { return tell(more_bytes); };
  }

 private:
  const Function& function_;
  std::string where_;
  std::uint64_t total_bytes_ = 0;
  std::uint64_t done_bytes_ = 0;
};

// Adds what was found out of the next segment.
void append_digests(format::ContentDigests& all, const format::SegmentDigester::Digests& next);

// Puts header, index and extras into their room; returns the digest of the index. What is left is
// to commit. REQUIRES: the blob is written.
Result<Digest> write_front(io::FileWriter& writer,
                           const format::Content& content,
                           const format::Layout& layout,
                           const format::ContentDigests& digests,
                           const std::string& target);

// The same, and gives the file its name.
Result<Digest> finish_file(io::FileWriter& writer,
                           const format::Content& content,
                           const format::Layout& layout,
                           const format::ContentDigests& digests,
                           const std::string& target);

// The sum of sizes that a layout has accepted.
std::uint64_t sum_of(std::span<const std::uint64_t> sizes);

}  // namespace weightmap
