// SPDX-License-Identifier: Apache-2.0
#include "convert/shared_segments.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <functional>
#include <map>
#include <span>
#include <utility>

namespace weightmap::convert {
namespace {

constexpr std::size_t kPieceBytes = std::size_t{2} << 20U;
// Of one segment: an honest pair of files has one or two, and each may cost a reading.
constexpr std::size_t kMostCandidates = 4;

using Candidates = std::vector<std::uint32_t>;  // segments of the base
using Digests = format::SegmentDigester::Digests;

class Search {
 public:
  Search(const WeightFile& base,
         const Source& source,
         const Plan& plan,
         PlannedBytes& bytes,
         ProgressTeller& progress)
      : base_(base),
        source_(source),
        plan_(plan),
        bytes_(bytes),
        progress_(progress),
        taken_(base.segment_count(), false),
        found_(plan.segments.size()),
        planned_(kPieceBytes),
        known_(kPieceBytes) {}

  Result<std::vector<std::optional<SharedSegment>>> run() {
    const std::vector<Candidates> named = find_by_name();
    for (std::uint32_t segment = 0; segment < found_.size(); ++segment) {
      Result<void> tried = try_all(segment, named[segment]);
      if (!tried) return tried.error();
    }
    Result<void> indexed = index_digests();
    if (!indexed) return indexed.error();
    for (std::uint32_t segment = 0; segment < found_.size(); ++segment) {
      Result<void> tried = found_[segment] ? Result<void>() : try_by_digest(segment);
      if (!tried) return tried.error();
    }
    return std::move(found_);
  }

 private:
  std::uint64_t size_of(std::uint32_t segment) const {
    return plan_.content.segment_sizes_bytes[segment];
  }

  bool may_stand_for(std::uint32_t candidate, std::uint32_t segment) const {
    const SegmentInfo place = base_.segment(candidate);
    return place.size_bytes == size_of(segment) &&
           place.offset_bytes % plan_.content.alignment_bytes == 0;
  }

  std::vector<Candidates> find_by_name() const {
    std::vector<Candidates> named(found_.size());
    for (const format::TensorContent& tensor : plan_.content.tensors) {
      if (tensor.segment == format::kNoSegment) continue;
      Candidates& list = named[tensor.segment];
      const auto number = base_.find_number(tensor.name);
      if (!number || list.size() == kMostCandidates) continue;
      const auto candidate = base_.place(*number).segment;
      const bool is_new = candidate && std::ranges::find(list, *candidate) == list.end();
      if (is_new && may_stand_for(*candidate, tensor.segment)) list.push_back(*candidate);
    }
    return named;
  }

  Result<void> index_digests() {
    const Result<std::vector<Digest>> digests = base_.segment_digests();
    if (!digests) return digests.error();
    for (std::uint32_t segment = 0; segment < digests->size(); ++segment) {
      if (taken_[segment] || (*digests)[segment] == Digest{}) continue;
      by_digest_[base_.segment(segment).size_bytes][(*digests)[segment].bytes].push_back(segment);
    }
    return {};
  }

  Result<void> try_by_digest(std::uint32_t segment) {
    const auto of_size = by_digest_.find(size_of(segment));
    if (of_size == by_digest_.end()) return {};
    const Result<Digest> digest = digest_of(segment);
    if (!digest) return digest.error();
    const auto candidates = of_size->second.find(digest->bytes);
    if (candidates == of_size->second.end()) return {};
    Candidates usable;
    for (const std::uint32_t candidate : candidates->second) {
      const bool is_free = !taken_[candidate] && usable.size() < kMostCandidates;
      if (is_free && may_stand_for(candidate, segment)) usable.push_back(candidate);
    }
    return try_all(segment, usable);
  }

  Result<void> try_all(std::uint32_t segment, const Candidates& candidates) {
    for (const std::uint32_t candidate : candidates) {
      if (taken_[candidate] || found_[segment]) continue;
      Result<void> tried = compare(segment, candidate);
      if (!tried) return tried;
    }
    return {};
  }

  // Reads the planned segment piece by piece, until `look` has seen enough; whether it saw all.
  Result<bool> read_planned(
      std::uint32_t segment,
      const std::function<Result<bool>(std::uint64_t at_bytes, std::span<const std::byte>)>& look) {
    Result<void> begun = bytes_.begin_segment(segment);
    if (!begun) return begun.error();
    for (std::uint64_t done = 0; done < size_of(segment);) {
      const auto piece = std::span(planned_).first(
          std::min<std::uint64_t>(planned_.size(), size_of(segment) - done));
      const Result<void> read = bytes_.read(piece);
      if (!read) return read.error();
      Result<bool> goes_on = look(done, piece);
      if (!goes_on || !*goes_on) return goes_on;
      const Result<void> going_on = progress_.tell(0);
      if (!going_on) return going_on.error();
      done += piece.size();
    }
    const Result<void> ended = bytes_.end_segment();
    if (!ended) return ended.error();
    return true;
  }

  Result<void> compare(std::uint32_t segment, std::uint32_t candidate) {
    format::SegmentDigester digester(size_of(segment));
    const auto look = [&](std::uint64_t at_bytes,
                          std::span<const std::byte> piece) -> Result<bool> {
      const auto same_part = std::span(known_).first(piece.size());
      const Result<void> read = base_.read_segment(candidate, at_bytes, same_part);
      if (!read) return read.error();
      digester.update(piece);
      return std::memcmp(piece.data(), same_part.data(), piece.size()) == 0;
    };
    const Result<bool> same = read_planned(segment, look);
    if (!same) return same.error();
    if (!*same) return {};
    taken_[candidate] = true;
    found_[segment].emplace(SharedSegment{.number = candidate, .digests = digester.finish()});
    return progress_.tell(size_of(segment));
  }

  // A weight file has them recorded; they only choose what is compared.
  Result<Digest> digest_of(std::uint32_t segment) {
    const SegmentSource& from = plan_.segments[segment];
    const bool is_whole =
        !from.cast && from.size_bytes == source_.checkpoint.storages[from.storage].size_bytes;
    if (is_whole && !source_.digests.empty() && source_.digests[from.storage] != Digest{})
      return source_.digests[from.storage];
    format::SegmentDigester digester(size_of(segment));
    const auto look = [&digester](std::uint64_t, std::span<const std::byte> piece) -> Result<bool> {
      digester.update(piece);
      return true;
    };
    const Result<bool> read = read_planned(segment, look);
    if (!read) return read.error();
    return digester.finish().segment;
  }

  const WeightFile& base_;
  const Source& source_;
  const Plan& plan_;
  PlannedBytes& bytes_;
  ProgressTeller& progress_;
  std::vector<bool> taken_;  // by segment of the base
  std::map<std::uint64_t, std::map<std::array<std::byte, 16>, Candidates>> by_digest_;  // by size
  std::vector<std::optional<SharedSegment>> found_;
  std::vector<std::byte> planned_;  // a piece of what is planned
  std::vector<std::byte> known_;    // the same of the base
};

}  // namespace

Result<std::vector<std::optional<SharedSegment>>> find_shared_segments(const WeightFile& base,
                                                                       const Source& source,
                                                                       const Plan& plan,
                                                                       PlannedBytes& bytes,
                                                                       ProgressTeller& progress) {
  return Search(base, source, plan, bytes, progress).run();
}

}  // namespace weightmap::convert
