// SPDX-License-Identifier: Apache-2.0
#include "modules/comparison.h"

#include <algorithm>
#include <array>
#include <optional>

#include "support/names.h"

namespace weightmap::tests {
namespace {

using Strings = std::vector<std::string>;
using Reason = Mismatch::Reason;

Strings strings(std::span<const std::string> all) {
  return {all.begin(), all.end()};
}

std::string hex(std::span<const std::byte> bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  for (const std::byte byte : bytes) {
    text += kDigits[std::to_integer<std::size_t>(byte >> 4U)];
    text += kDigits[std::to_integer<std::size_t>(byte & std::byte{15})];
  }
  return text;
}

// What a slot or a tensor of a state dict is, to compare it with what was recorded.
struct Found {
  Dtype dtype = Dtype::kFloat32;
  std::span<const std::int64_t> shape;
  std::span<const std::int64_t> strides;
  const std::byte* data = nullptr;
};

Json facts(Dtype dtype,
           std::span<const std::int64_t> shape,
           std::span<const std::int64_t> strides,
           const std::string& values) {
  return {dtype_name(dtype), std::vector(shape.begin(), shape.end()),
          std::vector(strides.begin(), strides.end()), values};
}

// `content`: of the storage that the recorded tensor is a view of.
bool is_tensor(const std::string& key,
               const Found& found,
               const RecordedTensor& recorded,
               std::span<const std::byte> content,
               Places& places) {
  const auto values = [](const std::byte* data, Dtype dtype, auto shape, auto strides) {
    return hex(elements(data, dtype, shape, strides));
  };
  const bool has_values = recorded.storage && recorded.element_count() > 0;
  const Json expected =
      facts(recorded.dtype, recorded.shape, recorded.strides,
            has_values ? values(content.data() + recorded.offset_bytes, recorded.dtype,
                                std::span(recorded.shape), std::span(recorded.strides))
                       : "");
  const bool has_data = found.data != nullptr && has_values;
  const Json now =
      facts(found.dtype, found.shape, found.strides,
            has_data ? values(found.data, found.dtype, found.shape, found.strides) : "");
  if (!is_same(key.c_str(), now, expected)) return false;
  return places.fits(recorded, found.data) ||
         complain("lies elsewhere, or where another storage is", key);
}

std::string flags_of(const TensorView& view) {
  std::string flags;
  if (view.is_conj()) flags += 'c';
  if (view.is_neg()) flags += 'n';
  if (view.is_meta()) flags += 'm';
  if (view.is_parameter()) flags += 'p';
  if (view.requires_grad()) flags += 'r';
  return flags;
}

bool is_item(const std::string& key,
             const StateItem& item,
             const Json& expected,
             const Recorded& recorded,
             Places& places) {
  if (expected.is_array()) {
    return item.value() != nullptr ? is_same(key.c_str(), json_of(*item.value()), expected[1])
                                   : complain("a tensor, and no value", key);
  }
  if (item.tensor() == nullptr) return complain("no tensor", key);
  const TensorView& view = item.tensor()->view();
  const RecordedTensor& tensor = recorded.tensor(expected);
  const Bytes none;
  return is_same(key.c_str(), flags_of(view), tensor.flags) &&
         is_tensor(key, {view.dtype(), view.shape(), view.strides(), view.data()}, tensor,
                   tensor.storage ? recorded.storages()[*tensor.storage] : none, places);
}

Json metadata_json(const OrderedMap<ModuleMetadata>& metadata) {
  Json found = Json::array();
  for (const auto& [path, module] : metadata) {
    Json noted = Json::object();
    if (module.version) noted["version"] = *module.version;
    for (const auto& [key, value] : module.values)
      noted[key] = json_of(value);
    found.push_back({path, noted});
  }
  return found;
}

// By the words that a message begins with.
constexpr std::array<std::pair<std::string_view, Reason>, 6> kReasons{
    std::pair{"size mismatch", Reason::kShape},    std::pair{"dtype mismatch", Reason::kDtype},
    std::pair{"layout mismatch", Reason::kLayout}, std::pair{"tie mismatch", Reason::kTie},
    std::pair{"values mismatch", Reason::kValues}, std::pair{"While copying", Reason::kValues}};

bool has_its_reason(const Mismatch& mismatch) {
  return std::ranges::any_of(kReasons, [&](const auto& reason) {
    return mismatch.text.starts_with(reason.first) && mismatch.reason == reason.second;
  });
}

bool mismatches_as_recorded(const LoadReport& report, const Json& outcome) {
  Json texts = Json::array();
  for (const Mismatch& mismatch : report.mismatched()) {
    if (!has_its_reason(mismatch)) return complain("another reason", mismatch.text);
    texts.push_back(mismatch.text);
  }
  return is_same("mismatched", texts, outcome["mismatched"]);
}

// What is in a storage after a load.
class Contents {
 public:
  Contents(const Recorded& recorded, const Json& after) : recorded_(recorded) {
    for (const auto& [number, hex] : after.items())
      changed_[std::stoul(number)] = Recorded::bytes_of_hex(hex);
  }
  const Bytes& of(std::size_t storage) const {
    const auto changed = changed_.find(storage);
    return changed == changed_.end() ? recorded_.storages()[storage] : changed->second;
  }

