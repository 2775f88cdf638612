// SPDX-License-Identifier: Apache-2.0
// Segments of the plan that may want the same one of the base are a group, which one thread tries
// in order: what is found is the same for any number of threads.
#include "convert/shared_segments.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <iterator>
#include <map>
#include <memory>
#include <numeric>
#include <span>
#include <utility>

#include "convert/segment_comparison.h"
#include "io/share_work.h"

namespace weightmap::convert {
namespace {

// Of one segment: an honest pair of files has one or two, and each may cost a reading.
constexpr std::ptrdiff_t kMostCandidates = 4;

using Segments = std::vector<std::uint32_t>;    // of the plan
using Candidates = std::vector<std::uint32_t>;  // segments of the base

// Which of the numbers below `count` belong together, as it is told of pairs.
class DisjointSets {
 public:
  explicit DisjointSets(std::size_t count) : parents_(count) {
    std::iota(parents_.begin(), parents_.end(), 0U);
  }

  std::uint32_t root_of(std::uint32_t number) {
    while (parents_[number] != number)
      number = parents_[number] = parents_[parents_[number]];
    return number;
  }
  void join(std::uint32_t first, std::uint32_t second) {
    parents_[root_of(first)] = root_of(second);
  }

 private:
  std::vector<std::uint32_t> parents_;
};

// Segments of the plan that have one size and digest, and what is left of the base that has them.
struct Alike {
  Segments segments;
  Candidates candidates;  // the first one last
};

using SizeAndDigest = std::pair<std::uint64_t, std::array<std::byte, 16>>;
using AlikeByDigest = std::map<SizeAndDigest, Alike>;

class Search {
 public:
  Search(const WeightFile& base,
         const Source& source,
         const Plan& plan,
         const MakeBlobSource& make_bytes,
         unsigned jobs,
         ProgressTeller& progress)
      : base_(base),
        source_(source),
        plan_(plan),
        make_bytes_(make_bytes),
        threads_(io::threads_for(sum_of(plan.content.segment_sizes_bytes), jobs)),
        progress_(progress),
        taken_(base.segment_count(), 0),
        found_(plan.segments.size()) {}

  Result<std::vector<std::optional<SharedSegment>>> run() {
    Result<void> searched = search_by_name();
    if (searched) searched = search_by_digest();
    if (!searched) return searched.error();
    return std::move(found_);
  }

 private:
  std::uint64_t size_of(std::uint32_t segment) const {
    return plan_.content.segment_sizes_bytes[segment];
  }

  bool is_aligned(std::uint32_t candidate) const {
    return base_.segment(candidate).offset_bytes % plan_.content.alignment_bytes == 0;
  }

  // `each(comparison, number, progress)` for the numbers below `count`, by several threads.
  template <typename Each>
  Result<void> share(std::size_t count, const Each& each) {
    const auto make_worker = [&]() -> io::Worker {
      const auto comparison = std::make_shared<SegmentComparison>(base_, plan_, make_bytes_());
      return [&each, comparison](std::size_t number, const io::WorkProgress& progress) {
        return each(*comparison, number, progress);
      };
    };
    return io::share_work({.items = count,
                           .threads = threads_,
                           .make_worker = make_worker,
                           .tell = progress_.as_work_progress()});
  }

  // The first candidate that has the segment's bytes becomes its place, and is returned.
  Result<std::optional<std::uint32_t>> try_each(std::uint32_t segment,
                                                std::span<const std::uint32_t> candidates,
                                                SegmentComparison& comparison,
                                                const io::WorkProgress& progress) {
    for (const std::uint32_t candidate : candidates) {
      if (taken_[candidate] != 0) continue;
      auto digests = comparison.compare(segment, candidate, progress);
      if (!digests) return digests.error();
      if (!*digests) continue;
      taken_[candidate] = 1;
      found_[segment].emplace(SharedSegment{.number = candidate, .digests = std::move(**digests)});
      return std::optional(candidate);
    }
    return std::optional<std::uint32_t>();
  }

  Result<void> search_by_name() {
    const std::vector<Candidates> named = find_by_name();
    const std::vector<Segments> groups = group_by_candidates(named);
    return share(groups.size(),
                 [&](SegmentComparison& comparison, std::size_t number,
                     const io::WorkProgress& progress) -> Result<void> {
                   for (const std::uint32_t segment : groups[number]) {
                     const auto tried = try_each(segment, named[segment], comparison, progress);
                     if (!tried) return tried.error();
                   }
                   return {};
                 });
  }

  std::vector<Candidates> find_by_name() const {
    std::vector<Candidates> named(found_.size());
    for (const format::TensorContent& tensor : plan_.content.tensors) {
      if (tensor.segment == format::kNoSegment) continue;
      Candidates& list = named[tensor.segment];
      const auto number = base_.find_number(tensor.name);
      if (!number || std::ssize(list) == kMostCandidates) continue;
      const auto candidate = base_.place(*number).segment;
      if (!candidate || std::ranges::find(list, *candidate) != list.end()) continue;
      const bool is_as_long = base_.segment(*candidate).size_bytes == size_of(tensor.segment);
      if (is_as_long && is_aligned(*candidate)) list.push_back(*candidate);
    }
    return named;
  }

