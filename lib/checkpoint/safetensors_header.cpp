// SPDX-License-Identifier: Apache-2.0
#include "checkpoint/safetensors_header.h"

#include <algorithm>
#include <array>
#include <limits>
#include <string_view>

#include "base/text.h"
#include "checkpoint/json_events.h"

namespace weightmap::checkpoint {
namespace {

constexpr std::string_view kMetadataName = "__metadata__";
constexpr std::uint32_t kMaxRank = 64;

// Where in the header the reader is.
enum class Place : std::uint8_t { kOutside, kNames, kTensor, kShape, kOffsets, kMetadata };

enum Field : std::uint8_t { kDtype, kShapeField, kOffsetsField, kFieldCount };
constexpr std::array<std::string_view, kFieldCount> kFieldNames{"dtype", "shape", "data_offsets"};

template <typename... Pieces>
Error corrupt(const Pieces&... pieces) {
  return {ErrorCode::kCorrupt, concat(pieces...)};
}

class HeaderListener : public JsonListener {
 public:
  SafetensorsHeader result() && { return std::move(header_); }

  Result<void> scalar(const JsonScalar& value) override;
  Result<void> key(std::string_view name) override;
  Result<void> open_object() override;
  Result<void> open_array() override;
  Result<void> close() override;

 private:
  Result<void> tensor_key(std::string_view name);
  Result<void> field_key(std::string_view name);
  Result<void> add_size(const JsonScalar& value);
  Result<void> add_offset(const JsonScalar& value);
  Result<void> finish_tensor();
  Error unexpected(std::string_view what) const;
  std::string where() const;

  SafetensorsHeader header_;
  Place place_ = Place::kOutside;
  bool in_metadata_ = false;  // the last name was `__metadata__`
  bool had_metadata_ = false;
  std::string name_;  // the last key of a tensor or of the metadata
  Field field_ = kFieldCount;
  std::array<bool, kFieldCount> had_{};
  std::array<bool, kFieldCount> filled_{};
  std::uint32_t offset_count_ = 0;
};

std::string HeaderListener::where() const {
  if (place_ == Place::kOutside) return "header";
  if (in_metadata_) return std::string(kMetadataName);
  return concat("tensor ", quoted(header_.tensors.back().name));
}

Error HeaderListener::unexpected(std::string_view what) const {
  const bool in_field = field_ < kFieldCount && !in_metadata_ && place_ != Place::kNames;
  return corrupt(where(), ": ", what, " is not expected", in_field ? " in its " : " here",
                 in_field ? kFieldNames[field_] : "");
}

Result<void> HeaderListener::key(std::string_view name) {
  switch (place_) {
    case Place::kNames: return tensor_key(name);
    case Place::kTensor: return field_key(name);
    default: name_ = name; return {};
  }
}

Result<void> HeaderListener::tensor_key(std::string_view name) {
  in_metadata_ = name == kMetadataName;
  if (!in_metadata_) {
    header_.tensors.push_back({.name = std::string(name)});
  } else if (std::exchange(had_metadata_, true)) {
    return corrupt("there are two `__metadata__`");
  }
  return {};
}

Result<void> HeaderListener::field_key(std::string_view name) {
  const auto* const found = std::ranges::find(kFieldNames, name);
  if (found == kFieldNames.end()) {
    return Error(ErrorCode::kUnsupported,
                 concat(where(), ": has a field ", quoted(name), ", which is not known"));
  }
  field_ = static_cast<Field>(found - kFieldNames.begin());
  if (had_[field_]) return corrupt(where(), ": has two fields `", name, "`");
  had_[field_] = true;
  return {};
}

Result<void> HeaderListener::scalar(const JsonScalar& value) {
  if (place_ == Place::kNames && in_metadata_ && value.kind == JsonKind::kNull) return {};
  if (place_ == Place::kMetadata && value.kind == JsonKind::kString) {
    header_.metadata->emplace_back(name_, value.text);
    return {};
  }
  if (place_ == Place::kTensor && field_ == kDtype && value.kind == JsonKind::kString) {
    header_.tensors.back().dtype = value.text;
    filled_[kDtype] = true;
    return {};
  }
  const bool is_size =
      value.kind == JsonKind::kUnsigned && value.number <= std::numeric_limits<std::int64_t>::max();
  if (place_ == Place::kShape && is_size) return add_size(value);
  if (place_ == Place::kOffsets && value.kind == JsonKind::kUnsigned) return add_offset(value);
  if (value.kind == JsonKind::kUnsigned) return unexpected(concat(value.number));
  return unexpected(json_kind_text(value.kind));
}

Result<void> HeaderListener::add_size(const JsonScalar& value) {
  std::uint32_t& rank = header_.tensors.back().rank;
  if (rank == kMaxRank) {
    return Error(ErrorCode::kUnsupported,
                 concat(where(), ": has more than ", kMaxRank, " dimensions"));
  }
  ++rank;
  header_.dims.push_back(static_cast<std::int64_t>(value.number));
  return {};
}

Result<void> HeaderListener::add_offset(const JsonScalar& value) {
  SafetensorsHeader::Tensor& tensor = header_.tensors.back();
  if (++offset_count_ > 2) return corrupt(where(), ": has more than two data_offsets");
  (offset_count_ == 1 ? tensor.begin_bytes : tensor.end_bytes) = value.number;
  return {};
}

Result<void> HeaderListener::open_object() {
  if (place_ == Place::kOutside) {
    place_ = Place::kNames;
    return {};
  }
  if (place_ != Place::kNames) return unexpected("an object");
  if (in_metadata_) {
    header_.metadata.emplace();
    place_ = Place::kMetadata;
    return {};
  }
  header_.tensors.back().dims_begin = static_cast<std::uint32_t>(header_.dims.size());
  field_ = kFieldCount;
  had_ = {};
  filled_ = {};
  place_ = Place::kTensor;
  return {};
}

Result<void> HeaderListener::open_array() {
  const bool is_list = field_ == kShapeField || field_ == kOffsetsField;
  if (place_ != Place::kTensor || !is_list) return unexpected("an array");
  place_ = field_ == kShapeField ? Place::kShape : Place::kOffsets;
  filled_[field_] = true;
  offset_count_ = 0;
  return {};
}

Result<void> HeaderListener::close() {
  switch (place_) {
    case Place::kShape: place_ = Place::kTensor; return {};
    case Place::kOffsets:
      if (offset_count_ < 2) return corrupt(where(), ": has less than two data_offsets");
      place_ = Place::kTensor;
      return {};
    case Place::kTensor: return finish_tensor();
    case Place::kMetadata: place_ = Place::kNames; return {};
    default: place_ = Place::kOutside; return {};
  }
}

Result<void> HeaderListener::finish_tensor() {
  const auto* const missing = std::ranges::find(filled_, false);
  if (missing != filled_.end()) {
    return corrupt(where(), ": has no ",
                   kFieldNames[static_cast<std::size_t>(missing - filled_.begin())]);
  }
  place_ = Place::kNames;
  return {};
}

}  // namespace

Result<SafetensorsHeader> parse_safetensors_header(std::span<const std::byte> text) {
  HeaderListener listener;
  const auto read = read_json(text, listener);
  if (!read) return read.error();
  return std::move(listener).result();
}

}  // namespace weightmap::checkpoint