 private:
  const Recorded& recorded_;
  std::unordered_map<std::size_t, Bytes> changed_;
};

bool storages_are(const Memory& memory, const Contents& contents) {
  for (std::size_t i = 0; i < memory.size(); ++i) {
    if (!is_same("storage", hex(memory.bytes(i)), hex(contents.of(i)))) return false;
  }
  return true;
}

}  // namespace

bool has_its_names(Module& root, const Json& described) {
  for (const Json& names_of_naming : described["names"]) {
    const Json& asked = names_of_naming[0];
    const ModuleNaming naming{
        .prefix = asked[0], .recurse = asked[1], .remove_duplicate = asked[2]};
    const bool good =
        is_same("named_parameters", names(root.named_parameters(naming)), names_of_naming[1]) &&
        is_same("named_buffers", names(root.named_buffers(naming)), names_of_naming[2]) &&
        is_same("named_modules", names(root.named_modules(naming)), names_of_naming[3]);
    if (!good) return false;
  }
  return is_same("named_children", names(root.named_children()), described["children"]);
}

bool is_as_recorded(const StateDict& found,
                    const Json& items,
                    const Json& metadata,
                    const Recorded& recorded,
                    Places& places) {
  Json keys = Json::array();
  Json expected_keys = Json::array();
  for (const Json& item : items)
    expected_keys.push_back(item[0]);
  for (const StateDict::Entry& entry : found)
    keys.push_back(entry.name);
  if (!is_same("keys", keys, expected_keys)) return false;
  std::size_t number = 0;
  for (const StateDict::Entry& entry : found) {
    if (!is_item(entry.name, entry.value, items[number++][1], recorded, places)) return false;
  }
  return is_same("metadata", metadata_json(found.metadata()), metadata);
}

bool tells_as_recorded(const LoadReport& report, const Json& outcome) {
  if (outcome.contains("error")) {
    if (!is_same("error", report.ok() ? "" : report.text(), outcome["error"])) return false;
  } else if (!is_same("error", report.ok() ? "" : report.text(), "") ||
             !is_same("missing", strings(report.missing()), outcome["missing"]) ||
             !is_same("unexpected", strings(report.unexpected()), outcome["unexpected"])) {
    return false;
  }
  Strings matched;
  for (std::size_t i = 0; i < report.matched_count(); ++i)
    matched.emplace_back(report.matched(i));
  return is_same("matched", matched, outcome["matched"]) && mismatches_as_recorded(report, outcome);
}

bool has_as_recorded(const Tree& tree,
                     const Memory& memory,
                     const Recorded& recorded,
                     const Json& outcome,
                     Places& places) {
  const Contents contents(recorded, outcome["after"]);
  Places own(memory);
  std::size_t number = 0;
  for (const Tree::NamedSlot& named : tree.named_slots()) {
    const std::string name = std::to_string(number++);
    const bool is_changed = outcome["slots"].contains(name);
    const RecordedTensor& tensor =
        recorded.tensor(is_changed ? outcome["slots"][name].get<std::size_t>() : named.tensor);
    const Slot& slot = *named.slot;
    Found found{slot.dtype(), slot.shape(), slot.strides(), slot.bytes()};
    if (!slot.is_bound()) found.strides = tensor.strides;
    if (slot.is_bound() != tensor.storage.has_value())
      return complain("has bytes, or not", named.name);
    const Bytes none;
    if (!is_tensor(named.name, found, tensor, tensor.storage ? contents.of(*tensor.storage) : none,
                   is_changed ? places : own))
      return false;
  }
  return storages_are(memory, contents);
}

bool knows_storages(const Tree& tree,
                    const Memory& memory,
                    const Recorded& recorded,
                    const Json& outcome) {
  const std::vector<Tree::NamedSlot> slots = tree.named_slots();
  for (const auto& [number, tensor] : outcome["slots"].items()) {
    const auto storage = recorded.tensor(tensor).storage;
    if (!storage || *storage >= memory.size()) continue;
    const Tree::NamedSlot& named = slots[std::stoul(number)];
    StateDict own;
    named.module->save_to_state_dict(own, "", false);
    const StateItem* const item = own.find(named.name);
    if (item == nullptr) continue;  // not persistent, and a tie
    const std::span<const std::byte> found = item->tensor()->storage();
    const std::span<const std::byte> expected = memory.bytes(*storage);
    if (found.data() != expected.data() || found.size() != expected.size())
      return complain("of another storage", named.name);
  }
  return true;
}

}  // namespace weightmap::tests