  std::vector<Segments> group_by_candidates(const std::vector<Candidates>& named) const {
    DisjointSets sets(taken_.size());
    for (const Candidates& list : named) {
      for (const std::uint32_t candidate : list)
        sets.join(candidate, list.front());
    }
    std::map<std::uint32_t, Segments> by_root;
    for (std::uint32_t segment = 0; segment < named.size(); ++segment)
      if (!named[segment].empty()) by_root[sets.root_of(named[segment].front())].push_back(segment);
    std::vector<Segments> groups;
    groups.reserve(by_root.size());
    for (auto& [root, segments] : by_root)
      groups.push_back(std::move(segments));
    return groups;
  }

  Result<void> search_by_digest() {
    Result<AlikeByDigest> alike = index_base();
    if (!alike) return alike.error();
    Result<void> added = add_planned(*alike);
    if (!added) return added;
    std::vector<Alike> groups;
    for (auto& [key, group] : *alike)
      if (!group.segments.empty()) groups.push_back(std::move(group));
    return share(groups.size(), [&](SegmentComparison& comparison, std::size_t number,
                                    const io::WorkProgress& progress) {
      return try_alike(groups[number], comparison, progress);
    });
  }

  Result<AlikeByDigest> index_base() const {
    const Result<std::vector<Digest>> digests = base_.segment_digests();
    if (!digests) return digests.error();
    AlikeByDigest alike;
    for (auto segment = static_cast<std::uint32_t>(digests->size()); segment-- > 0;) {
      const Digest& digest = (*digests)[segment];
      if (taken_[segment] != 0 || digest == Digest{} || !is_aligned(segment)) continue;
      alike[{base_.segment(segment).size_bytes, digest.bytes}].candidates.push_back(segment);
    }
    return alike;
  }

  // Puts what is not found yet beside what has its size and digest.
  Result<void> add_planned(AlikeByDigest& alike) {
    const Segments left = find_as_long(alike);
    std::vector<Digest> digests(left.size());
    Result<void> known = share(left.size(),
                               [&](SegmentComparison& comparison, std::size_t number,
                                   const io::WorkProgress& progress) -> Result<void> {
                                 const Result<Digest> digest =
                                     digest_of(left[number], comparison, progress);
                                 if (!digest) return digest.error();
                                 digests[number] = *digest;
                                 return {};
                               });
    if (!known) return known;
    for (std::size_t i = 0; i < left.size(); ++i) {
      const auto found = alike.find({size_of(left[i]), digests[i].bytes});
      if (found != alike.end()) found->second.segments.push_back(left[i]);
    }
    return {};
  }

  // What is not found yet and of a size that is left in the base.
  Segments find_as_long(const AlikeByDigest& alike) const {
    Segments segments;
    for (std::uint32_t segment = 0; segment < found_.size(); ++segment) {
      if (found_[segment]) continue;
      const auto first = alike.lower_bound({size_of(segment), {}});
      if (first != alike.end() && first->first.first == size_of(segment))
        segments.push_back(segment);
    }
    return segments;
  }

  // A weight file has them recorded; they only choose what is compared.
  Result<Digest> digest_of(std::uint32_t segment,
                           SegmentComparison& comparison,
                           const io::WorkProgress& progress) const {
    const SegmentSource& from = plan_.segments[segment];
    const bool is_whole =
        !from.cast && from.size_bytes == source_.checkpoint.storages[from.storage].size_bytes;
    if (is_whole && !source_.digests.empty() && source_.digests[from.storage] != Digest{})
      return source_.digests[from.storage];
    const auto digests = comparison.digest(segment, progress);
    if (!digests) return digests.error();
    return digests->segment;
  }

  Result<void> try_alike(Alike& alike,
                         SegmentComparison& comparison,
                         const io::WorkProgress& progress) {
    Candidates& left = alike.candidates;
    for (const std::uint32_t segment : alike.segments) {
      const Candidates next(left.rbegin(),
                            left.rbegin() + std::min(kMostCandidates, std::ssize(left)));
      const auto tried = try_each(segment, next, comparison, progress);
      if (!tried) return tried.error();
      if (*tried) left.erase(std::find(left.end() - std::ssize(next), left.end(), **tried));
    }
    return {};
  }

  const WeightFile& base_;
  const Source& source_;
  const Plan& plan_;
  const MakeBlobSource& make_bytes_;
  const std::size_t threads_;
  ProgressTeller& progress_;
  std::vector<char> taken_;  // by segment of the base; one belongs to one group
  std::vector<std::optional<SharedSegment>> found_;
};

}  // namespace

Result<std::vector<std::optional<SharedSegment>>> find_shared_segments(
    const WeightFile& base,
    const Source& source,
    const Plan& plan,
    const MakeBlobSource& make_bytes,
    unsigned jobs,
    ProgressTeller& progress) {
  return Search(base, source, plan, make_bytes, jobs, progress).run();
}

}  // namespace weightmap::convert
