// SPDX-License-Identifier: Apache-2.0
#include "convert/segment_stream.h"

#include <algorithm>
#include <string>

#include "base/text.h"
#include "format/segment_digest.h"

namespace weightmap::convert {
namespace {

constexpr std::uint64_t kPieceBytes = 2U << 20U;

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

Result<SegmentDigests> SegmentDigests::of(const WeightFile& file) {
  Result<std::vector<Digest>> digests = file.segment_digests();
  if (!digests) return digests.error();
  return SegmentDigests(file, std::move(*digests));
}

Result<void> SegmentDigests::compare(std::uint32_t segment, const Digest& found) const {
  const Digest& recorded = digests_[segment];
  if (recorded == Digest{}) {
    *all_checked_ = false;
    return {};
  }
  if (found == recorded) return {};
  return other_bytes(file_, segment, found, recorded);
}

Result<void> SegmentStream::copy(std::uint32_t segment, const Look& look) {
  const std::uint64_t size_bytes = file_.segment(segment).size_bytes;
  format::SegmentDigester digester(size_bytes);
  const auto look_too = [&](std::span<const std::byte> bytes) {
    digester.update(bytes);
    look(bytes);
  };
  Result<void> copied = copy_part(segment, 0, size_bytes, look_too);
  if (!copied) return copied;
  return digests_.compare(segment, digester.finish().segment);
}

Result<void> SegmentStream::copy_part(std::uint32_t segment,
                                      std::uint64_t offset_bytes,
                                      std::uint64_t size_bytes,
                                      const Look& look) {
  for (std::uint64_t done = 0; done < size_bytes;) {
    const std::span<std::byte> room = into_.room(size_bytes - done);
    Result<void> read = file_.read_segment(segment, offset_bytes + done, room);
    if (!read) return read;
    look(room);
    done += room.size();
    Result<void> written = into_.advance(room.size());
    if (!written) return written;
    Result<void> going_on = progress_(room.size());
    if (!going_on) return going_on;
  }
  return {};
}

Result<void> SegmentStream::check(std::uint32_t segment) {
  const std::uint64_t size_bytes = file_.segment(segment).size_bytes;
  std::vector<std::byte> buffer(std::min<std::uint64_t>(size_bytes, kPieceBytes));
  format::SegmentDigester digester(size_bytes);
  for (std::uint64_t done = 0; done < size_bytes;) {
    const auto piece =
        std::span(buffer).first(std::min<std::uint64_t>(size_bytes - done, buffer.size()));
    Result<void> read = file_.read_segment(segment, done, piece);
    if (!read) return read;
    digester.update(piece);
    done += piece.size();
    Result<void> going_on = progress_(0);
    if (!going_on) return going_on;
  }
  return digests_.compare(segment, digester.finish().segment);
}

}  // namespace weightmap::convert
