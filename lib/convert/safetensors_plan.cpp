// SPDX-License-Identifier: Apache-2.0
#include "convert/safetensors_plan.h"

#include <algorithm>
#include <optional>
#include <string_view>
#include <tuple>

#include "base/text.h"
#include "convert/export_selection.h"
#include "convert/safetensors_header.h"
#include "convert/value_paths.h"
#include "format/naming.h"

namespace weightmap::convert {
namespace {

constexpr std::string_view kMetadata = "__metadata__";

// "`a`, `b`, `c` and 4 more"
std::string listed(const std::vector<std::string>& names) {
  constexpr std::size_t kShown = 3;
  std::string text;
  for (std::size_t i = 0; i < names.size() && i < kShown; ++i)
    text += concat(i > 0 ? ", " : "", quoted(names[i]));
  return names.size() > kShown ? concat(text, " and ", names.size() - kShown, " more") : text;
}

Error refused(const std::vector<std::string>& names,
              std::string_view why,
              std::string_view option) {
  return {ErrorCode::kUnsupported, concat(listed(names), ": ", why, "; ", option, " resolves it")};
}

// Why safetensors cannot hold the tensor; nothing: it can.
std::string fault_of(const TensorView& tensor) {
  if (tensor.is_uninitialized()) return "a lazy parameter without a shape";
  if (tensor.is_meta()) return "a meta tensor without values";
  if (tensor.is_conj()) return "stored conjugated";
  if (tensor.is_neg()) return "stored negated";
  if (tensor.name() == kMetadata) return "a name that safetensors keeps for itself";
  std::string of_dtype = concat("of the dtype ", dtype_name(tensor.dtype()));
  if (safetensors_dtype(tensor.dtype()).name.empty()) return of_dtype;
  if (safetensors_shape(tensor.dtype(), tensor.shape())) return {};
  return concat(of_dtype, " with the shape ", list_text(tensor.shape()));
}

// Everything beside the tensors, told in the order of the checkpoint.
class Extras {
 public:
  Extras(const WeightFile& file, const ValueGraph& values)
      : file_(file), values_(values), paths_(values) {}

  // Also fills in the metadata that a safetensors file had.
  std::vector<std::string> find(std::vector<std::pair<std::string, std::string>>& metadata) {
    std::vector<std::uint32_t> stack{values_.root()};
    std::vector<bool> seen(values_.size(), false);
    while (!stack.empty()) {
      const std::uint32_t node = stack.back();
      stack.pop_back();
      if (seen[node]) continue;
      seen[node] = true;
      visit_attributes(node, metadata);
      const auto inner = visit(node);
      stack.insert(stack.end(), inner.rbegin(), inner.rend());
    }
    return std::move(found_);
  }

 private:
  // The values inside a container; anything else is an extra or a tensor.
  std::vector<std::uint32_t> visit(std::uint32_t node) {
    const ValueKind kind = values_.node(node).kind;
    const auto items = values_.items(node);
    if (format::is_tensor(kind)) return {};
    const bool is_sequence = kind == ValueKind::kList || kind == ValueKind::kTuple;
    const bool is_root = node == values_.root();
    if ((!is_mapping(kind) && !is_sequence) || (items.empty() && !is_root)) {
      note(node, value_kind_name(kind));
      return {};
    }
    std::vector<std::uint32_t> inner;
    for (std::size_t i = is_sequence ? 0 : 1; i < items.size(); i += is_sequence ? 1 : 2) {
      paths_.note(node, items[i]);
      inner.push_back(items[i]);
    }
    return inner;
  }

  void visit_attributes(std::uint32_t node,
                        std::vector<std::pair<std::string, std::string>>& metadata) {
    // What a tensor of a subclass has goes with it.
    if (!values_.node(node).has_attributes || is_of_subclass(file_, values_.node(node))) return;
    const auto items = values_.items(values_.children(node).back());
    for (std::size_t i = 0; i + 1 < items.size(); i += 2) {
      const bool is_root = node == values_.root();
      if (is_root && is_text(items[i], kMetadata) && take_metadata(items[i + 1], metadata))
        continue;
      const bool is_named = values_.node(items[i]).kind == ValueKind::kStr;
      const std::string_view name = is_named ? values_.text(items[i]) : "?";
      const std::string path = paths_.path_to(node);
      found_.push_back(concat(path, path.empty() ? "" : ".", name, ": an attribute"));
    }
  }

  bool is_text(std::uint32_t node, std::string_view text) const {
    return values_.node(node).kind == ValueKind::kStr && values_.text(node) == text;
  }

  // Only a mapping of texts to texts is what safetensors calls metadata.
  bool take_metadata(std::uint32_t node,
                     std::vector<std::pair<std::string, std::string>>& metadata) const {
    const auto items = values_.items(node);
    const auto is_str = [this](std::uint32_t item) {
      return values_.node(item).kind == ValueKind::kStr;
    };
    if (!is_mapping(values_.node(node).kind) || !std::ranges::all_of(items, is_str)) return false;
    for (std::size_t i = 0; i + 1 < items.size(); i += 2)
      metadata.emplace_back(values_.text(items[i]), values_.text(items[i + 1]));
    return true;
  }

