// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "weightmap/result.h"

#include "convert/plan.h"
#include "format/content.h"
#include "format/segment_digest.h"
#include "runtime/target_file.h"
#include "runtime/write_blob.h"

// Data files beside a weight file that together hold its segments, none larger than wanted. Each is
// a weight file of its own, with the tensors that lie in it and nothing else, and is called by its
// own digest: what is written never takes the place of what another file refers to.
namespace weightmap::convert {

struct Shard {
  std::vector<std::uint32_t> segments;  // of the plan
  format::Content content;
  format::Layout layout;
};

// Shards of at most `most_bytes` for the segments of the weight file itself, in their order; one
// that does not fit into one has one to itself. Errors: kInvalidArgument (more files than
// kMostShards), kUnsupported.
inline constexpr std::size_t kMostShards = 99'999;
Result<std::vector<Shard>> plan_shards(const Plan& plan,
                                       std::uint64_t most_bytes,
                                       const std::string& target);

// Writes shards one after another. Each is whole as soon as it has its name and stays from then on,
// whatever comes of the others: another weight file of the same source may refer to it already.
// Where there is a target, each gets its permissions.
class ShardWriter {
 public:
  ShardWriter(std::string target, bool sync, unsigned jobs)
      : target_(std::move(target)), sync_(sync), jobs_(jobs) {}

  // Number `number` of `count`, from 1, of bytes that are the shard's. Returns the digests of its
  // segments. Errors: those of the bytes, of the file, of progress; kExists (another file has the
  // name).
  Result<std::vector<format::SegmentDigester::Digests>> write(const Shard& shard,
                                                              std::size_t number,
                                                              std::size_t count,
                                                              const MakeBlobSource& bytes,
                                                              ProgressTeller& progress);

  const std::vector<format::DataFileContent>& files() const { return files_; }  // without segments

 private:
  Result<void> commit(io::FileWriter& writer, format::DataFileContent file);

  std::string target_;
  bool sync_ = true;
  unsigned jobs_ = 0;
  std::vector<format::DataFileContent> files_;
};

// Names in the target's directory that are those of its shards, of whatever content, ascending.
// Nothing where the directory cannot be listed.
std::vector<std::string> shard_names_of(const std::string& target);

}  // namespace weightmap::convert
