// SPDX-License-Identifier: Apache-2.0
#include "convert/segment_stream.h"

#include <algorithm>
#include <string>

#include "base/text.h"
#include "format/segment_digest.h"

namespace weightmap::convert {
namespace {

std::string tensors_of(const WeightFile& file, std::uint32_t segment) {
  constexpr std::size_t kShown = 3;
  std::string names;
  std::size_t count = 0;
  for (std::uint32_t number = 0; number < file.tensor_count(); ++number) {
    if (file.place(number).segment != segment) continue;
    if (count++ < kShown) names += concat(names.empty() ? "" : ", ", quoted(file.name(number)));
  }
  return count > kShown ? concat(names, " and ", count - kShown, " more") : names;
}

}  // namespace

Error other_bytes(const WeightFile& file,
                  std::uint32_t segment,
                  const Digest& found,
                  const Digest& recorded) {
  return {ErrorCode::kCorrupt,
          concat(file.path(), ": the bytes of ", tensors_of(file, segment),
                 " are not what was written, digest ", found.hex(), " vs ", recorded.hex())};
}

Result<SegmentStream> SegmentStream::open(const WeightFile& file,
                                          const ExportOptions& options,
                                          std::uint64_t total_bytes) {
  Result<std::vector<Digest>> digests = file.segment_digests();
  if (!digests) return digests.error();
  SegmentStream stream(file, options, std::move(*digests), total_bytes);
  const Result<void> told = stream.advance(0);
  if (!told) return told.error();
  return stream;
}

Result<void> SegmentStream::copy(std::uint32_t segment, io::FileWriter& into, const Look& look) {
  const std::uint64_t size_bytes = file_.segment(segment).size_bytes;
  format::SegmentDigester digester(size_bytes);
  const auto look_too = [&](std::span<const std::byte> bytes) {
    digester.update(bytes);
    look(bytes);
  };
  Result<void> copied = copy_part(segment, 0, size_bytes, into, look_too);
  if (!copied) return copied;
  return compare(segment, digester.finish().segment);
}

Result<void> SegmentStream::copy_part(std::uint32_t segment,
                                      std::uint64_t offset_bytes,
                                      std::uint64_t size_bytes,
                                      io::FileWriter& into,
                                      const Look& look) {
  for (std::uint64_t done = 0; done < size_bytes;) {
    const std::span<std::byte> room = into.room(size_bytes - done);
    Result<void> read = file_.read_segment(segment, offset_bytes + done, room);
    if (!read) return read;
    look(room);
    done += room.size();
    Result<void> written = into.advance(room.size());
    if (!written) return written;
    Result<void> told = advance(room.size());
    if (!told) return told;
  }
  return {};
}

Result<void> SegmentStream::check(std::uint32_t segment) {
  const std::uint64_t size_bytes = file_.segment(segment).size_bytes;
  std::vector<std::byte> buffer(std::min<std::uint64_t>(size_bytes, io::FileWriter::kWriteBytes));
  format::SegmentDigester digester(size_bytes);
  for (std::uint64_t done = 0; done < size_bytes;) {
    const auto piece =
        std::span(buffer).first(std::min<std::uint64_t>(size_bytes - done, buffer.size()));
    Result<void> read = file_.read_segment(segment, done, piece);
    if (!read) return read;
    digester.update(piece);
    done += piece.size();
    Result<void> told = advance(0);
    if (!told) return told;
  }
  return compare(segment, digester.finish().segment);
}

Result<void> SegmentStream::advance(std::uint64_t bytes) {
  done_bytes_ += bytes;
  if (!options_.progress || options_.progress(done_bytes_, total_bytes_)) return {};
  return Error(ErrorCode::kCancelled, concat(file_.path(), ": cancelled"));
}

Result<void> SegmentStream::compare(std::uint32_t segment, const Digest& found) {
  const Digest& recorded = digests_[segment];
  if (recorded == Digest{}) {
    all_checked_ = false;
    return {};
  }
  if (found == recorded) return {};
  return other_bytes(file_, segment, found, recorded);
}

}  // namespace weightmap::convert
