// SPDX-License-Identifier: Apache-2.0
#include "convert/segment_comparison.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace weightmap::convert {
namespace {

constexpr std::size_t kPieceBytes = std::size_t{2} << 20U;

}  // namespace

SegmentComparison::SegmentComparison(const WeightFile& base,
                                     const Plan& plan,
                                     std::unique_ptr<BlobSource> bytes)
    : base_(base),
      plan_(plan),
      bytes_(std::move(bytes)),
      planned_(kPieceBytes),
      known_(kPieceBytes) {}

Result<std::optional<SegmentComparison::Digests>> SegmentComparison::compare(
    std::uint32_t segment, std::uint32_t candidate, const io::WorkProgress& progress) {
  format::SegmentDigester digester(size_of(segment));
  const auto look = [&](std::uint64_t at_bytes, std::span<const std::byte> piece) -> Result<bool> {
    const auto same_part = std::span(known_).first(piece.size());
    const Result<void> read = base_.read_segment(candidate, at_bytes, same_part);
    if (!read) return read.error();
    digester.update(piece);
    return std::memcmp(piece.data(), same_part.data(), piece.size()) == 0;
  };
  const Result<bool> same = read_planned(segment, progress, look);
  if (!same) return same.error();
  if (!*same) return std::optional<Digests>();
  const Result<void> going_on = progress(size_of(segment));
  if (!going_on) return going_on.error();
  return std::optional(digester.finish());
}

Result<SegmentComparison::Digests> SegmentComparison::digest(std::uint32_t segment,
                                                             const io::WorkProgress& progress) {
  format::SegmentDigester digester(size_of(segment));
  const auto look = [&](std::uint64_t, std::span<const std::byte> piece) -> Result<bool> {
    digester.update(piece);
    return true;
  };
  const Result<bool> read = read_planned(segment, progress, look);
  if (!read) return read.error();
  return digester.finish();
}

// Piece by piece, until `look` has seen enough; whether it saw all.
Result<bool> SegmentComparison::read_planned(std::uint32_t segment,
                                             const io::WorkProgress& progress,
                                             const Look& look) {
  Result<void> begun = bytes_->begin_segment(segment);
  if (!begun) return begun.error();
  for (std::uint64_t done = 0; done < size_of(segment);) {
    const auto piece = std::span(planned_).first(
        std::min<std::uint64_t>(planned_.size(), size_of(segment) - done));
    const Result<void> read = bytes_->read(piece);
    if (!read) return read.error();
    Result<bool> goes_on = look(done, piece);
    if (!goes_on || !*goes_on) return goes_on;
    const Result<void> going_on = progress(0);
    if (!going_on) return going_on.error();
    done += piece.size();
  }
  const Result<void> ended = bytes_->end_segment();
  if (!ended) return ended.error();
  return true;
}

}  // namespace weightmap::convert
