// SPDX-License-Identifier: Apache-2.0
// First everything is looked at and told, then, if nothing is wrong, every slot is pointed.
#include "weightmap/bind.h"

#include <algorithm>

#include "base/strided.h"
#include "base/text.h"
#include "runtime/binder.h"
#include "runtime/key_homes.h"
#include "runtime/slot_walk.h"

namespace weightmap {
namespace {

// PyTorch's way to write a shape.
std::string size_text(std::span<const std::int64_t> shape) {
  return concat("torch.Size(", list_text(shape), ")");
}

bool shape_fits(const Slot& slot, const TensorView& tensor) {
  const auto shape = tensor.shape();
  if (std::ranges::equal(slot.shape(), shape)) return true;
  // Scalars were saved with shape [1] before PyTorch 0.4.
  return slot.shape().empty() && shape.size() == 1 && shape[0] == 1;
}

bool is_aligned(const Slot& slot, const TensorView& tensor) {
  return reinterpret_cast<std::uintptr_t>(tensor.data()) % slot.alignment_bytes() == 0;
}

// A slot takes two cache lines, and slots lie anywhere.
void prefetch_slot(const Slot& slot) {
  __builtin_prefetch(&slot);
  __builtin_prefetch(reinterpret_cast<const std::byte*>(&slot) + sizeof slot - 1);
}

using Reason = Mismatch::Reason;

std::optional<Mismatch> find_mismatch(const Slot& slot,
                                      const TensorView& tensor,
                                      std::string_view key) {
  const auto mismatch = [key](Reason reason, const auto&... pieces) {
    return Mismatch{.key = std::string(key), .reason = reason, .text = concat(pieces...)};
  };
  if (tensor.is_uninitialized()) {
    return mismatch(Reason::kValues, "values mismatch for ", key,
                    ": the file's tensor is a lazy parameter without a shape.");
  }
  if (!shape_fits(slot, tensor)) {
    return mismatch(Reason::kShape, "size mismatch for ", key, ": copying a param with shape ",
                    size_text(tensor.shape()), " from checkpoint, the shape in current model is ",
                    size_text(slot.shape()), ".");
  }
  if (slot.dtype() != tensor.dtype()) {
    return mismatch(Reason::kDtype, "dtype mismatch for ", key, ": the file has ",
                    dtype_name(tensor.dtype()), ", the slot wants ", dtype_name(slot.dtype()), ".");
  }
  if (tensor.has_no_values() || tensor.is_conj() || tensor.is_neg()) {
    return mismatch(Reason::kValues, "values mismatch for ", key, ": the file's tensor ",
                    tensor.has_no_values() ? "has no values." : "is stored conjugated or negated.");
  }
  if (tensor.is_absent()) {
    return mismatch(Reason::kValues, "values mismatch for ", key,
                    ": the file's tensor lies in a data file that is not open.");
  }
  if (slot.layout() == SlotLayout::kContiguous && !tensor.is_contiguous()) {
    return mismatch(Reason::kLayout, "layout mismatch for ", key, ": the file's strides are ",
                    list_text(tensor.strides()), ", the slot wants contiguous elements.");
  }
  if (!is_aligned(slot, tensor)) {
    return mismatch(Reason::kAlignment, "alignment mismatch for ", key,
                    ": the slot's elements lie at multiples of ", slot.alignment_bytes(),
                    " bytes, the file's do not.");
  }
  return std::nullopt;
}

std::string_view composite_text(CompositeKind kind) {
  switch (kind) {
    case CompositeKind::kQuantizedPerTensor:
    case CompositeKind::kQuantizedPerChannel:
    case CompositeKind::kQuantizedPerChannelFloat: return "a quantized tensor";
    case CompositeKind::kSparseCoo:
    case CompositeKind::kSparseCsr:
    case CompositeKind::kSparseCsc:
    case CompositeKind::kSparseBsr:
    case CompositeKind::kSparseBsc: return "a sparse tensor";
    case CompositeKind::kNested: return "a nested tensor";
    case CompositeKind::kWrapperSubclass: return "an object of a tensor subclass";
  }
  return "a composite";
}

Mismatch composite_mismatch(const Slot& slot,
                            const CompositeView& composite,
                            std::string_view key) {
  return {.key = std::string(key),
          .reason = Reason::kComposite,
          .text = concat(
              "kind mismatch for ", key, ": the file's is ", composite_text(composite.kind()), " (",
              composite_kind_name(composite.kind()), " of ", dtype_name(composite.dtype()),
              "), the slot wants the elements of one ", dtype_name(slot.dtype()), " tensor.")};
}

Mismatch tie_mismatch(std::string_view key, std::string_view twin) {
  return {.key = std::string(key),
          .reason = Reason::kTie,
          .text = concat("tie mismatch for ", key, ": it is one with ", twin,
                         " in the module, but not in the file.")};
}

std::string key_list(std::string_view title, std::span<const std::string> keys) {
  std::string text(title);
  for (const std::string& key : keys) {
    if (&key != keys.data()) text += ", ";
    text += concat("\"", key, "\"");
  }
  return text + ". ";
}

}  // namespace

Binder::Binder(SlotWalk& walk, Module* root, const WeightFile& file, const BindOptions& options)
    : walk_(walk),
      root_(root),
      file_(file),
      state_(*file.state_),
      options_(options),
      report_(file) {}

BindReport Binder::run(std::string class_name) && {
  report_.class_name_ = std::move(class_name);
  const std::size_t expected = std::max<std::size_t>(walk_.known_count(), file_.tensor_count());
  rows_.reserve(expected);
  report_.matched_.reserve(expected);
  taken_.assign(file_.tensor_count(), false);
  find_composites();
  for (auto batch = walk_.next_batch(); !batch.empty(); batch = walk_.next_batch()) {
    find(batch);
    for (std::size_t i = 0; i < batch.size(); ++i)
      match(batch[i], numbers_[i]);
  }
  collect_unexpected();
  order_unexpected();
  collect_errors();
  if (report_.ok()) point_slots();
  return std::move(report_);
}

void Binder::find_composites() {
  const std::uint32_t count = file_.composite_count();
  taken_composites_.assign(count, false);
  if (count == 0) return;
  begun_composites_.assign(file_.tensor_count(), kNotFound);
  for (std::uint32_t number = 0; number < count; ++number) {
    const CompositeView composite = file_.composite(number);
    const auto first = std::ranges::min(composite.parts(), {}, &CompositePart::number);
    begun_composites_[first.number] = number;
  }
}

// A module mostly binds in the order in which it was saved: the next tensor is tried first. Where
// several keys in a row were not the next, those that follow are looked up together.
void Binder::find(std::span<const SlotWalk::Named> batch) {
  constexpr std::uint32_t kManyMisses = 4;
  for (std::size_t i = 0; i < batch.size(); ++i) {
    const std::string_view key = batch[i].key;
    if (is_next(key)) {
      misses_ = 0;
      numbers_[i] = next_++;
      continue;
    }
    if (++misses_ > kManyMisses) return find_together(batch.subspan(i), i);
    numbers_[i] = state_.index.find(key).value_or(kNotFound);
    if (numbers_[i] != kNotFound) next_ = numbers_[i] + 1;
  }
}

// Their memory lies anywhere: all of it is asked for before any of it is looked at.
void Binder::find_together(std::span<const SlotWalk::Named> batch, std::size_t begin) {
  std::array<std::string_view, SlotWalk::kBatch> keys;
  for (std::size_t i = 0; i < batch.size(); ++i) {
    keys[i] = batch[i].key;
    __builtin_prefetch(keys[i].data());
    prefetch_slot(*batch[i].slot);
  }
  const std::span<std::uint32_t> numbers = std::span(numbers_).subspan(begin, batch.size());
  state_.index.find_all(std::span(keys).first(batch.size()), numbers);
  for (const SlotWalk::Named& named : batch)
    __builtin_prefetch(named.slot->shape().data());
  if (numbers.back() != kNotFound) next_ = numbers.back() + 1;
}

bool Binder::is_next(std::string_view key) const {
  const format::IndexView& index = state_.index;
  return next_ < index.entries.size() && index.name(index.entries[next_]) == key;
}

// Parts of composites are no keys.
bool Binder::is_key(std::uint32_t number) const {
  if (number == kNotFound) return false;
  return begun_composites_.empty() || !file_.tensor(number).is_part();
}

void Binder::match(const SlotWalk::Named& named, std::uint32_t number) {
  const auto row = static_cast<std::uint32_t>(rows_.size());
  rows_.push_back({.slot = named.slot});
  if (!is_key(number)) return note_absent(named);
  note_taken(number);
  const std::string_view key = named.key.substr(options_.prefix.size());
  if (!fits(*named.slot, state_.index.entries[number])) {
    auto mismatch = find_mismatch(*named.slot, file_.tensor(number), key);
    if (mismatch) return report_.mismatched_.push_back(std::move(*mismatch));
  }
  accept(row, number, key);
}

// The tensor fits the slot by itself; it must be the one that the slot has under another name, too.
void Binder::accept(std::uint32_t row, std::uint32_t number, std::string_view key) {
  const auto twin = note_and_find_twin(row);
  if (twin && breaks_tie(*twin, number)) {
    const std::string_view first = file_.name(rows_[*twin].tensor);
    return report_.mismatched_.push_back(tie_mismatch(key, first.substr(options_.prefix.size())));
  }
  rows_[row].tensor = number;
  report_.matched_.push_back(number);
}

bool Binder::breaks_tie(std::uint32_t twin, std::uint32_t number) const {
  if (rows_[twin].tensor == kNotFound) return false;
  const TensorView first = file_.tensor(rows_[twin].tensor);
  const TensorView second = file_.tensor(number);
  return first.data() != second.data() || !std::ranges::equal(first.strides(), second.strides());
}

// What nearly every pair is: all that find_mismatch asks, without the words. False: ask it.
bool Binder::fits(const Slot& slot, const fb::Entry& entry) const {
  constexpr std::uint16_t kAwkward =
      format::kConj | format::kNeg | format::kMeta | format::kUninitialized;
  if ((entry.flags() & kAwkward) != 0) return false;
  if (slot.dtype() != static_cast<Dtype>(entry.dtype())) return false;
  const auto shape = state_.index.shape(entry);
  if (!std::ranges::equal(slot.shape(), shape)) return false;
  const std::byte* const data = state_.data_of(entry);
  if (data == nullptr && entry.segment() != format::kNoSegment) return false;
  if (reinterpret_cast<std::uintptr_t>(data) % slot.alignment_bytes() != 0) return false;
  return slot.layout() == SlotLayout::kAnyStrides ||
         is_contiguous(shape, state_.index.strides(entry));
}

void Binder::note_taken(std::uint32_t number) {
  if (taken_[number]) return;
  taken_[number] = true;
  ++taken_count_;
}

// No tensor that is a key has it: either nothing has, or a composite.
void Binder::note_absent(const SlotWalk::Named& named) {
  const std::string_view key = named.key.substr(options_.prefix.size());
  const auto composite = file_.find_composite_number(named.key);
  if (!composite) {
    report_.missing_.emplace_back(key);
    return;
  }
  taken_composites_[*composite] = true;
  report_.mismatched_.push_back(composite_mismatch(*named.slot, file_.composite(*composite), key));
}

// Whether an earlier row has the same slot; if so, which. The slot remembers the last row that
// noted it. What it remembers may stem from another bind; it counts only if that row of this one is
// an earlier one and has this very slot.
std::optional<std::uint32_t> Binder::note_and_find_twin(std::uint32_t row) {
  Slot& slot = *rows_[row].slot;
  const std::uint32_t remembered = slot.row_;
  slot.row_ = row;
  if (remembered < row && rows_[remembered].slot == &slot) return remembered;
  return std::nullopt;
}

void Binder::collect_unexpected() {
  if (begun_composites_.empty() && taken_count_ == file_.tensor_count()) return;
  for (std::uint32_t number = 0; number < file_.tensor_count(); ++number) {
    if (begun_composites_.empty() || !file_.tensor(number).is_part()) {
      collect_unexpected(file_.name(number), taken_[number]);
    } else if (const std::uint32_t composite = begun_composites_[number]; composite != kNotFound) {
      collect_unexpected(file_.composite_name(composite), taken_composites_[composite]);
    }
  }
}

void Binder::collect_unexpected(std::string_view name, bool is_taken) {
  if (is_taken || !name.starts_with(options_.prefix)) return;
  report_.unexpected_.emplace_back(name.substr(options_.prefix.size()));
}

// PyTorch asks each module about the keys that begin with its name, parents first, and nobody about
// those of a child that is none.
void Binder::order_unexpected() {
  if (root_ == nullptr || report_.unexpected_.empty()) return;
  const KeyHomes homes(*root_);
  std::vector<std::pair<std::uint32_t, std::string>> homed;
  for (std::string& key : report_.unexpected_) {
    if (const auto home = homes.home(key)) homed.emplace_back(*home, std::move(key));
  }
  std::ranges::stable_sort(homed, {}, &std::pair<std::uint32_t, std::string>::first);
  report_.unexpected_.clear();
  for (auto& [home, key] : homed)
    report_.unexpected_.push_back(std::move(key));
}

void Binder::collect_errors() {
  auto& errors = report_.errors_;
  errors.assign(walk_.errors().begin(), walk_.errors().end());
  if (options_.strict && !report_.missing_.empty()) {
    errors.push_back(key_list("Missing key(s) in state_dict: ", report_.missing_));
  }
  if (options_.strict && !report_.unexpected_.empty()) {
    errors.push_back(key_list("Unexpected key(s) in state_dict: ", report_.unexpected_));
  }
  for (const Mismatch& mismatch : report_.mismatched_)
    errors.push_back(mismatch.text);
}

// The slots of a module mostly stand together: after the last of them the module is told which
// files it needs. Where they do not, it is told again, and the last time is after the last slot.
void Binder::point_slots() {
  Module* home = nullptr;
  for (const Row& row : rows_) {
    if (row.tensor == kNotFound) continue;
    if (row.slot->home_ != home) {
      if (home != nullptr) home->keep_alive(file_);
      home = row.slot->home_;
    }
    const fb::Entry& entry = state_.index.entries[row.tensor];
    // A 0-dim slot may take a tensor of shape [1]: it has no use for that stride.
    const auto strides = state_.index.strides(entry).first(row.slot->shape().size());
    row.slot->take(state_.data_of(entry), strides);
  }
  if (home != nullptr) home->keep_alive(file_);
}

BindReport bind(Module& module, const WeightFile& file, const BindOptions& options) {
  SlotWalk walk(module, options.prefix);
  return Binder(walk, &module, file, options).run(module.class_name());
}

BindReport bind_slots(std::span<const FreeSlot> slots,
                      const WeightFile& file,
                      const BindOptions& options) {
  SlotWalk walk(slots, options.prefix);
  return Binder(walk, nullptr, file, options).run("a list of slots");
}

}  // namespace weightmap
