// SPDX-License-Identifier: Apache-2.0
#include "convert/shards.h"

#include <algorithm>
#include <cstddef>
#include <numeric>
#include <optional>
#include <span>
#include <string_view>
#include <utility>

#include "base/checked.h"
#include "base/path_text.h"
#include "base/text.h"
#include "convert/segment_places.h"
#include "io/directory.h"
#include "io/file.h"
#include "runtime/data_files.h"

namespace weightmap::convert {
namespace {

constexpr std::string_view kExtension = ".wmap";
constexpr std::size_t kDigits = 5;  // of a shard's number
constexpr std::size_t kDigestDigits = 16;

std::string stem_of(const std::string& target) {
  std::string name(name_in(target));
  if (name.ends_with(kExtension)) name.resize(name.size() - kExtension.size());
  return name;
}

// A name in the target's directory as a path.
std::string beside(const std::string& target, std::string_view name) {
  return concat(directory_prefix(target), name);
}

std::string padded(std::size_t number) {
  const std::string digits = std::to_string(number);
  return concat(std::string(kDigits - std::min(kDigits, digits.size()), '0'), digits);
}

std::string shard_name(const std::string& target,
                       const Digest& identity,
                       std::size_t number,
                       std::size_t count) {
  return concat(stem_of(target), "-", identity.hex().substr(0, kDigestDigits), "-", padded(number),
                "-of-", padded(count), kExtension);
}

bool is_shard_name(std::string_view name, std::string_view stem) {
  constexpr std::string_view kForm = "-dddddddddddddddd-nnnnn-of-nnnnn.wmap";
  if (name.size() != stem.size() + kForm.size() || !name.starts_with(stem)) return false;
  constexpr std::string_view kHex = "0123456789abcdef";
  return std::ranges::equal(name.substr(stem.size()), kForm, [&](char letter, char form) {
    if (form == 'd') return kHex.find(letter) != std::string_view::npos;
    return form == 'n' ? letter >= '0' && letter <= '9' : letter == form;
  });
}

// Tensors of each segment of a plan.
using TensorsBySegment = std::vector<std::vector<std::uint32_t>>;

TensorsBySegment tensors_by_segment(const Plan& plan) {
  TensorsBySegment tensors(plan.segments.size());
  for (std::uint32_t i = 0; i < plan.content.tensors.size(); ++i) {
    const std::uint32_t segment = plan.content.tensors[i].segment;
    if (segment != format::kNoSegment) tensors[segment].push_back(i);
  }
  return tensors;
}

// A plain dict of the tensors in these segments: what they are parts of is the index's to say.
format::Content content_of(const Plan& plan,
                           const TensorsBySegment& tensors,
                           std::span<const std::uint32_t> segments) {
  format::Content content;
  content.alignment_bytes = plan.content.alignment_bytes;
  content.producer = plan.content.producer;
  std::vector<std::uint32_t> items;
  for (const std::uint32_t segment : segments) {
    const auto number = static_cast<std::uint32_t>(content.segment_sizes_bytes.size());
    content.segment_sizes_bytes.push_back(plan.content.segment_sizes_bytes[segment]);
    for (const std::uint32_t tensor : tensors[segment]) {
      format::TensorContent& added = content.tensors.emplace_back(plan.content.tensors[tensor]);
      added.segment = number;
      added.flags = static_cast<std::uint16_t>(added.flags & ~unsigned{format::kPart});
      items.push_back(content.values.add_text(ValueKind::kStr, added.name));
      items.push_back(content.values.add_number(ValueKind::kTensor, content.tensors.size() - 1));
    }
  }
  content.values.add_parent(ValueKind::kDict, items);
  return content;
}

// Cuts segments into shards from front to back.
class ShardPlan {
 public:
  ShardPlan(const Plan& plan, std::uint64_t most_bytes, const std::string& target)
      : plan_(plan), most_bytes_(most_bytes), target_(target), tensors_(tensors_by_segment(plan)) {}

  Result<std::vector<Shard>> run(std::span<const std::uint32_t> segments) {
    std::vector<Shard> shards;
    while (!segments.empty()) {
      if (shards.size() == kMostShards) return too_many();
      Result<Shard> shard = first_of(segments);
      if (!shard) return shard.error();
      segments = segments.subspan(shard->segments.size());
      shards.push_back(std::move(*shard));
    }
    return shards;
  }

 private:
  Error too_many() const {
    return {ErrorCode::kInvalidArgument,
            concat(target_, ": more than ", kMostShards, " files of ", most_bytes_,
                   " bytes would be needed: choose a larger size")};
  }

  // The bytes alone decide at first; then, as long as header and index make it too large, fewer.
  Result<Shard> first_of(std::span<const std::uint32_t> segments) const {
    for (std::size_t count = count_that_fits(segments);;) {
      Result<Shard> shard = make(segments.first(count));
      if (!shard || count == 1 || shard->layout.file_size_bytes <= most_bytes_) return shard;
      const double share =
          static_cast<double>(most_bytes_) / static_cast<double>(shard->layout.file_size_bytes);
      count = std::clamp<std::size_t>(static_cast<std::size_t>(static_cast<double>(count) * share),
                                      1, count - 1);
    }
  }