  void note(std::uint32_t node, std::string_view what) {
    const std::string path = paths_.path_to(node);
    found_.push_back(concat(path.empty() ? "the top" : path, ": ", what));
  }

  const WeightFile& file_;
  const ValueGraph& values_;
  ValuePaths paths_;
  std::vector<std::string> found_;
};

class Planner {
 public:
  Planner(const WeightFile& file, const SafetensorsOptions& options)
      : file_(file), options_(options) {}

  Result<SafetensorsPlan> run(const ValueGraph& values) {
    Result<void> done = choose_tensors();
    if (done) done = look_at_strides();
    if (done) done = look_at_ties();
    if (done) done = look_at_extras(values);
    if (!done) return done.error();
    std::ranges::sort(plan_.tensors, {}, [this](std::uint32_t number) {
      return std::tuple(-safetensors_dtype(file_.tensor(number).dtype()).rank, file_.name(number));
    });
    return std::move(plan_);
  }

 private:
  Result<void> choose_tensors() {
    std::string why;
    for (std::uint32_t number = 0; number < file_.tensor_count(); ++number) {
      const TensorView tensor = file_.tensor(number);
      if (tensor.is_part()) continue;
      const std::string fault = fault_of(tensor);
      if (fault.empty()) {
        plan_.tensors.push_back(number);
      } else {
        leave_out(tensor.name(), fault, why);
      }
    }
    for (std::uint32_t number = 0; number < file_.composite_count(); ++number) {
      const CompositeView composite = file_.composite(number);
      leave_out(composite.name(), composite_kind_name(composite.kind()), why);
    }
    if (left_out_.empty() || options_.drop_tensors) return {};
    return refused(left_out_, concat("no tensors that safetensors can hold, the first is ", why),
                   "drop_tensors");
  }

  void leave_out(std::string_view name, std::string_view fault, std::string& first_why) {
    if (left_out_.empty()) first_why = fault;
    left_out_.emplace_back(name);
    plan_.dropped.push_back(concat(name, ": a tensor, ", fault));
  }

  Result<void> look_at_strides() const {
    std::vector<std::string> names;
    for (const std::uint32_t number : plan_.tensors) {
      if (!file_.tensor(number).is_contiguous()) names.emplace_back(file_.name(number));
    }
    if (names.empty() || options_.contiguous) return {};
    return refused(names, "not in row-major order without gaps", "contiguous");
  }

  // Tensors that share bytes, found by the places at which they begin and end.
  Result<void> look_at_ties() const {
    struct Span {
      std::uint32_t segment;
      std::uint64_t begin;
      std::uint64_t end;
      std::uint32_t number;
    };
    std::vector<Span> spans;
    for (const std::uint32_t number : plan_.tensors) {
      const TensorPlace place = file_.place(number);
      const std::uint64_t size = file_.tensor(number).extent().size();
      if (!place.segment || size == 0) continue;
      spans.push_back({*place.segment, place.offset_bytes, place.offset_bytes + size, number});
    }
    std::ranges::sort(spans, {}, [](const Span& span) {
      return std::tuple(span.segment, span.begin, span.number);
    });
    std::vector<std::string> names;
    for (std::size_t i = 1; i < spans.size(); ++i) {
      Span& last = spans[i - 1];
      if (spans[i].segment != last.segment) continue;
      if (spans[i].begin < last.end) names.emplace_back(file_.name(spans[i].number));
      spans[i].end = std::max(spans[i].end, last.end);
    }
    if (names.empty() || options_.duplicate_ties) return {};
    return refused(names, "shares bytes with another tensor", "duplicate_ties");
  }

  Result<void> look_at_extras(const ValueGraph& values) {
    std::vector<std::string> extras;
    if (!values.empty()) {
      extras = Extras(file_, values).find(plan_.metadata);
    } else if (!file_.modules().empty()) {
      extras.emplace_back("module versions");
    }
    if (!extras.empty() && !options_.drop_extras) {
      return refused(extras, "no tensor, which is all that safetensors can hold", "drop_extras");
    }
    plan_.dropped.insert(plan_.dropped.end(), extras.begin(), extras.end());
    const bool says_format = std::ranges::any_of(
        plan_.metadata, [](const auto& entry) { return entry.first == "format"; });
    // What loads models for PyTorch looks for it.
    if (!says_format) plan_.metadata.insert(plan_.metadata.begin(), {"format", "pt"});
    return {};
  }

  const WeightFile& file_;
  const SafetensorsOptions& options_;
  std::vector<std::string> left_out_;
  SafetensorsPlan plan_;
};

}  // namespace

Result<SafetensorsPlan> plan_safetensors(const WeightFile& file,
                                         const ValueGraph& values,
                                         const SafetensorsOptions& options) {
  return Planner(file, options).run(values);
}

}  // namespace weightmap::convert
