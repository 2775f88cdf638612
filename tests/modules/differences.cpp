// SPDX-License-Identifier: Apache-2.0
#include "modules/differences.h"

#include <algorithm>
#include <array>

namespace weightmap::tests {
namespace {

using Reason = Mismatch::Reason;

bool pytorch_failed(const Replayed& replayed) {
  return !replayed.pytorch.contains("missing");
}

bool says(const Json& outcome, std::string_view text) {
  return outcome.contains("error") &&
         outcome["error"].get<std::string>().find(text) != std::string::npos;
}

bool says(const LoadReport& report, std::string_view text) {
  return report.text().find(text) != std::string::npos;
}

// We refuse a key for a reason that PyTorch has no error for.
template <Reason reason>
bool refuses(const Replayed& replayed) {
  return std::ranges::any_of(replayed.report.mismatched(), [&](const Mismatch& mismatch) {
    return mismatch.reason == reason && !says(replayed.pytorch, mismatch.text);
  });
}

// PyTorch has changed slots by then; that none of ours has is compared with everything else.
bool is_not_half_done(const Replayed& replayed) {
  const Json& pytorch = replayed.pytorch;
  return pytorch_failed(replayed) && !(pytorch["slots"].empty() && pytorch["after"].empty());
}

// PyTorch has two tensors under the names of one slot.
bool keeps_tie(const Replayed& replayed) {
  const auto slots = replayed.tree.named_slots();
  const Json& changed = replayed.pytorch["slots"];
  const auto now = [&](std::size_t number) {
    const std::string name = std::to_string(number);
    return changed.contains(name) ? changed[name] : Json();
  };
  for (std::size_t i = 0; i < slots.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      if (slots[i].slot == slots[j].slot && now(i) != now(j)) return true;
    }
  }
  return false;
}

// That this is an error unless it is allowed is tried by the replay.
bool is_nothing(const Replayed& replayed) {
  return replayed.report.ok() && replayed.report.matched_count() == 0;
}

// PyTorch has an error that we do not have.
bool does_not_say(const Replayed& replayed, std::string_view text) {
  return says(replayed.pytorch, text) && !says(replayed.report, text);
}

bool has_no_gradients(const Replayed& replayed) {
  return does_not_say(replayed, "Only Tensors of floating point and complex dtype can require");
}

bool copies_otherwise(const Replayed& replayed) {
  return !pytorch_failed(replayed) && replayed.report.ok() &&
         replayed.pytorch["after"] != replayed.ours["after"];
}

// An error where the tensors are dense; of others PyTorch reads what it has just written.
bool copies_overlap(const Replayed& replayed) {
  return copies_otherwise(replayed) || does_not_say(replayed, "refer to a single memory location");
}

// An error, or forgotten between float16 and float32.
bool negates(const Replayed& replayed) {
  return copies_otherwise(replayed) || does_not_say(replayed, "\"neg_cpu\" not implemented for");
}

bool keeps_roles(const Replayed& replayed) {
  return replayed.tree.has_its_slots();
}

bool notes_nothing(const Replayed& replayed) {
  return std::ranges::none_of(replayed.state_dict.metadata(), [](const auto& module) {
    return module.value.values.contains("assign_to_params_buffers");
  });
}

// Where PyTorch copies into a meta tensor, which does nothing, or from one, which then is no error.
bool gives_bytes(const Replayed& replayed) {
  return std::ranges::any_of(replayed.tree.named_slots(), [&](const Tree::NamedSlot& named) {
    const bool had_none = !replayed.recorded.tensor(named.tensor).storage;
    return had_none && named.slot->is_bound() == replayed.report.ok();
  });
}

// The count that a batch norm had before, or 0, is not what it has under its other name by now.
bool hands_out_old_count(const Replayed& replayed) {
  static constexpr std::string_view kCount = "num_batches_tracked";
  const auto is_refused = [](const Mismatch& mismatch) {
    return mismatch.reason == Reason::kTie && mismatch.key.ends_with(kCount);
  };
  const auto is_zero = [](const Tree::NamedSlot& named) {
    const Slot& slot = *named.slot;
    return named.name == kCount && slot.is_bound() &&
           elements(slot.bytes(), slot.dtype(), {}, {}) == Bytes(sizeof(std::int64_t));
  };
  return std::ranges::any_of(replayed.report.mismatched(), is_refused) ||
         std::ranges::any_of(replayed.tree.named_slots(), is_zero) || !replayed.report.ok();
}

bool collects_refusal(const Replayed& replayed) {
  return replayed.pytorch.contains("raised") &&
         says(replayed.report, "While setting the extra state");
}

bool sees_tensors_only(const Replayed& replayed) {
  return std::ranges::any_of(replayed.state_dict,
                             [](const auto& entry) { return entry.value.value() != nullptr; });
}

struct Difference {
  std::string_view name;
  bool (*is_as_stated)(const Replayed&);
};

constexpr std::array kDifferences{
    Difference{"half_done", is_not_half_done},
    Difference{"dtype", refuses<Reason::kDtype>},
    Difference{"layout", refuses<Reason::kLayout>},
    Difference{"values", refuses<Reason::kValues>},
    Difference{"tie", refuses<Reason::kTie>},
    Difference{"tie_kept", keeps_tie},
    Difference{"nothing", is_nothing},
    Difference{"requires_grad", has_no_gradients},
    Difference{"buffer_becomes_parameter", keeps_roles},
    Difference{"metadata_leak", notes_nothing},
    Difference{"slot_without_bytes", gives_bytes},
    Difference{"overlap", copies_overlap},
    Difference{"negated", negates},
    Difference{"before_the_load", hands_out_old_count},
    Difference{"extra_state_error", collects_refusal},
    Difference{"tensors_only", sees_tensors_only},
};

}  // namespace

bool differ_as_stated(const Replayed& replayed, DifferenceCounts& counts) {
  for (const std::string name : replayed.ours["differences"]) {
    const auto difference = std::ranges::find(kDifferences, name, &Difference::name);
    if (difference == kDifferences.end()) return complain("a difference without a name", name);
    if (!difference->is_as_stated(replayed)) return complain("not as stated", name);
    ++counts[name];
  }
  return true;
}

}  // namespace weightmap::tests
