// SPDX-License-Identifier: Apache-2.0
#include "convert/target_file.h"

#include <numeric>
#include <vector>

#include "base/text.h"
#include "convert/target.h"

namespace weightmap::convert {

Result<void> check_target(std::span<const io::File> sources,
                          const std::string& target,
                          bool replace_any) {
  TargetRule rule{.kind = "a weight file", .is_kind = is_weight_file, .replace_any = replace_any};
  for (const io::File& source : sources)
    rule.sources.push_back(source.identity());
  return check_target(target, rule);
}

Result<format::Layout> lay_out(const format::Content& content, const std::string& source_path) {
  Result<format::Layout> layout = format::lay_out(content);
  if (layout) return layout;
  return Error(ErrorCode::kUnsupported, concat(source_path, ": ", layout.error().message()));
}

Result<io::FileWriter> begin_file(const format::Layout& layout,
                                  const std::string& target,
                                  bool sync) {
  Result<io::FileWriter> writer =
      io::FileWriter::create(target, {.size_bytes = layout.file_size_bytes, .sync = sync});
  if (!writer) return writer.error();
  const Result<void> reserved = writer->pad_to(layout.header.blob.offset_bytes);
  if (!reserved) return reserved.error();
  return writer;
}

Result<Digest> finish_file(io::FileWriter& writer,
                           const format::Content& content,
                           const format::Layout& layout,
                           const format::ContentDigests& digests,
                           const std::string& target) {
  const Result<std::vector<std::byte>> front = encode_front(content, layout, digests);
  if (!front) return front.error().with_context(target);
  const Result<void> rewritten = writer.rewrite(0, *front);
  if (!rewritten) return rewritten.error();
  const Result<void> committed = writer.commit();
  if (!committed) return committed.error();
  const Result<format::Header> header = format::read_header(*front, layout.file_size_bytes);
  if (!header) return header.error().with_context(target);
  return header->index_digest;
}

std::uint64_t sum(std::span<const std::uint64_t> sizes) {
  return std::accumulate(sizes.begin(), sizes.end(), std::uint64_t{0});
}

}  // namespace weightmap::convert
