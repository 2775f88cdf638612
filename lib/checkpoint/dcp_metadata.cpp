// SPDX-License-Identifier: Apache-2.0
#include "checkpoint/dcp_metadata.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <string>
#include <utility>

#include "base/text.h"

namespace weightmap::checkpoint {
namespace {

constexpr std::size_t kMaxRank = 64;
// A few bytes can repeat a long shape; an honest size takes two bytes of its own.
constexpr std::uint64_t kSizesPerByte = 4;
constexpr std::uint64_t kSpareSizes = 1U << 16U;
constexpr std::size_t kMaxFields = 16;  // of an object; honest ones have five
constexpr std::uint32_t kNoText = 0xFFFFFFFFU;

Error corrupt(std::string message) {
  return {ErrorCode::kCorrupt, std::move(message)};
}

using Ids = std::span<const ValueId>;

// An entry of storage_data.
struct Stored {
  std::uint32_t name = kNoText;  // the text's number
  Ids offsets;
  bool has_offsets = false;
  bool is_used = false;
  ValueId info = kNoValue;
};

class MetadataReader {
 public:
  explicit MetadataReader(const Pickle& pickle)
      : pickle_(pickle), sizes_left_(kSpareSizes + kSizesPerByte * pickle.bytes.size()) {
    number_texts();
  }

  Result<DcpMetadata> read();

 private:
  void number_texts();
  Result<void> read_storage_data(ValueId id);
  Result<Stored> read_index(ValueId id) const;
  Result<void> read_entries(ValueId id);
  Result<void> read_entry(ValueId key, ValueId id);
  Result<void> read_tensor(DcpEntry& entry, std::uint32_t name, ValueId id);
  Result<Dtype> read_dtype(ValueId properties) const;
  Result<void> read_chunk(DcpEntry& entry, std::uint32_t name, ValueId id);
  Result<DcpItem> take_item(std::uint32_t name, std::optional<Ids> offsets);
  Result<DcpItem> read_info(ValueId id);
  Result<std::uint32_t> file_number(ValueId path);
  Result<void> read_paths(ValueId id);
  Result<void> read_path(DcpEntry& entry, ValueId id);

  const PickleValue& value(ValueId id) const { return pickle_.values[id]; }
  bool is_object(ValueId id, std::string_view class_name) const;
  Result<Ids> fields_of(ValueId id, std::string_view class_name) const;
  ValueId find(Ids pairs, std::string_view key) const;
  Result<Ids> sizes_of(ValueId id) const;
  Result<void> spend(std::size_t sizes);
  std::optional<std::uint64_t> number_of(ValueId id) const;
  std::vector<std::int64_t> copied(Ids sizes) const;
  std::strong_ordering compare(Ids a, Ids b) const;
  bool comes_before(const Stored& a, const Stored& b) const;

