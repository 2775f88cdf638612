// SPDX-License-Identifier: Apache-2.0
// First everything is looked at and told, then, if nothing is wrong, every slot is pointed.
#include "weightmap/bind.h"

#include <algorithm>

#include "base/strided.h"
#include "base/text.h"
#include "runtime/binder.h"
#include "runtime/key_homes.h"
#include "runtime/slot_table.h"

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

std::string key_list(std::string_view title, std::span<const std::string> keys) {
  std::string text(title);
  for (const std::string& key : keys) {
    if (&key != keys.data()) text += ", ";
    text += concat("\"", key, "\"");
  }
  return text + ". ";
}

}  // namespace

Binder::Binder(SlotTable& table, Module* root, const WeightFile& file, const BindOptions& options)
    : table_(table), root_(root), file_(file), options_(options), report_(file) {}

BindReport Binder::run(std::string class_name) && {
  report_.class_name_ = std::move(class_name);
  taken_.assign(file_.tensor_count(), false);
  find_composites();
  row_tensors_.assign(table_.rows().size(), kNotFound);
  report_.matched_.reserve(table_.rows().size());
  for (std::uint32_t row = 0; row < table_.rows().size(); ++row)
    match(row);
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

void Binder::match(std::uint32_t row) {
  const std::string_view full_key = table_.key(table_.rows()[row]);
  const std::string_view key = full_key.substr(options_.prefix.size());
  const auto number = find(full_key);
  if (!number) {
    note_absent(full_key, *table_.rows()[row].slot);
    return;
  }
  taken_[*number] = true;
  const TensorView tensor = file_.tensor(*number);
  auto mismatch = find_mismatch(*table_.rows()[row].slot, tensor, key);
  if (!mismatch) mismatch = find_broken_tie(row, *number, key);
  if (mismatch) {
    report_.mismatched_.push_back(std::move(*mismatch));
    return;
  }
  row_tensors_[row] = *number;
  report_.matched_.push_back(*number);
}

// No tensor that is a key has it: either nothing has, or a composite.
void Binder::note_absent(std::string_view full_key, const Slot& slot) {
  const std::string_view key = full_key.substr(options_.prefix.size());
  const auto composite = file_.find_composite_number(full_key);
  if (!composite) {
    report_.missing_.emplace_back(key);
    return;
  }
  taken_composites_[*composite] = true;
  report_.mismatched_.push_back(composite_mismatch(slot, file_.composite(*composite), key));
}

// A module mostly binds in the order in which it was saved. Parts of composites are no keys.
std::optional<std::uint32_t> Binder::find(std::string_view key) {
  const bool is_next = next_ < file_.tensor_count() && file_.name(next_) == key;
  const auto number = is_next ? next_ : file_.find_number(key);
  if (!number) return std::nullopt;
  next_ = *number + 1;
  if (!begun_composites_.empty() && file_.tensor(*number).is_part()) return std::nullopt;
  return number;
}

std::optional<Mismatch> Binder::find_broken_tie(std::uint32_t row,
                                                std::uint32_t number,
                                                std::string_view key) {
  const auto twin = table_.note_and_find_twin(row);
  if (!twin || row_tensors_[*twin] == kNotFound) return std::nullopt;
  const TensorView first = file_.tensor(row_tensors_[*twin]);
  const TensorView second = file_.tensor(number);
  if (first.data() == second.data() && std::ranges::equal(first.strides(), second.strides())) {
    return std::nullopt;
  }
  return Mismatch{.key = std::string(key),
                  .reason = Reason::kTie,
                  .text = concat("tie mismatch for ", key, ": it is one with ",
                                 first.name().substr(options_.prefix.size()),
                                 " in the module, but not in the file.")};
}

void Binder::collect_unexpected() {
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
  errors.assign(table_.errors().begin(), table_.errors().end());
  if (options_.strict && !report_.missing_.empty()) {
    errors.push_back(key_list("Missing key(s) in state_dict: ", report_.missing_));
  }
  if (options_.strict && !report_.unexpected_.empty()) {
    errors.push_back(key_list("Unexpected key(s) in state_dict: ", report_.unexpected_));
  }
  for (const Mismatch& mismatch : report_.mismatched_)
    errors.push_back(mismatch.text);
}

void Binder::point_slots() {
  for (std::uint32_t row = 0; row < row_tensors_.size(); ++row) {
    if (row_tensors_[row] == kNotFound) continue;
    table_.point(table_.rows()[row], file_.tensor(row_tensors_[row]), file_);
  }
  table_.let_go_of_unused();
}

BindReport bind(Module& module, const WeightFile& file, const BindOptions& options) {
  SlotTable table(module, options.prefix);
  return Binder(table, &module, file, options).run(module.class_name());
}

BindReport bind_slots(std::span<const FreeSlot> slots,
                      const WeightFile& file,
                      const BindOptions& options) {
  SlotTable table(slots, options.prefix);
  return Binder(table, nullptr, file, options).run("a list of slots");
}

}  // namespace weightmap
