// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <list>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

namespace weightmap {

// Names to values in the order in which the names were first set, as Python's dict and OrderedDict
// keep them. Values stay where they are until they are erased. Not safe for writing from several
// threads. Cost: a hash a name.
template <typename V>
class OrderedMap {
 public:
  struct Entry {
    const std::string name;
    V value;
  };
  using Iterator = typename std::list<Entry>::iterator;
  using ConstIterator = typename std::list<Entry>::const_iterator;

  OrderedMap() = default;
  ~OrderedMap() = default;
  OrderedMap(const OrderedMap& other) { update(other); }
  OrderedMap& operator=(const OrderedMap& other) {
    if (this != &other) *this = OrderedMap(other);
    return *this;
  }
  OrderedMap(OrderedMap&&) noexcept = default;
  OrderedMap& operator=(OrderedMap&&) noexcept = default;

  std::size_t size() const { return entries_.size(); }
  bool empty() const { return entries_.empty(); }
  bool contains(std::string_view name) const { return places_.contains(name); }

  // Null: there is none of that name.
  V* find(std::string_view name) {
    const auto place = places_.find(name);
    return place == places_.end() ? nullptr : &place->second->value;
  }
  const V* find(std::string_view name) const {
    const auto place = places_.find(name);
    return place == places_.end() ? nullptr : &place->second->value;
  }

  // A name that is there keeps its place, a new one goes to the end.
  V& set(std::string_view name, V value) {
    if (V* const known = find(name)) return *known = std::move(value);
    entries_.push_back({std::string(name), std::move(value)});
    const auto last = std::prev(entries_.end());
    places_.emplace(last->name, last);
    return last->value;
  }

  // Whether there was one.
  bool erase(std::string_view name) { return pop(name).has_value(); }

  std::optional<V> pop(std::string_view name) {
    const auto place = places_.find(name);
    if (place == places_.end()) return std::nullopt;
    return take_out(place);
  }

  // `d[to] = d.pop(from)`: the new name goes to the end, or replaces what has it. Whether there was
  // a `from`.
  bool rename(std::string_view from, std::string_view to) {
    const auto place = places_.find(from);
    if (place == places_.end()) return false;
    const std::string kept(to);  // it may be a part of what goes
    set(kept, take_out(place));
    return true;
  }

  // Sets everything that the other has.
  void update(const OrderedMap& other) {
    for (const Entry& entry : other.entries_)
      set(entry.name, entry.value);
  }

  void clear() {
    places_.clear();
    entries_.clear();
  }

  Iterator begin() { return entries_.begin(); }
  Iterator end() { return entries_.end(); }
  ConstIterator begin() const { return entries_.begin(); }
  ConstIterator end() const { return entries_.end(); }

 private:
  using Places = std::unordered_map<std::string_view, Iterator>;

  V take_out(typename Places::iterator place) {
    const auto entry = place->second;
    V value = std::move(entry->value);
    places_.erase(place);
    entries_.erase(entry);
    return value;
  }

  std::list<Entry> entries_;
  Places places_;  // by the entry's own name
};

}  // namespace weightmap