  const Pickle& pickle_;
  std::uint64_t sizes_left_;
  std::vector<std::uint32_t> text_numbers_;   // by ValueId: equal texts have one number
  std::vector<std::uint32_t> file_numbers_;   // by text number
  std::vector<std::uint32_t> entry_numbers_;  // by text number
  std::vector<Stored> stored_;                // ascending by name, then offsets
  DcpMetadata metadata_;
};

// Equal texts get equal numbers once, so that a long one that is mentioned often is compared once.
void MetadataReader::number_texts() {
  std::vector<ValueId> texts;
  for (ValueId id = 0; id < pickle_.values.size(); ++id) {
    if (value(id).kind == PickleKind::kStr) texts.push_back(id);
  }
  const auto text = [this](ValueId id) { return pickle_.text(value(id)); };
  std::ranges::sort(texts, {}, text);
  text_numbers_.assign(pickle_.values.size(), kNoText);
  std::uint32_t number = 0;
  for (std::size_t i = 0; i < texts.size(); ++i) {
    if (i > 0 && text(texts[i]) != text(texts[i - 1])) ++number;
    text_numbers_[texts[i]] = number;
  }
  file_numbers_.assign(std::size_t{number} + 1, kNoText);
  entry_numbers_ = file_numbers_;
}

Result<DcpMetadata> MetadataReader::read() {
  const auto fields = fields_of(pickle_.root, "Metadata");
  if (!fields) return fields.error();
  if (auto done = read_storage_data(find(*fields, "storage_data")); !done) return done.error();
  if (auto done = read_entries(find(*fields, "state_dict_metadata")); !done) return done.error();
  if (auto done = read_paths(find(*fields, "planner_data")); !done) return done.error();
  return std::move(metadata_);
}

bool MetadataReader::is_object(ValueId id, std::string_view class_name) const {
  if (id == kNoValue || value(id).kind != PickleKind::kCall) return false;
  const PickleValue& callable = value(pickle_.calls[value(id).slot].callable);
  if (callable.kind != PickleKind::kGlobal) return false;
  const GlobalName& name = pickle_.globals[callable.slot];
  return name.module.starts_with("torch.distributed.") && name.name == class_name;
}

// The attributes that an object was given, key, value ...
Result<Ids> MetadataReader::fields_of(ValueId id, std::string_view class_name) const {
  if (!is_object(id, class_name))
    return corrupt(concat("there is no ", class_name, " where one belongs"));
  const ValueId state = pickle_.calls[value(id).slot].state;
  if (state == kNoValue || value(state).kind != PickleKind::kDict) {
    return corrupt(concat("a ", class_name, " without attributes"));
  }
  const Ids fields = pickle_.items_of(value(state));
  if (fields.size() > 2 * kMaxFields)
    return corrupt(concat("a ", class_name, " with too many attributes"));
  return fields;
}

ValueId MetadataReader::find(Ids pairs, std::string_view key) const {
  ValueId found = kNoValue;
  for (std::size_t i = 0; i < pairs.size(); i += 2) {
    const PickleValue& name = value(pairs[i]);
    if (name.kind == PickleKind::kStr && pickle_.text(name) == key) found = pairs[i + 1];
  }
  return found;
}

// A torch.Size, or the tuple or list of its sizes.
Result<Ids> MetadataReader::sizes_of(ValueId id) const {
  if (id != kNoValue && value(id).kind == PickleKind::kCall) {
    const PickleCall& call = pickle_.calls[value(id).slot];
    const Ids arguments = pickle_.items_of(value(call.arguments));
    id = arguments.size() == 1 ? arguments[0] : kNoValue;
  }
  const bool is_list = id != kNoValue && (value(id).kind == PickleKind::kTuple ||
                                          value(id).kind == PickleKind::kList);
  if (!is_list) return corrupt("sizes that are no list");
  const Ids sizes = pickle_.items_of(value(id));
  if (sizes.size() > kMaxRank) {
    return Error(ErrorCode::kUnsupported,
                 concat("a tensor with ", sizes.size(), " dimensions, at most ", kMaxRank));
  }
  if (!std::ranges::all_of(sizes, [this](ValueId size) { return number_of(size).has_value(); })) {
    return corrupt("a size that is no number from 0 to 2^63 - 1");
  }
  return sizes;
}

Result<void> MetadataReader::spend(std::size_t sizes) {
  if (sizes > sizes_left_) {
    return Error(ErrorCode::kUnsupported,
                 concat("the metadata unfold to more than ", kSizesPerByte,
                        " sizes for each of its ", pickle_.bytes.size(), " bytes"));
  }
  sizes_left_ -= sizes;
  return {};
}

std::optional<std::uint64_t> MetadataReader::number_of(ValueId id) const {
  if (id == kNoValue || value(id).kind != PickleKind::kInt || value(id).integer < 0) return {};
  return static_cast<std::uint64_t>(value(id).integer);
}

std::vector<std::int64_t> MetadataReader::copied(Ids sizes) const {
  std::vector<std::int64_t> copy;
  for (const ValueId size : sizes)
    copy.push_back(value(size).integer);
  return copy;
}

std::strong_ordering MetadataReader::compare(Ids a, Ids b) const {
  return std::lexicographical_compare_three_way(
      a.begin(), a.end(), b.begin(), b.end(),
      [this](ValueId x, ValueId y) { return value(x).integer <=> value(y).integer; });
}

bool MetadataReader::comes_before(const Stored& a, const Stored& b) const {
  if (a.name != b.name) return a.name < b.name;
  if (a.has_offsets != b.has_offsets) return b.has_offsets;
  return compare(a.offsets, b.offsets) < 0;
}

Result<void> MetadataReader::read_storage_data(ValueId id) {
  if (id == kNoValue || value(id).kind != PickleKind::kDict) {
    return Error(ErrorCode::kUnsupported, "has no storage_data that are a dict");
  }
  const Ids pairs = pickle_.items_of(value(id));
  for (std::size_t i = 0; i < pairs.size(); i += 2) {
    auto stored = read_index(pairs[i]);
    if (!stored) return stored.error();
    stored->info = pairs[i + 1];
    stored_.push_back(*stored);
  }
  const auto before = [this](const Stored& a, const Stored& b) { return comes_before(a, b); };
  std::ranges::sort(stored_, before);
  const auto twin = std::ranges::adjacent_find(
      stored_, [&](const Stored& a, const Stored& b) { return !before(a, b); });
  return twin == stored_.end() ? Result<void>() : corrupt("storage_data: names one chunk twice");
}

Result<Stored> MetadataReader::read_index(ValueId id) const {
  const auto fields = fields_of(id, "MetadataIndex");
  if (!fields) return fields.error();
  const ValueId name = find(*fields, "fqn");
  if (name == kNoValue || text_numbers_[name] == kNoText) {
    return corrupt("storage_data: a MetadataIndex without a name");
  }
  Stored stored{.name = text_numbers_[name]};
  const ValueId offset = find(*fields, "offset");
  if (offset == kNoValue || value(offset).kind == PickleKind::kNone) return stored;
  const auto offsets = sizes_of(offset);
  if (!offsets) return offsets.error();
  stored.offsets = *offsets;
  stored.has_offsets = true;
  return stored;
}

Result<void> MetadataReader::read_entries(ValueId id) {
  if (id == kNoValue || value(id).kind != PickleKind::kDict) {
    return corrupt("has no state_dict_metadata");
  }
  const Ids pairs = pickle_.items_of(value(id));
  for (std::size_t i = 0; i < pairs.size(); i += 2) {
    const std::uint32_t name = text_numbers_[pairs[i]];
    if (name == kNoText) return corrupt("state_dict_metadata: a name that is no string");
    const std::string_view text = pickle_.text(value(pairs[i]));
    if (entry_numbers_[name] != kNoText)
      return corrupt(concat("has the name ", quoted(text), " twice"));
    entry_numbers_[name] = static_cast<std::uint32_t>(metadata_.entries.size());
    if (auto read = read_entry(pairs[i], pairs[i + 1]); !read) {
      return read.error().with_context(quoted(text));
    }
  }
  return {};
}

Result<void> MetadataReader::read_entry(ValueId key, ValueId id) {
  const std::uint32_t name = text_numbers_[key];
  DcpEntry& entry = metadata_.entries.emplace_back();
  entry.name = pickle_.text(value(key));
  entry.is_tensor = is_object(id, "TensorStorageMetadata");
  if (entry.is_tensor) return read_tensor(entry, name, id);
  if (!is_object(id, "BytesStorageMetadata")) {
    return Error(ErrorCode::kUnsupported, "is neither a tensor nor a value in bytes");
  }
  const auto item = take_item(name, std::nullopt);
  if (!item) return item.error();
  entry.item = *item;
  return {};
}

Result<void> MetadataReader::read_tensor(DcpEntry& entry, std::uint32_t name, ValueId id) {
  const auto fields = fields_of(id, "TensorStorageMetadata");
  if (!fields) return fields.error();
  const auto dtype = read_dtype(find(*fields, "properties"));
  if (!dtype) return dtype.error();
  entry.dtype = *dtype;
  const auto shape = sizes_of(find(*fields, "size"));
  if (!shape) return shape.error();
  if (auto spent = spend(shape->size()); !spent) return spent;
  entry.shape = copied(*shape);
  const ValueId chunks = find(*fields, "chunks");
  if (chunks == kNoValue || value(chunks).kind != PickleKind::kList)
    return corrupt("has no chunks");
  for (const ValueId chunk : pickle_.items_of(value(chunks))) {
    if (auto read = read_chunk(entry, name, chunk); !read) return read;
  }
  return {};
}

// TensorProperties is built from the tuple (dtype, layout, requires_grad, memory format, pinned).
Result<Dtype> MetadataReader::read_dtype(ValueId properties) const {
  if (!is_object(properties, "TensorProperties")) return corrupt("has no properties");
  const ValueId state = pickle_.calls[value(properties).slot].state;
  if (state == kNoValue) return corrupt("has properties without a dtype");
  const bool is_tuple = value(state).kind == PickleKind::kTuple;
  if (!is_tuple && value(state).kind != PickleKind::kDict) return corrupt("has no properties");
  const Ids parts = pickle_.items_of(value(state));
  if (parts.size() > 2 * kMaxFields) return corrupt("has too many properties");
  const ValueId dtype = is_tuple ? (parts.empty() ? kNoValue : parts[0]) : find(parts, "dtype");
  if (dtype == kNoValue || value(dtype).kind != PickleKind::kGlobal) {
    return corrupt("has properties without a dtype");
  }
  const GlobalName& name = pickle_.globals[value(dtype).slot];
  const auto known = name.module == "torch" ? dtype_from_name(name.name) : std::nullopt;
  if (known) return *known;
  return Error(ErrorCode::kUnsupported, concat("has the dtype ", quoted(global_text(name))));
}

Result<void> MetadataReader::read_chunk(DcpEntry& entry, std::uint32_t name, ValueId id) {
  const auto fields = fields_of(id, "ChunkStorageMetadata");
  if (!fields) return fields.error();
  const auto offsets = sizes_of(find(*fields, "offsets"));
  if (!offsets) return offsets.error();
  const auto sizes = sizes_of(find(*fields, "sizes"));
  if (!sizes) return sizes.error();
  if (offsets->size() != entry.shape.size() || sizes->size() != entry.shape.size()) {
    return corrupt(
        concat("has a chunk with ", sizes->size(), " sizes, expected ", entry.shape.size()));
  }
  if (auto spent = spend(2 * sizes->size()); !spent) return spent;
  const bool is_empty =
      std::ranges::any_of(*sizes, [this](ValueId size) { return value(size).integer == 0; });
  if (is_empty) return {};
  const auto item = take_item(name, *offsets);
  if (!item) return item.error();
  entry.chunks.push_back({.offsets = copied(*offsets), .sizes = copied(*sizes), .item = *item});
  return {};
}

// Each once: so that what is repeated in the pickle cannot cost more than its storage_data.
Result<DcpItem> MetadataReader::take_item(std::uint32_t name, std::optional<Ids> offsets) {
  const Stored wanted{
      .name = name, .offsets = offsets.value_or(Ids()), .has_offsets = offsets.has_value()};
  const auto found = std::ranges::lower_bound(
      stored_, wanted, [this](const Stored& a, const Stored& b) { return comes_before(a, b); });
  if (found == stored_.end() || comes_before(wanted, *found)) {
    return corrupt(
        concat("has no storage_data",
               offsets ? concat(" for its chunk at ", list_text(copied(*offsets))) : ""));
  }
  if (std::exchange(found->is_used, true)) {
    return corrupt(concat("has two chunks at ", list_text(copied(wanted.offsets))));
  }
  return read_info(found->info);
}

Result<DcpItem> MetadataReader::read_info(ValueId id) {
  const auto fields = fields_of(id, "_StorageInfo");
  if (!fields) return fields.error();
  const ValueId transforms = find(*fields, "transform_descriptors");
  if (transforms != kNoValue && value(transforms).kind != PickleKind::kNone) {
    const bool is_list =
        value(transforms).kind == PickleKind::kList || value(transforms).kind == PickleKind::kTuple;
    if (!is_list) return corrupt("has transform_descriptors that are no list");
    const Ids names = pickle_.items_of(value(transforms));
    if (!names.empty()) {
      const bool is_named = value(names[0]).kind == PickleKind::kStr;
      return Error(ErrorCode::kUnsupported,
                   concat("is stored with the transform ",
                          quoted(is_named ? pickle_.text(value(names[0])) : "?")));
    }
  }
  const auto offset = number_of(find(*fields, "offset"));
  const auto length = number_of(find(*fields, "length"));
  if (!offset || !length) return corrupt("has a _StorageInfo without a range");
  const auto file = file_number(find(*fields, "relative_path"));
  if (!file) return file.error();
  return DcpItem{.file = *file, .offset_bytes = *offset, .size_bytes = *length};
}

Result<std::uint32_t> MetadataReader::file_number(ValueId path) {
  if (path == kNoValue || text_numbers_[path] == kNoText) {
    return corrupt("has a _StorageInfo without a file");
  }
  std::uint32_t& number = file_numbers_[text_numbers_[path]];
  if (number == kNoText) {
    number = static_cast<std::uint32_t>(metadata_.files.size());
    metadata_.files.push_back(pickle_.text(value(path)));
  }
  return number;
}

// Planners of others may keep here what they like.
Result<void> MetadataReader::read_paths(ValueId id) {
  if (id == kNoValue || value(id).kind != PickleKind::kDict) return {};
  const Ids pairs = pickle_.items_of(value(id));
  for (std::size_t i = 0; i < pairs.size(); i += 2) {
    const std::uint32_t name = text_numbers_[pairs[i]];
    if (name == kNoText || entry_numbers_[name] == kNoText) continue;
    DcpEntry& entry = metadata_.entries[entry_numbers_[name]];
    if (auto read = read_path(entry, pairs[i + 1]); !read) {
      return read.error().with_context(quoted(entry.name));
    }
  }
  return {};
}

Result<void> MetadataReader::read_path(DcpEntry& entry, ValueId id) {
  if (value(id).kind != PickleKind::kTuple) return corrupt("has a path that is no tuple");
  const Ids path = pickle_.items_of(value(id));
  const auto is_step = [this](ValueId step) {
    return value(step).kind == PickleKind::kStr || number_of(step).has_value();
  };
  if (path.empty() || value(path[0]).kind != PickleKind::kStr ||
      !std::ranges::all_of(path, is_step)) {
    return corrupt("has a path that is not of strings and places in lists");
  }
  entry.path = path;
  return {};
}

}  // namespace

Result<DcpMetadata> read_dcp_metadata(const Pickle& pickle) {
  return MetadataReader(pickle).read();
}

}  // namespace weightmap::checkpoint
