// SPDX-License-Identifier: Apache-2.0
#include "convert/diff_side.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/strided.h"
#include "base/text.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/storage_reader.h"
#include "convert/plan.h"
#include "runtime/target_file.h"

namespace weightmap::convert {
namespace {

using checkpoint::Checkpoint;
using checkpoint::Storage;
using checkpoint::StorageReader;

class WeightFileSide : public DiffSide {
 public:
  WeightFileSide(WeightFile file, std::vector<Digest> digests)
      : DiffSide(file.path(), "weight file"), file_(std::move(file)), digests_(std::move(digests)) {
    for (std::uint32_t i = 0; i < file_.tensor_count(); ++i)
      add_tensor(i);
    for (std::uint32_t i = 0; i < file_.composite_count(); ++i)
      composites_.push_back(file_.composite(i));
    for (std::uint32_t i = 0; i < file_.segment_count(); ++i)
      data_bytes_ += file_.segment(i).size_bytes;
    modules_ = file_.modules();
  }

  Digest digest(std::uint32_t segment) const override { return digests_[segment]; }

  std::optional<Digest> whole_digest() const override {
    const bool some_missing = std::ranges::find(digests_, Digest{}) != digests_.end();
    return some_missing ? std::nullopt : std::optional(file_.digest());
  }

  Result<ValueGraph> values() override { return file_.values(); }

  Result<void> read(std::uint32_t segment,
                    std::uint64_t offset_bytes,
                    std::span<std::byte> into) override {
    return file_.read_segment(segment, offset_bytes, into);
  }

 private:
  void add_tensor(std::uint32_t number) {
    const TensorPlace place = file_.place(number);
    SideTensor tensor{.view = file_.tensor(number), .segment = place.segment};
    if (place.segment) {
      tensor.offset_bytes = place.offset_bytes - file_.segment(*place.segment).offset_bytes;
      tensor.extent_bytes = place.size_bytes;
    }
    tensors_.push_back(tensor);
  }

  WeightFile file_;
  std::vector<Digest> digests_;  // by segment
};

Result<std::unique_ptr<DiffSide>> open_side(const WeightFile& file,
                                            const CheckpointOptions& options) {
  if (!options.root.empty()) {
    return Error(ErrorCode::kInvalidArgument,
                 concat(file.path(), ": a root is for checkpoints, this is a weight file"));
  }
  Result<std::vector<Digest>> digests = file.segment_digests();
  if (!digests) return digests.error();
  return std::unique_ptr<DiffSide>(new WeightFileSide(file, std::move(*digests)));
}

// Reads storages in any order. Compressed ones are read from the beginning again when that order is
// not theirs, which is limited.
class StorageAccess {
 public:
  explicit StorageAccess(const Checkpoint& source) : source_(source) {
    for (const Storage& storage : source.storages) {
      if (storage.packing != checkpoint::Packing::kDeflated) continue;
      const std::uint64_t most = std::min(storage.packed_bytes, kMost) * kMostUnpackedOfByte;
      allowed_bytes_ += std::min(storage.size_bytes, most) * kTimesUnpacked;
      allowed_bytes_ = std::min(allowed_bytes_, kMost);
    }
  }

  // Also where the range is no multiple of the units that are swapped.
  Result<void> read(std::uint32_t number, std::uint64_t begin_bytes, std::span<std::byte> into) {
    const Storage& storage = source_.storages[number];
    const std::uint64_t unit = storage.swapped_bytes;
    const std::uint64_t end_bytes = begin_bytes + into.size();
    const std::uint64_t before = begin_bytes % unit;
    const std::uint64_t after = (unit - end_bytes % unit) % unit;
    if (before == 0 && (after == 0 || end_bytes == storage.size_bytes)) {
      return read_units(number, begin_bytes, into);
    }
    const std::uint64_t last = std::min(end_bytes + after, storage.size_bytes);
    std::vector<std::byte> whole(last - (begin_bytes - before));
    Result<void> read = read_units(number, begin_bytes - before, whole);
    if (read) std::memcpy(into.data(), whole.data() + before, into.size());
    return read;
  }

 private:
  static constexpr std::uint64_t kTimesUnpacked = 16;
  static constexpr std::uint64_t kFreeBytes = std::uint64_t{256} << 20U;
  static constexpr std::uint64_t kMost = std::uint64_t{1} << 48U;  // keeps sums and products small
  static constexpr std::uint64_t kMostUnpackedOfByte = 1032;       // of DEFLATE

  Result<void> read_units(std::uint32_t number,
                          std::uint64_t begin_bytes,
                          std::span<std::byte> into) {
    const Storage& storage = source_.storages[number];
    if (!reader_ || number_ != number || at_bytes_ > begin_bytes) {
      reader_.emplace(source_, storage, ahead_);
      number_ = number;
      at_bytes_ = 0;
    }
    const std::uint64_t skipped = begin_bytes - at_bytes_;
    Result<void> counted = count_unpacked(storage, skipped + into.size());
    if (!counted) return counted;
    Result<void> done = reader_->skip(skipped);
    if (done) done = reader_->read(into);
    at_bytes_ = begin_bytes + into.size();
    if (!done) reader_.reset();
    return done;
  }

