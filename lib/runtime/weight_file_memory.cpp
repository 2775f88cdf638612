// SPDX-License-Identifier: Apache-2.0
// What a process does with the memory of a weight file beyond reading it, and whether that memory
// still is the file.
#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "weightmap/weight_file.h"

#include "base/text.h"
#include "format/flatbuffer.h"
#include "runtime/data_files.h"
#include "runtime/tensors_in_ranges.h"
#include "runtime/weight_file_state.h"

namespace weightmap {
namespace {

constexpr std::string_view kWayOut = ": open it anew, and replace files by rename only";

Error changed(const std::string& path, std::string_view what) {
  return {ErrorCode::kCorrupt, concat(path, ": ", what, kWayOut)};
}

// The header holds the digest of the index.
Result<void> check_header(const WeightFile::State& state) {
  std::array<std::byte, format::kHeaderBytes> now{};
  Result<void> read = state.own.mapped->read_at(0, now);
  if (!read) return read;
  const auto header = format::read_header(now, state.own.mapped->bytes().size());
  if (header && header->index_digest == state.header.index_digest) return {};
  return changed(state.path(), "was replaced in place since it was opened, its header is another");
}

Result<void> check_content(const WeightFile::State& state, std::uint32_t data_file) {
  if (data_file == 0) return check_header(state);
  const OpenedFile& sibling = state.opened(data_file);
  const fb::DataFile& expected = *state.index.root->data_files()->Get(data_file);
  Result<void> same = check_identity(expected, *sibling.mapped->file());
  return same ? same : same.error().with_context(sibling.path);
}

// A file cut short has no header to compare, and one with another has another time.
Result<void> check_file(const WeightFile::State& state, std::uint32_t data_file) {
  const OpenedFile& opened = state.opened(data_file);
  if (opened.mapped == nullptr || !opened.mapped->file()) return {};
  const io::File& file = *opened.mapped->file();
  const Result<io::FileState> now = file.state_now();
  if (!now) return now.error();
  const io::FileState& then = file.state_at_open();
  if (now->size_bytes < then.size_bytes) {
    return changed(opened.path, concat("was cut short since it was opened, it has ",
                                       now->size_bytes, " bytes vs ", then.size_bytes));
  }
  Result<void> same = check_content(state, data_file);
  if (!same || *now == then) return same;
  return changed(opened.path, "was written to since it was opened, or its time was set");
}

std::string tensors_text(const Damage& damage) {
  if (damage.tensors.empty()) return "";
  const std::string first = concat(", in ", quoted(damage.tensors.front()));
  const std::size_t others = damage.tensors.size() - 1;
  return others == 0 ? first : concat(first, " and ", others, " more tensors");
}

Error fault_error(const std::string& path, const Damage& damage) {
  return {ErrorCode::kCorrupt, concat(path, ": bytes ", damage.begin_bytes, " to ",
                                      damage.end_bytes, " ", damage.what, tensors_text(damage))};
}

void add_faults(const WeightFile::State& state,
                std::uint32_t data_file,
                std::vector<Damage>& damages) {
  const io::MappedFile* const mapped = state.file(data_file);
  if (mapped == nullptr || mapped->guard() == nullptr) return;
  for (const io::FaultGuard::Fault& fault : mapped->guard()->faults()) {
    const std::uint64_t end = fault.offset_bytes + fault.size_bytes;
    damages.push_back({.data_file = data_file,
                       .begin_bytes = fault.offset_bytes,
                       .end_bytes = std::min<std::uint64_t>(end, mapped->bytes().size()),
                       .what = "could not be read when it was touched, and was zeros",
                       .tensors = {}});
  }
}

}  // namespace

bool WeightFile::has_faults() const {
  const auto has_any = [](const OpenedFile& opened) {
    const io::FaultGuard* const guard = opened.mapped ? opened.mapped->guard() : nullptr;
    return guard != nullptr && guard->has_faults();
  };
  return has_any(state_->own) || std::ranges::any_of(state_->siblings, has_any);
}

std::vector<Damage> WeightFile::faults() const {
  std::vector<Damage> damages;
  for (std::uint32_t number = 0; number <= state_->siblings.size(); ++number)
    add_faults(*state_, number, damages);
  name_tensors(*this, damages);
  return damages;
}

Result<void> WeightFile::check() const {
  for (std::uint32_t number = 0; number <= state_->siblings.size(); ++number) {
    Result<void> same = check_file(*state_, number);
    if (!same) return same;
  }
  if (!has_faults()) return {};
  const Damage first = faults().front();
  return fault_error(state_->opened(first.data_file).path, first);
}

Result<std::span<std::byte>> WeightFile::writable_bytes(std::uint32_t number) const {
  const TensorPlace place = this->place(number);
  const io::MappedFile* const mapped = place.segment ? state_->file_of(*place.segment) : nullptr;
  if (mapped == nullptr) {
    return Error(ErrorCode::kNotFound,
                 concat(path(), ": ", quoted(name(number)), " has no bytes here"));
  }
  const std::span<std::byte> all = mapped->writable_bytes();
  if (all.empty()) {
    return Error(ErrorCode::kUnsupported,
                 concat(path(), ": its memory is shared with other processes: to write to ",
                        quoted(name(number)), ", open it with Mapping::kPrivate"));
  }
  return all.subspan(place.offset_bytes, place.size_bytes);
}

Result<void> WeightFile::release(std::uint32_t number) const {
  const TensorPlace place = this->place(number);
  const std::uint32_t data_file = place.segment ? segment(*place.segment).data_file : 0;
  const bool has_bytes = place.segment && state_->file(data_file) != nullptr;
  return has_bytes ? release_range(data_file, place.offset_bytes, place.size_bytes)
                   : Result<void>();
}

Result<void> WeightFile::release() const {
  for (std::uint32_t number = 0; number <= state_->siblings.size(); ++number) {
    const io::MappedFile* const mapped = state_->file(number);
    if (mapped == nullptr) continue;
    Result<void> released = release_range(number, 0, mapped->bytes().size());
    if (!released) return released;
  }
  return {};
}

Result<void> WeightFile::release_range(std::uint32_t data_file,
                                       std::uint64_t offset_bytes,
                                       std::uint64_t size_bytes) const {
  const OpenedFile& opened = state_->opened(data_file);
  if (opened.got == Mapping::kShared && opened.mapped->is_mapping()) {
    return opened.mapped->release(offset_bytes, size_bytes);
  }
  return Error(ErrorCode::kUnsupported,
               concat(opened.path, ": only pages of a shared mapping can be released"));
}

}  // namespace weightmap
