// SPDX-License-Identifier: Apache-2.0
// Opening reads as FORMAT.md does: map, header, index. Tested by
// tests/runtime/weight_file_test.cpp.
#include "weightmap/weight_file.h"

#include <algorithm>
#include <array>

#include "base/file_kind.h"
#include "base/text.h"
#include "format/file_identity.h"
#include "format/flatbuffer.h"
#include "runtime/bring_in.h"
#include "runtime/data_files.h"
#include "runtime/weight_file_state.h"

namespace weightmap {
namespace {

Result<format::Header> read_file_header(const io::MappedFile& file) {
  std::array<std::byte, kFileKindBytes> first{};
  const auto size = std::min<std::uint64_t>(first.size(), file.size_bytes());
  const std::span<std::byte> bytes(first.data(), size);
  const Result<void> read = file.read_at(0, bytes);
  if (!read) return read.error();
  Result<format::Header> header = format::read_header(bytes, file.size_bytes());
  if (!header) return header.error().with_context(file.path());
  return header;
}

}  // namespace

// Segments ascend file by file, and in each by their offsets.
std::span<const std::byte> WeightFile::State::segment_around(const std::byte* data) const {
  for (std::uint32_t number = 0; number <= siblings.size(); ++number) {
    const io::MappedFile* const mapping = file(number);
    if (mapping == nullptr || !is_in(mapping->bytes(), data)) continue;
    const auto offset = static_cast<std::uint64_t>(data - mapping->bytes().data());
    const auto place = [&](const fb::Segment& segment) {
      const auto at = static_cast<std::uint32_t>(&segment - index.segments.data());
      return std::pair(index.data_file_of(at), segment.offset_bytes());
    };
    const auto after =
        std::ranges::upper_bound(index.segments, std::pair(number, offset), {}, place);
    if (after == index.segments.begin() || place(*std::prev(after)).first != number) return {};
    const fb::Segment& segment = *std::prev(after);
    if (offset > segment.offset_bytes() + segment.size_bytes()) return {};
    return mapping->bytes().subspan(segment.offset_bytes(), segment.size_bytes());
  }
  return {};
}

std::vector<const OpenedFile*> WeightFile::State::open_files() const {
  std::vector<const OpenedFile*> files{&own};
  for (const OpenedFile& sibling : siblings) {
    if (sibling.mapped != nullptr) files.push_back(&sibling);
  }
  return files;
}

Result<Digest> WeightFile::State::checked_structure() const {
  if (!is_structure_checked.load(std::memory_order_relaxed)) {
    const Result<void> right = format::check_structure_digest(index);
    if (!right) return right.error().with_context(path());
    is_structure_checked.store(true, std::memory_order_relaxed);
  }
  return format::digest_from(*index.root->structure_digest());
}

Result<io::PrivateBytes> read_private(const io::MappedFile& file, const format::Range& range) {
  io::PrivateBytes bytes(range.size_bytes);
  const Result<void> read = file.read_at(range.offset_bytes, bytes.bytes());
  if (!read) return read.error();
  return bytes;
}

Result<WeightFile> WeightFile::open(const std::string& path, const OpenOptions& options) {
  Result<io::File> file = io::File::open(path);
  if (!file) return file.error();
  return from_opened(map_file(std::move(*file), options), path, options);
}

Result<WeightFile> WeightFile::open_descriptor(int descriptor,
                                               const std::string& name,
                                               const OpenOptions& options) {
  Result<io::File> file = io::File::from_descriptor(descriptor, name);
  if (!file) return file.error();
  return from_opened(map_file(std::move(*file), options), std::nullopt, options);
}

Result<WeightFile> WeightFile::from_memory(std::span<const std::byte> bytes,
                                           std::shared_ptr<const void> owner,
                                           const std::string& name,
                                           const OpenOptions& options) {
  Result<io::MappedFile> memory = io::MappedFile::from_memory(bytes, std::move(owner), name);
  if (!memory) return memory.error();
  return from_opened(
      OpenedFile{.path = name,
                 .mapped = std::make_shared<const io::MappedFile>(std::move(*memory)),
                 .reason = "it is in memory already"},
      std::nullopt, options);
}

Result<WeightFile> WeightFile::from_opened(Result<OpenedFile> opened,
                                           const std::optional<std::string>& path,
                                           const OpenOptions& options) {
  if (!opened) return opened.error();
  auto state = std::make_shared<State>(std::move(*opened));
  state->options = options;
  const io::MappedFile& own = *state->own.mapped;

  const Result<format::Header> header = read_file_header(own);
  if (!header) return header.error();
  state->header = *header;

  Result<io::PrivateBytes> bytes = read_private(own, header->index);
  if (!bytes) return bytes.error();
  state->index_bytes = std::move(*bytes);

  const Result<format::IndexView> index = format::read_index(state->index_bytes.bytes(), *header);
  if (!index) return index.error().with_context(state->path());
  state->index = *index;

  Result<std::vector<OpenedFile>> siblings = open_siblings(*index, path, options);
  if (!siblings) return siblings.error().with_context(state->path());
  state->siblings = std::move(*siblings);
  const Result<void> there = bring_in(*state);
  if (!there) return there.error();
  return WeightFile(std::move(state));
}

const std::string& WeightFile::path() const {
  return state_->path();
}
std::uint64_t WeightFile::size_bytes() const {
  return state_->own.mapped->bytes().size();
}
std::uint64_t WeightFile::alignment_bytes() const {
  return state_->header.alignment_bytes;
}
Digest WeightFile::digest() const {
  return state_->header.index_digest;
}
std::span<const std::byte> WeightFile::mapping() const {
  return state_->own.mapped->bytes();
}

std::span<const std::byte> WeightFile::data_file_mapping(std::uint32_t number) const {
  const io::MappedFile* const file = state_->file(number);
  return file == nullptr ? std::span<const std::byte>() : file->bytes();
}

std::string WeightFile::format_version() const {
  return concat(format::kMajorVersion, ".", state_->header.minor);
}

std::uint32_t WeightFile::tensor_count() const {
  return static_cast<std::uint32_t>(state_->index.entries.size());
}

std::string_view WeightFile::name(std::uint32_t number) const {
  return state_->index.name(state_->index.entries[number]);
}

TensorView WeightFile::tensor(std::uint32_t number) const {
  const format::IndexView& index = state_->index;
  const fb::Entry& entry = index.entries[number];
  const std::byte* const data = state_->data_of(entry);
  return TensorView({.name = index.name(entry),
                     .dtype = static_cast<Dtype>(entry.dtype()),
                     .flags = entry.flags(),
                     .shape = index.shape(entry),
                     .strides = index.strides(entry),
                     .data = data,
                     .is_absent = data == nullptr && entry.segment() != format::kNoSegment});
}

TensorPlace WeightFile::place(std::uint32_t number) const {
  const fb::Entry& entry = state_->index.entries[number];
  const std::optional<format::Range> place = state_->index.place(entry);
  if (!place) return {};
  return {.segment = entry.segment(),
          .offset_bytes = place->offset_bytes,
          .size_bytes = place->size_bytes};
}

std::optional<std::uint32_t> WeightFile::find_number(std::string_view name) const {
  return state_->index.find(name);
}

std::optional<TensorView> WeightFile::find(std::string_view name) const {
  const auto number = find_number(name);
  if (!number) return std::nullopt;
  return tensor(*number);
}

std::uint32_t WeightFile::composite_count() const {
  return format::size_of(state_->index.root->composites());
}

std::string_view WeightFile::composite_name(std::uint32_t number) const {
  return format::text_of(state_->index.root->composites()->Get(number)->name());
}

CompositeView WeightFile::composite(std::uint32_t number) const {
  const fb::Composite& from = *state_->index.root->composites()->Get(number);
  std::vector<CompositePart> parts;
  parts.reserve(from.parts()->size());
  for (const fb::Part* part : *from.parts()) {
    parts.push_back({format::text_of(part->role()), part->entry(), tensor(part->entry())});
  }
  return CompositeView({.name = format::text_of(from.name()),
                        .kind = static_cast<CompositeKind>(from.kind()),
                        .dtype = static_cast<Dtype>(from.dtype()),
                        .flags = from.flags(),
                        .shape = format::elements(from.shape()),
                        .parts = std::move(parts),
                        .reals = format::elements(from.reals()),
                        .integers = format::elements(from.integers()),
                        .class_name = format::text_of(from.class_name())});
}

std::optional<std::uint32_t> WeightFile::find_composite_number(std::string_view name) const {
  std::uint32_t begin = 0;
  std::uint32_t end = composite_count();
  while (begin < end) {
    const std::uint32_t middle = begin + (end - begin) / 2;
    if (composite_name(middle) == name) return middle;
    composite_name(middle) < name ? begin = middle + 1 : end = middle;
  }
  return std::nullopt;
}

std::optional<CompositeView> WeightFile::find_composite(std::string_view name) const {
  const auto number = find_composite_number(name);
  if (!number) return std::nullopt;
  return composite(*number);
}

std::vector<DataFileInfo> WeightFile::data_files() const {
  std::vector<DataFileInfo> files;
  for (const fb::DataFile* file : *state_->index.root->data_files()) {
    const fb::Digest* const identity = file->identity();
    const bool is_own = files.empty();
    files.push_back({.name = format::text_of(file->name()),
                     .kind = format::data_file_kind_name(file->kind()),
                     .size_bytes = file->size_bytes(),
                     .alignment_bytes = file->alignment_bytes(),
                     .identity = identity ? format::digest_from(*identity) : Digest{},
                     .problem = is_own ? "" : state_->siblings[files.size() - 1].problem});
  }
  return files;
}

std::uint32_t WeightFile::segment_count() const {
  return static_cast<std::uint32_t>(state_->index.segments.size());
}

SegmentInfo WeightFile::segment(std::uint32_t number) const {
  const fb::Segment& segment = state_->index.segments[number];
  return {.data_file = state_->index.data_file_of(number),
          .offset_bytes = segment.offset_bytes(),
          .size_bytes = segment.size_bytes()};
}

std::vector<ModuleVersion> WeightFile::modules() const {
  std::vector<ModuleVersion> modules;
  modules.reserve(state_->index.modules.size());
  for (const fb::Module& module : state_->index.modules) {
    modules.push_back({.path = state_->index.path(module), .version = module.version()});
  }
  return modules;
}

std::optional<std::int64_t> WeightFile::module_version(std::string_view path) const {
  const auto& modules = state_->index.modules;
  const auto found = std::lower_bound(modules.begin(), modules.end(), path,
                                      [this](const fb::Module& module, std::string_view key) {
                                        return state_->index.path(module) < key;
                                      });
  if (found == modules.end() || state_->index.path(*found) != path) return std::nullopt;
  return found->version();
}

Result<format::Extras> read_file_extras(const WeightFile::State& state) {
  const auto bytes = read_private(*state.own.mapped, state.header.extras);
  if (!bytes) return bytes.error();
  Result<format::Extras> extras = format::read_extras(bytes->bytes(), state.index);
  if (!extras) return extras.error().with_context(state.path());
  return extras;
}

Result<ValueGraph> WeightFile::values() const {
  Result<format::Extras> extras = read_file_extras(*state_);
  if (!extras) return extras.error();
  return std::move(extras->values);
}

Result<void> WeightFile::read_segment(std::uint32_t segment,
                                      std::uint64_t offset_bytes,
                                      std::span<std::byte> into) const {
  const std::uint64_t begin_bytes = state_->index.segments[segment].offset_bytes();
  const io::MappedFile* file = state_->file_of(segment);
  if (file != nullptr) return file->read_at(begin_bytes + offset_bytes, into);
  return Error(ErrorCode::kIo,
               concat(path(), ": the data file of segment ", segment, " is not open"));
}

Result<std::vector<Digest>> WeightFile::segment_digests() const {
  const Result<format::Extras> extras = read_file_extras(*state_);
  if (!extras) return extras.error();
  std::vector<Digest> digests;
  for (std::uint32_t segment = 0; segment < segment_count(); ++segment) {
    digests.push_back(format::recorded_digest(*extras, segment).value_or(Digest{}));
  }
  return digests;
}

}  // namespace weightmap
