// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <vector>

#include "format/faults.h"
#include "format/flatbuffer.h"
#include "format/index_rules.h"

namespace weightmap::format {
namespace {

constexpr std::size_t kMaxRoleBytes = 255;

bool is_part(const fb::Entry& entry) {
  return (entry.flags() & kPart) != 0;
}

Error bad_composite(const fb::Composite& composite, std::string_view fault) {
  return corrupt("composite ", quoted(text_of(composite.name())), " ", fault, ": kind ",
                 static_cast<unsigned>(composite.kind()), ", dtype ", composite.dtype(), ", flags ",
                 composite.flags(), ", ", size_of(composite.parts()), " parts");
}

// Composites are few and their parts many: which entries were taken is kept for all of them.
class PartCheck {
 public:
  explicit PartCheck(const IndexView& view) : view_(view), taken_(view.entries.size()) {}

  std::string_view fault_of(const fb::Composite& composite) {
    if (size_of(composite.parts()) == 0) return "has no parts";
    roles_.clear();
    for (const fb::Part* part : *composite.parts()) {
      const std::string_view fault = fault_of(*part);
      if (!fault.empty()) return fault;
      roles_.push_back(text_of(part->role()));
    }
    std::ranges::sort(roles_);
    const bool differ = std::ranges::adjacent_find(roles_) == roles_.end();
    return differ ? "" : "has two parts with one role";
  }

  std::uint64_t taken_count() const { return taken_count_; }

 private:
  std::string_view fault_of(const fb::Part& part) {
    const std::string_view role = text_of(part.role());
    if (role.empty() || role.size() > kMaxRoleBytes || !text_fault(role).empty()) {
      return "has a part with a role that is not 1 to 255 bytes of text";
    }
    if (part.entry() >= view_.entries.size()) return "has a part that does not exist";
    if (!is_part(view_.entries[part.entry()])) return "has a part without the flag part";
    if (taken_[part.entry()]) return "has a part that already belongs to a composite";
    taken_[part.entry()] = true;
    ++taken_count_;
    return "";
  }

  const IndexView& view_;
  std::vector<bool> taken_;
  std::uint64_t taken_count_ = 0;
  std::vector<std::string_view> roles_;
};

std::string_view composite_fault(const IndexView& view,
                                 const fb::Composite& composite,
                                 std::string_view previous_name) {
  const std::string_view name = text_of(composite.name());
  if (const auto fault = name_fault(name); !fault.empty()) return fault;
  if (name <= previous_name) return "does not come after the one before it by name";
  if (view.find(name)) return "has the name of a tensor";
  if (composite.kind() > fb::CompositeKind::MAX) return "is of an unknown kind";
  if (const auto fault = dtype_fault(composite.dtype(), composite.flags()); !fault.empty()) {
    return fault;
  }
  if (!text_fault(text_of(composite.class_name())).empty()) {
    return "has a class name with a NUL character or invalid UTF-8";
  }
  const auto shape = elements(composite.shape());
  return shape.size() > kMaxRank ? "has more than 64 dimensions" : shape_fault(shape);
}

}  // namespace

// R19
Result<void> check_composites(const IndexInput& input) {
  const IndexView& view = input.view;
  std::uint64_t taken_count = 0;
  if (size_of(view.root->composites()) > 0) {
    PartCheck parts(view);
    std::string_view previous_name;
    for (const fb::Composite* composite : *view.root->composites()) {
      std::string_view fault = composite_fault(view, *composite, previous_name);
      if (fault.empty()) fault = parts.fault_of(*composite);
      if (!fault.empty()) return bad_composite(*composite, fault);
      previous_name = text_of(composite->name());
    }
    taken_count = parts.taken_count();
  }
  if (taken_count == input.uses.parts) return {};
  return corrupt("composites have ", taken_count, " parts vs ", input.uses.parts,
                 " with the flag part");
}

}  // namespace weightmap::format
