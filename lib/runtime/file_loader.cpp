// SPDX-License-Identifier: Apache-2.0
// First everything is looked at and told, then, if nothing is wrong, every slot is changed.
#include "runtime/file_loader.h"

#include <algorithm>

#include "weightmap/module.h"

#include "base/prefetch.h"
#include "base/strided.h"
#include "base/text.h"
#include "runtime/key_homes.h"
#include "runtime/slot_home.h"

namespace weightmap {
FileLoader::FileLoader(Module& root,
                       const WeightFile& file,
                       const LoadOptions& options,
                       LoadMode mode)
    : Loader(options, mode),
      root_(&root),
      walk_(root, options.prefix),
      file_(file),
      state_(*file.state_) {
  report_.file_ = file;
  report_.class_name_ = root.class_name();
}

FileLoader::FileLoader(std::span<const FreeSlot> slots,
                       const WeightFile& file,
                       const LoadOptions& options,
                       LoadMode mode)
    : Loader(options, mode),
      slots_(slots),
      walk_(slots, options.prefix),
      file_(file),
      state_(*file.state_) {
  report_.file_ = file;
  report_.class_name_ = "a list of slots";
}

LoadFacts FileLoader::facts() const {
  LoadFacts facts;
  if (root_ != nullptr) facts.note_wanted(*root_);
  facts.note_wanted(slots_);
  facts.note_found(file_, options_.prefix);
  return facts;
}

std::optional<LoadReport> FileLoader::run() && {
  report_.rows_.reserve(std::max<std::size_t>(walk_.known_count(), file_.tensor_count()));
  taken_.assign(file_.tensor_count(), 0);
  find_composites();
  for (auto batch = walk_.next_batch(); !batch.empty(); batch = walk_.next_batch()) {
    find(batch);
    for (std::size_t i = 0; i < batch.size(); ++i)
      match(batch[i], numbers_[i]);
    slot_count_ += batch.size();
  }
  if (walk_.met_load_hooks()) return std::nullopt;
  collect_unexpected();
  order_unexpected();
  finish(walk_.errors(), slot_count_);
  return std::move(report_);
}

std::string_view FileLoader::key(std::uint32_t source) const {
  return file_.name(source).substr(options_.prefix.size());
}

void FileLoader::find_composites() {
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
void FileLoader::find(std::span<const FreeSlot> batch) {
  constexpr std::uint32_t kManyMisses = 4;
  for (std::size_t i = 0; i < batch.size(); ++i) {
    const std::string_view key = batch[i].name;
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
void FileLoader::find_together(std::span<const FreeSlot> batch, std::size_t begin) {
  std::array<std::string_view, SlotWalk::kBatch> keys;
  for (std::size_t i = 0; i < batch.size(); ++i) {
    keys[i] = batch[i].name;
  }
  const std::span<std::uint32_t> numbers = std::span(numbers_).subspan(begin, batch.size());
  state_.index.find_all(std::span(keys).first(batch.size()), numbers);
  if (numbers.back() != kNotFound) next_ = numbers.back() + 1;
}

bool FileLoader::is_next(std::string_view key) const {
  const format::IndexView& index = state_.index;
  return next_ < index.entries.size() && index.name(index.entries[next_]) == key;
}

// Parts of composites are no keys.
bool FileLoader::is_key(std::uint32_t number) const {
  if (number == kNotFound) return false;
  return begun_composites_.empty() || !file_.tensor(number).is_part();
}

void FileLoader::match(const FreeSlot& named, std::uint32_t number) {
  if (!is_key(number)) return note_absent(named);
  note_taken(number);
  if (mode_ == LoadMode::kBind && fits(*named.slot, state_.index.entries[number])) {
    accept(*named.slot, number);
  } else {
    judge(*named.slot, number);
  }
}

// What nearly every pair of a bind is: all that find_mismatch asks, without the words. False: ask
// it.
bool FileLoader::fits(const Slot& slot, const fb::Entry& entry) {
  constexpr std::uint16_t kAwkward =
      format::kConj | format::kNeg | format::kMeta | format::kUninitialized;
  if ((entry.flags() & kAwkward) != 0) return false;
  if (slot.dtype() != static_cast<Dtype>(entry.dtype()) || slot.is_lazy()) return false;
  const auto shape = state_.index.shape(entry);
  if (!std::ranges::equal(slot.shape(), shape)) return false;
  const std::byte* const data = state_.data_of(entry);
  if (data == nullptr && entry.segment() != format::kNoSegment) return false;
  if (reinterpret_cast<std::uintptr_t>(data) % slot.alignment_bytes() != 0) return false;
  if (slot.layout() == SlotLayout::kAnyStrides) return true;
  return contiguous_(entry, [&](const fb::Entry& first) {
    return is_contiguous(shape, state_.index.strides(first));
  });
}

void FileLoader::note_taken(std::uint32_t number) {
  taken_count_ += taken_[number] ? 0 : 1;
  taken_[number] = 1;
}

// No tensor that is a key has it: either nothing has, or a composite.
void FileLoader::note_absent(const FreeSlot& named) {
  const std::string_view key = named.name.substr(options_.prefix.size());
  const auto composite = file_.find_composite_number(named.name);
  if (!composite) {
    report_.missing_.emplace_back(key);
    return;
  }
  taken_composites_[*composite] = true;
  note_mismatch(composite_mismatch(*named.slot, file_.composite(*composite), key));
}

void FileLoader::collect_unexpected() {
  if (begun_composites_.empty() && taken_count_ == file_.tensor_count()) return;
  for (std::uint32_t number = 0; number < file_.tensor_count(); ++number) {
    if (begun_composites_.empty() || !file_.tensor(number).is_part()) {
      collect_unexpected(file_.name(number), taken_[number] != 0);
    } else if (const std::uint32_t composite = begun_composites_[number]; composite != kNotFound) {
      collect_unexpected(file_.composite_name(composite), taken_composites_[composite]);
    }
  }
}

void FileLoader::collect_unexpected(std::string_view name, bool is_taken) {
  if (is_taken || !name.starts_with(options_.prefix)) return;
  report_.unexpected_.emplace_back(name.substr(options_.prefix.size()));
}

// PyTorch asks each module about the keys that begin with its name, parents first, about its extra
// state before all others, and nobody about those of a child that is none.
void FileLoader::order_unexpected() {
  if (root_ == nullptr || report_.unexpected_.empty()) return;
  struct Homed {
    std::pair<std::uint32_t, bool> place;
    std::string key;
  };
  const KeyHomes homes(*root_);
  std::vector<Homed> homed;
  for (std::string& key : report_.unexpected_) {
    const auto home = homes.home(key);
    if (!home) continue;
    const std::pair place{*home, !homes.is_extra_state(key)};
    homed.push_back({place, std::move(key)});
  }
  std::ranges::stable_sort(homed, {}, &Homed::place);
  report_.unexpected_.clear();
  for (Homed& one : homed)
    report_.unexpected_.push_back(std::move(one.key));
}

// Slots, then the homes that they lead to.
void FileLoader::prefetch_ahead(std::span<const Row> rows, std::size_t at) const {
  constexpr std::size_t kAhead = 8;
  if (at + 3 * kAhead < rows.size()) {
    prefetch_object(*rows[at + 3 * kAhead].slot);
    __builtin_prefetch(&state_.index.entries[rows[at + 3 * kAhead].source]);
  }
  if (at + 2 * kAhead >= rows.size()) return;
  if (const SlotHome* const home = rows[at + 2 * kAhead].slot->home_.get()) prefetch_object(*home);
}

void FileLoader::point(const Row& row, const WeightFile::State& state) {
  Slot& slot = *row.slot;
  const fb::Entry& entry = state.index.entries[row.source];
  if ((entry.flags() & format::kUninitialized) != 0) return;
  if (slot.takes_what_comes())
    slot.become(static_cast<Dtype>(entry.dtype()), state.index.shape(entry));
  // A 0-dim slot may take a tensor of shape [1]: it has no use for that stride.
  slot.take(state.data_of(entry), state.index.strides(entry).data());
}

// A home is told what to keep open for a run of its slots. Whether it is to look for what it keeps
// open for nothing: not when these are all that it has.
bool FileLoader::end_run(std::span<const Row> rows,
                         std::uint32_t begin,
                         const Run& run,
                         const WeightFile& file) {
  if (run.home == nullptr || !run.home->keep_open(file)) return false;
  if (!has_all_slots(rows, begin, run)) return true;
  run.home->keep_only(file);
  return false;
}

// The slots of a home mostly stand together.
void FileLoader::point_slots() {
  const std::span<const Row> rows = report_.rows_;
  bool may_have_unused = false;
  for (std::uint32_t i = 0, begin = 0; i < rows.size(); ++i) {
    prefetch_ahead(rows, i);
    point(rows[i], state_);
    const bool goes_on = i + 1 < rows.size() && rows[i + 1].slot->home_ == rows[i].slot->home_;
    if (goes_on) continue;
    const Run run{.home = rows[i].slot->home_.get(), .end = i + 1};
    if (end_run(rows, begin, run, file_)) may_have_unused = true;
    begin = run.end;
  }
  if (may_have_unused) let_go_of_unused(rows);
}

void FileLoader::point(std::span<const Row> rows,
                       std::span<const Run> runs,
                       const WeightFile& file) {
  constexpr std::size_t kAhead = 24;
  constexpr std::size_t kPointedBytes = 32;  // of a slot, from its beginning
  const WeightFile::State& state = *file.state_;
  std::size_t row = 0;
  bool may_have_unused = false;
  for (std::size_t i = 0; i < runs.size(); ++i) {
    if (i + kAhead < runs.size() && runs[i + kAhead].home != nullptr)
      prefetch_object(*runs[i + kAhead].home);
    for (; row < runs[i].end; ++row) {
      if (row + kAhead < rows.size()) prefetch_bytes(rows[row + kAhead].slot, kPointedBytes);
      point(rows[row], state);
    }
    SlotHome* const home = runs[i].home;
    if (home == nullptr) continue;
    if (runs[i].is_whole) {
      home->keep_only(file);
    } else if (home->keep_open(file)) {
      may_have_unused = true;
    }
  }
  if (may_have_unused) let_go_of_unused(rows);
}

std::vector<FileLoader::Run> FileLoader::runs_of(std::span<const Row> rows) {
  std::vector<Run> runs;
  for (std::uint32_t i = 0; i < rows.size(); ++i) {
    SlotHome* const home = rows[i].slot->home_.get();
    if (runs.empty() || runs.back().home != home) runs.push_back({.home = home});
    runs.back().end = i + 1;
  }
  std::uint32_t begin = 0;
  for (Run& run : runs) {
    if (run.home != nullptr) run.is_whole = has_all_slots(rows, begin, run);
    begin = run.end;
  }
  return runs;
}

// Each slot counts once: under several names it remembers the last of its rows.
bool FileLoader::has_all_slots(std::span<const Row> rows, std::uint32_t begin, const Run& run) {
  std::size_t count = 0;
  for (std::uint32_t i = begin; i < run.end; ++i)
    count += rows[i].slot->row_ == i ? 1 : 0;
  return count == run.home->slot_count();
}

}  // namespace weightmap
