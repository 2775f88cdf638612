// SPDX-License-Identifier: Apache-2.0
#include "runtime/target_file.h"

#include <numeric>
#include <utility>

#include "base/text.h"
#include "io/target_rule.h"

namespace weightmap {

std::string_view producer_name() {
  return "weightmap " WEIGHTMAP_VERSION;
}

Result<void> check_alignment(std::uint32_t alignment_bytes, std::uint32_t least_bytes) {
  if (format::is_alignment(alignment_bytes, least_bytes)) return {};
  return Error(ErrorCode::kInvalidArgument,
               concat("an alignment is a power of two from ", least_bytes, " to ",
                      format::kMaxAlignmentBytes, ", not ", alignment_bytes));
}

Result<void> check_weight_file_target(std::span<const io::File> sources,
                                      const std::string& target,
                                      bool replace_any) {
  io::TargetRule rule{
      .kind = "a weight file", .is_kind = io::is_weight_file, .replace_any = replace_any};
  for (const io::File& source : sources)
    rule.sources.push_back(source.identity());
  return io::check_target(target, rule);
}

Result<format::Layout> lay_out_file(const format::Content& content, const std::string& where) {
  Result<format::Layout> layout = format::lay_out(content);
  if (layout) return layout;
  return Error(ErrorCode::kUnsupported, concat(where, ": ", layout.error().message()));
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

Result<void> ProgressTeller::tell(std::uint64_t more_bytes) {
  done_bytes_ += more_bytes;
  if (!function_ || function_(done_bytes_, total_bytes_)) return {};
  return Error(ErrorCode::kCancelled, concat(where_, ": cancelled"));
}

void append_digests(format::ContentDigests& all, const format::SegmentDigester::Digests& next) {
  all.segments.push_back(next.segment);
  all.chunks.insert(all.chunks.end(), next.chunks.begin(), next.chunks.end());
}

Result<Digest> write_front(io::FileWriter& writer,
                           const format::Content& content,
                           const format::Layout& layout,
                           const format::ContentDigests& digests,
                           const std::string& target) {
  const Result<std::vector<std::byte>> front = encode_front(content, layout, digests);
  if (!front) return front.error().with_context(target);
  const Result<void> rewritten = writer.rewrite(0, *front);
  if (!rewritten) return rewritten.error();
  const Result<format::Header> header = format::read_header(*front, layout.file_size_bytes);
  if (!header) return header.error().with_context(target);
  return header->index_digest;
}

Result<Digest> finish_file(io::FileWriter& writer,
                           const format::Content& content,
                           const format::Layout& layout,
                           const format::ContentDigests& digests,
                           const std::string& target) {
  const Result<Digest> digest = write_front(writer, content, layout, digests, target);
  if (!digest) return digest.error();
  const Result<void> committed = writer.commit();
  if (!committed) return committed.error();
  return *digest;
}

std::uint64_t sum_of(std::span<const std::uint64_t> sizes) {
  return std::accumulate(sizes.begin(), sizes.end(), std::uint64_t{0});
}

}  // namespace weightmap
