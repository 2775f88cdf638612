// SPDX-License-Identifier: Apache-2.0
#include "runtime/write_blob.h"

#include <cstdint>
#include <utility>
#include <vector>

#include "format/segment_digest.h"
#include "runtime/write_parts.h"

namespace weightmap {
namespace {

using Digests = format::SegmentDigester::Digests;

class SegmentFiller : public PartFiller {
 public:
  // Of each segment the digests are written once, by whoever fills its part.
  SegmentFiller(const format::Layout& layout,
                std::unique_ptr<BlobSource> source,
                std::vector<Digests>& digests)
      : layout_(layout), source_(std::move(source)), digests_(digests) {}

  Result<void> fill(const ItemsPart& part,
                    io::FilePart& into,
                    const io::WorkProgress& progress) override {
    for (std::size_t i = part.first_item; i < part.end_item; ++i) {
      Result<void> done = into.pad_to(layout_.segments[i].offset_bytes);
      if (done) done = source_->begin_segment(i);
      if (done) done = write_segment(i, into, progress);
      if (done) done = source_->end_segment();
      if (!done) return done;
    }
    return into.pad_to(part.range.end);
  }

 private:
  Result<void> write_segment(std::size_t number,
                             io::FilePart& into,
                             const io::WorkProgress& progress) {
    const std::uint64_t size_bytes = layout_.segments[number].size_bytes;
    format::SegmentDigester digester(size_bytes);
    for (std::uint64_t done = 0; done < size_bytes;) {
      const std::span<std::byte> room = into.room(size_bytes - done);
      if (Result<void> read = source_->read(room); !read) return read;
      digester.update(room);
      if (Result<void> written = into.advance(room.size()); !written) return written;
      done += room.size();
      if (Result<void> going_on = progress(room.size()); !going_on) return going_on;
    }
    digests_[number] = digester.finish();
    return {};
  }

  const format::Layout& layout_;
  const std::unique_ptr<BlobSource> source_;
  std::vector<Digests>& digests_;  // by segment
};

// A segment comes with what is padded behind it.
std::vector<ItemsPart> segment_parts(const format::Layout& layout) {
  std::vector<std::uint64_t> ends;
  for (std::size_t next = 1; next < layout.segments.size(); ++next)
    ends.push_back(layout.segments[next].offset_bytes);
  if (!layout.segments.empty()) ends.push_back(layout.file_size_bytes);
  return parts_of(layout.header.blob.offset_bytes, ends);
}

}  // namespace

Result<format::ContentDigests> write_blob(io::FileWriter& writer,
                                          const format::Layout& layout,
                                          const MakeBlobSource& make_source,
                                          unsigned jobs,
                                          ProgressTeller& progress) {
  std::vector<Digests> digests(layout.segments.size());
  const auto make_filler = [&] {
    return std::make_unique<SegmentFiller>(layout, make_source(), digests);
  };
  const Result<void> written =
      write_parts(writer, segment_parts(layout), make_filler, jobs, progress);
  if (!written) return written.error();
  format::ContentDigests all;
  for (const Digests& of_segment : digests)
    append_digests(all, of_segment);
  return all;
}

}  // namespace weightmap
