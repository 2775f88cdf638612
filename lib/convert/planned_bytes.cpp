// SPDX-License-Identifier: Apache-2.0
#include "convert/planned_bytes.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/number_cast.h"
#include "base/path_text.h"
#include "base/strided.h"
#include "base/text.h"
#include "convert/segment_stream.h"

namespace weightmap::convert {
namespace {

using checkpoint::Checkpoint;
using checkpoint::CrcMismatch;

CrcMismatch mismatch_of(const checkpoint::Storage& storage) {
  return {.file = storage.file, .record = concat("storage ", storage.key)};
}

}  // namespace

Result<void> check_crcs(const Checkpoint& source,
                        const ConvertOptions& options,
                        std::span<const CrcMismatch> mismatches) {
  if (!options.verify_crc || mismatches.empty()) return {};
  const CrcMismatch& first = mismatches.front();
  return Error(ErrorCode::kCorrupt, concat(source.files[first.file].path(), ": ",
                                           quoted(first.record), " differs from its CRC"));
}

std::string mismatch_text(const Checkpoint& source, const CrcMismatch& mismatch) {
  if (source.files.size() == 1) return mismatch.record;
  return concat(name_in(source.files[mismatch.file].path()), ": ", mismatch.record);
}

void CrcMismatches::add(std::uint32_t storage) {
  const std::scoped_lock lock(mutex_);
  storages_.insert(storage);
}

std::vector<std::string> CrcMismatches::texts(const Checkpoint& source) const {
  const std::scoped_lock lock(mutex_);
  std::vector<std::string> texts;
  std::set<std::string> told;  // two folders of a TorchScript archive call their storages alike
  for (const std::uint32_t storage : storages_) {
    std::string text = mismatch_text(source, mismatch_of(source.storages[storage]));
    if (told.insert(text).second) texts.push_back(std::move(text));
  }
  return texts;
}

bool PlannedBytes::needs_whole() const {
  return digester_.has_value() || (options_.verify_crc && storage().crc32);
}

Result<void> PlannedBytes::begin_segment(std::size_t number) {
  segment_ = &plan_.segments[numbers_.empty() ? number : numbers_[number]];
  reader_.emplace(source_.checkpoint, storage(), ahead_);
  digester_.reset();
  const bool has_digest =
      !source_.digests.empty() && source_.digests[segment_->storage] != Digest{};
  if (has_digest) digester_.emplace(storage().size_bytes);
  return needs_whole() ? pass_over(segment_->begin_bytes) : reader_->skip(segment_->begin_bytes);
}

Result<void> PlannedBytes::read_storage(std::span<std::byte> into) {
  Result<void> read = reader_->read(into);
  if (read && digester_) digester_->update(into);
  return read;
}

Result<void> PlannedBytes::read(std::span<std::byte> into) {
  if (!segment_->cast) return read_storage(into);
  const Cast cast = *segment_->cast;
  const std::size_t elements = into.size() / addressed_bytes(cast.to);
  elements_.resize(elements * addressed_bytes(cast.from));
  Result<void> read = read_storage(elements_);
  if (read) cast_numbers(cast.from, elements_, cast.to, into);
  return read;
}

Result<void> PlannedBytes::end_segment() {
  if (needs_whole()) {
    Result<void> read =
        pass_over(storage().size_bytes - segment_->begin_bytes - segment_->size_bytes);
    if (!read) return read;
  }
  Result<void> same = check_digest();
  return same ? check_crc() : same;
}

// Reads what is left out, for what is known of the whole.
Result<void> PlannedBytes::pass_over(std::uint64_t size_bytes) {
  constexpr std::uint64_t kPieceBytes = std::uint64_t{1} << 20U;
  while (size_bytes > 0) {
    elements_.resize(std::min(size_bytes, kPieceBytes));
    Result<void> read = read_storage(elements_);
    if (!read) return read;
    size_bytes -= elements_.size();
  }
  return {};
}

Result<void> PlannedBytes::check_digest() {
  if (!digester_) return {};
  const Digest found = digester_->finish().segment;
  const Digest& recorded = source_.digests[segment_->storage];
  if (found == recorded) return {};
  return other_bytes(*source_.weight_file, segment_->storage, found, recorded);
}

Result<void> PlannedBytes::check_crc() {
  if (reader_->crc_matches().value_or(true)) return {};
  crc_mismatches_.add(segment_->storage);
  return check_crcs(source_.checkpoint, options_, std::array{mismatch_of(storage())});
}

}  // namespace weightmap::convert