  std::size_t count_that_fits(std::span<const std::uint32_t> segments) const {
    std::uint64_t end_bytes = 0;
    std::size_t count = 0;
    for (const std::uint32_t segment : segments) {
      const std::uint64_t size_bytes = plan_.content.segment_sizes_bytes[segment];
      const auto begin = checked_align_up(end_bytes, plan_.content.alignment_bytes);
      const auto end = begin ? checked_add(*begin, size_bytes) : begin;
      if (!end || *end > most_bytes_) break;
      end_bytes = *end;
      ++count;
    }
    return std::max<std::size_t>(count, 1);
  }

  Result<Shard> make(std::span<const std::uint32_t> segments) const {
    Shard shard{.segments = {segments.begin(), segments.end()},
                .content = content_of(plan_, tensors_, segments),
                .layout = {}};
    Result<format::Layout> layout = lay_out_file(shard.content, target_);
    if (!layout) return layout.error();
    shard.layout = std::move(*layout);
    return shard;
  }

  const Plan& plan_;
  std::uint64_t most_bytes_;
  const std::string& target_;
  TensorsBySegment tensors_;
};

// The file of that path, if there is one; kExists if it is not the one that is to come.
Result<std::optional<io::FileIdentity>> find_equal(const std::string& path,
                                                   const format::DataFileContent& coming) {
  const Result<io::File> file = io::File::open(path);
  if (!file && file.error().code() == ErrorCode::kNotFound)
    return std::optional<io::FileIdentity>();
  if (!file) return file.error();
  const Result<Digest> identity = identity_of(coming.kind, *file);
  if (identity && *identity == coming.identity) return std::optional(file->identity());
  return Error(ErrorCode::kExists, concat(path, ": exists and is another file: move it away"));
}

std::vector<format::SegmentDigester::Digests> split(const format::ContentDigests& digests,
                                                    const format::Content& content) {
  std::vector<format::SegmentDigester::Digests> all;
  auto chunk = digests.chunks.begin();
  for (std::size_t i = 0; i < digests.segments.size(); ++i) {
    const auto count = format::chunk_count(content.segment_sizes_bytes[i]);
    const auto end = chunk + static_cast<std::ptrdiff_t>(count);
    all.push_back({.segment = digests.segments[i], .chunks = {chunk, end}});
    chunk = end;
  }
  return all;
}

}  // namespace

Result<std::vector<Shard>> plan_shards(const Plan& plan,
                                       std::uint64_t most_bytes,
                                       const std::string& target) {
  std::vector<std::uint32_t> own(plan.content.segment_sizes_bytes.size());
  std::iota(own.begin(), own.end(), 0U);
  return ShardPlan(plan, most_bytes, target).run(own);
}

Result<std::vector<format::SegmentDigester::Digests>> ShardWriter::write(
    const Shard& shard,
    std::size_t number,
    std::size_t count,
    const MakeBlobSource& bytes,
    ProgressTeller& progress) {
  // Begun as the target itself: who could not read that should not read its shards, and the next
  // run finds the temporary that a dead one left.
  Result<io::FileWriter> writer = begin_file(shard.layout, target_, sync_);
  if (!writer) return writer.error();
  const auto digests = write_blob(*writer, shard.layout, bytes, jobs_, progress);
  if (!digests) return digests.error();
  const Result<Digest> identity =
      write_front(*writer, shard.content, shard.layout, *digests, target_);
  if (!identity) return identity.error();
  const Result<void> committed =
      commit(*writer, {.name = shard_name(target_, *identity, number, count),
                       .kind = fb::DataFileKind::wmap,
                       .size_bytes = shard.layout.file_size_bytes,
                       .identity = *identity});
  if (!committed) return committed.error();
  return split(*digests, shard.content);
}

// Another conversion of the same source may be at work: what it put there meanwhile is as good.
Result<void> ShardWriter::commit(io::FileWriter& writer, format::DataFileContent file) {
  const std::string path = beside(target_, file.name);
  const auto before = find_equal(path, file);
  if (!before) return before.error();
  Result<void> committed = writer.commit_as(path);
  if (!committed && !writer.is_published()) {
    const auto after = find_equal(path, file);
    if (after && *after && *after != *before) committed = {};
  }
  files_.push_back(std::move(file));
  return committed;
}

std::vector<std::string> shard_names_of(const std::string& target) {
  const Result<io::Directory> directory = io::Directory::containing(target);
  if (!directory) return {};
  Result<std::vector<std::string>> names = directory->names();
  if (!names) return {};
  const std::string stem = stem_of(target);
  std::erase_if(*names, [&stem](const std::string& name) { return !is_shard_name(name, stem); });
  return *std::move(names);
}

}  // namespace weightmap::convert
