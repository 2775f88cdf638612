// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <optional>

#include "base/checked.h"
#include "base/strided.h"
#include "format/faults.h"
#include "format/form_memo.h"
#include "format/index_rules.h"

namespace weightmap::format {
namespace {

constexpr std::uint16_t kNoValues = kMeta | kUninitialized;

// The rest of a rule: the first entry with a fault, and how the entry looks, as an error.
template <typename Question, typename Description>
Result<void> check_each(const EntriesInput& input, Question fault_of, Description description_of) {
  for (const fb::Entry& entry : input.entries) {
    const std::string_view fault = fault_of(entry);
    if (fault.empty()) continue;
    return corrupt(tensor_text(input.view, entry), " ", fault, ": ", description_of(entry));
  }
  return {};
}

// What nearly all entries are. Gathered, not branched on.
bool are_plain(std::span<const fb::Entry> entries) {
  constexpr std::uint16_t kPlainFlags = kParameter | kRequiresGrad;
  unsigned odd = 0;
  for (const fb::Entry& entry : entries) {
    odd |= static_cast<unsigned>(entry.flags() & ~kPlainFlags) | entry.reserved();
    odd |= static_cast<unsigned>(entry.dtype() >= kDtypeCount);
    odd |= static_cast<unsigned>(entry.rank() > kMaxRank);
  }
  return odd == 0;
}

std::string_view entry_fault(const fb::Entry& entry) {
  const std::string_view fault = dtype_fault(entry.dtype(), entry.flags());
  if (!fault.empty()) return fault;
  if (entry.rank() > kMaxRank) return "has more than 64 dimensions";
  if (entry.reserved() != 0) return "has reserved bytes that are not 0";
  if ((entry.flags() & kNoValues) == kNoValues) return "is both meta and uninitialized";
  if ((entry.flags() & kUninitialized) != 0 && entry.rank() > 0) {
    return "is uninitialized but has dimensions";
  }
  return "";
}

bool is_negative(std::int64_t number) {
  return number < 0;
}

std::string_view dims_fault(const IndexView& view, const fb::Entry& entry) {
  const bool inside = range_fits(entry.shape_begin(), entry.rank(), view.dims.size()) &&
                      range_fits(entry.strides_begin(), entry.rank(), view.dims.size());
  if (!inside) return "has a shape or strides outside of `dims`";
  if (std::ranges::any_of(view.strides(entry), is_negative)) return "has a negative stride";
  return shape_fault(view.shape(entry));
}

std::string_view absence_fault(const IndexView& view, const fb::Entry& entry) {
  if (entry.offset_bytes() != 0) return "has no segment but an offset";
  if ((entry.flags() & kNoValues) != 0) return "";
  return checked_element_count(view.shape(entry)) == 0 ? "" : "has elements but no segment";
}

// What R18 holds an entry's place against.
struct Extent {
  std::optional<std::uint64_t> bytes;  // nothing: more than can be counted
  std::uint64_t element_mask = 0;      // elements take 2^n bytes: no division
};

Extent extent_of(const IndexView& view, const fb::Entry& entry) {
  const auto dtype = static_cast<Dtype>(entry.dtype());
  return {.bytes = checked_extent_bytes(dtype, view.shape(entry), view.strides(entry)),
          .element_mask = addressed_bytes(dtype) - 1};
}

std::string_view extent_fault(const IndexView& view,
                              const fb::Entry& entry,
                              FormMemo<Extent>& extents) {
  if (entry.segment() == kNoSegment) return absence_fault(view, entry);
  if ((entry.flags() & kNoValues) != 0) return "has a segment, though its flags say no values";
  if (entry.segment() >= view.segments.size()) return "lies in a segment that does not exist";
  const Extent& extent = extents(entry, [&](const auto& first) { return extent_of(view, first); });
  if ((entry.offset_bytes() & extent.element_mask) != 0) {
    return "does not begin at a multiple of its element's size";
  }
  const std::uint64_t segment_bytes = view.segments[entry.segment()].size_bytes();
  const bool is_inside =
      extent.bytes && range_fits(entry.offset_bytes(), *extent.bytes, segment_bytes);
  return is_inside ? "" : "reaches out of its segment";
}

std::string numbers_text(const fb::Entry& entry) {
  return concat("dtype ", entry.dtype(), ", flags ", entry.flags(), ", rank ", entry.rank(),
                ", reserved ", entry.reserved());
}

std::string dims_text(const IndexView& view, const fb::Entry& entry) {
  const std::size_t count = view.dims.size();
  const auto text_at = [&](std::uint32_t begin) {
    if (range_fits(begin, entry.rank(), count)) {
      return list_text(view.dims.subspan(begin, entry.rank()));
    }
    return concat(entry.rank(), " from ", begin, " vs ", count);
  };
  const std::string shape = text_at(entry.shape_begin());
  return concat("shape ", shape, ", strides ", text_at(entry.strides_begin()));
}

std::string extent_text(const IndexView& view, const fb::Entry& entry) {
  const std::string_view dtype = dtype_name(static_cast<Dtype>(entry.dtype()));
  std::string form = concat(dtype, ", ", dims_text(view, entry), ", offset ", entry.offset_bytes());
  if (entry.segment() == kNoSegment) return form;
  const std::size_t count = view.segments.size();
  if (entry.segment() >= count) {
    return concat(form, ", segment ", entry.segment(), " vs ", count, " segments");
  }
  const std::uint64_t size = view.segments[entry.segment()].size_bytes();
  return concat(form, ", segment ", entry.segment(), " with ", size, " bytes");
}

}  // namespace

// R16
Result<void> check_entries(const EntriesInput& input) {
  if (are_plain(input.entries)) return {};
  return check_each(input, entry_fault, numbers_text);
}

// R17
Result<void> check_dims(const EntriesInput& input) {
  const IndexView& view = input.view;
  FormMemo<std::string_view> faults;
  const auto fault_of = [&](const fb::Entry& entry) {
    return faults(entry, [&](const auto& first) { return dims_fault(view, first); });
  };
  return check_each(input, fault_of,
                    [&](const fb::Entry& entry) { return dims_text(view, entry); });
}

// R18
Result<void> check_extents(const EntriesInput& input) {
  const IndexView& view = input.view;
  FormMemo<Extent> extents;
  return check_each(
      input, [&](const fb::Entry& entry) { return extent_fault(view, entry, extents); },
      [&](const fb::Entry& entry) { return extent_text(view, entry); });
}

}  // namespace weightmap::format