  Result<void> count_unpacked(const Storage& storage, std::uint64_t bytes) {
    if (storage.packing != checkpoint::Packing::kDeflated) return {};
    unpacked_bytes_ += bytes;
    if (unpacked_bytes_ <= allowed_bytes_) return {};
    return Error(ErrorCode::kUnsupported,
                 concat(source_.files[storage.file].path(), ": storage ", quoted(storage.key),
                        " is compressed and its tensors stand in another order than they are "
                        "compared: convert it first and compare the weight file"));
  }

  const Checkpoint& source_;
  io::ReadAhead ahead_;
  std::optional<StorageReader> reader_;
  std::uint32_t number_ = 0;    // of the storage that is being read
  std::uint64_t at_bytes_ = 0;  // in it
  std::uint64_t unpacked_bytes_ = 0;
  std::uint64_t allowed_bytes_ = kFreeBytes;
};

class CheckpointSide : public DiffSide {
 public:
  CheckpointSide(std::string path, Checkpoint source, Plan plan)
      : DiffSide(std::move(path), source.kind),
        source_(std::move(source)),
        plan_(std::move(plan)),
        storages_(source_) {
    for (const format::TensorContent& tensor : plan_.content.tensors)
      add_tensor(tensor);
    for (const format::CompositeContent& composite : plan_.content.composites)
      add_composite(composite);
    for (const format::ModuleContent& module : plan_.content.modules)
      modules_.push_back({.path = module.path, .version = module.version});
    std::ranges::sort(modules_, {}, &ModuleVersion::path);
    data_bytes_ = sum_of(plan_.content.segment_sizes_bytes);
  }

  Digest digest(std::uint32_t) const override { return {}; }
  std::optional<Digest> whole_digest() const override { return std::nullopt; }
  Result<ValueGraph> values() override { return plan_.content.values; }

  Result<void> read(std::uint32_t segment,
                    std::uint64_t offset_bytes,
                    std::span<std::byte> into) override {
    const SegmentSource& from = plan_.segments[segment];
    return storages_.read(from.storage, from.begin_bytes + offset_bytes, into);
  }

 private:
  void add_tensor(const format::TensorContent& tensor) {
    const TensorView view({.name = tensor.name,
                           .dtype = tensor.dtype,
                           .flags = tensor.flags,
                           .shape = tensor.shape,
                           .strides = tensor.strides});
    SideTensor added{.view = view};
    if (tensor.segment != format::kNoSegment) {
      added.segment = tensor.segment;
      added.offset_bytes = tensor.offset_bytes;
      added.extent_bytes = *checked_extent_bytes(tensor.dtype, tensor.shape, tensor.strides);
    }
    tensors_.push_back(added);
  }

  void add_composite(const format::CompositeContent& composite) {
    CompositeView::Facts facts{.name = composite.name,
                               .kind = composite.kind,
                               .dtype = composite.dtype,
                               .flags = composite.flags,
                               .shape = composite.shape,
                               .reals = composite.reals,
                               .integers = composite.integers,
                               .class_name = composite.class_name};
    for (const format::PartContent& part : composite.parts)
      facts.parts.push_back({part.role, part.tensor, tensors_[part.tensor].view});
    composites_.emplace_back(std::move(facts));
  }

  Checkpoint source_;
  Plan plan_;
  StorageAccess storages_;
};

Result<std::unique_ptr<DiffSide>> open_checkpoint_side(const std::string& path,
                                                       const CheckpointOptions& options) {
  Result<Checkpoint> source =
      checkpoint::open_checkpoint(path, {.strict_globals = options.strict_globals});
  if (!source) return source.error();
  Result<Plan> plan = make_plan(*source, {.checkpoint = options});
  if (!plan) return plan.error().with_context(path);
  trim_segments(*plan);
  const Result<format::Layout> layout = lay_out_file(plan->content, path);
  if (!layout) return layout.error();
  return std::unique_ptr<DiffSide>(new CheckpointSide(path, std::move(*source), std::move(*plan)));
}

}  // namespace

Result<std::unique_ptr<DiffSide>> DiffSide::open(const std::string& path,
                                                 const CheckpointOptions& options) {
  const Result<WeightFile> file = WeightFile::open(path, {.mapping = Mapping::kShared});
  if (file) return open_side(*file, options);
  const bool is_other = file.error().code() == ErrorCode::kWrongKind ||
                        file.error().code() == ErrorCode::kInvalidArgument;  // a directory
  return is_other ? open_checkpoint_side(path, options) : file.error();
}

}  // namespace weightmap::convert
