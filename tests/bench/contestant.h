// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "support/synthetic_model.h"

namespace weightmap::bench {

// A file mapped as every contestant maps it, read-only and shared, with huge pages asked for, and
// a part of it in private memory. Throws when the system refuses.
class InputFile {
 public:
  explicit InputFile(const std::string& path);
  ~InputFile();
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;

  const std::byte* data() const { return data_; }
  std::size_t size() const { return size_; }
  void read(std::size_t offset, void* into, std::size_t size) const;

 private:
  int descriptor_ = -1;
  const std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

// The wanted tensors of a model, found in its file: an address for each.
using Bound = std::vector<const std::byte*>;

// One way to do what the others do, too; rows.py knows it by its name. `run` does it once and
// leaves nothing behind; throws when anything is wrong, so that nobody is fast by failing.
struct Contestant {
  std::string name;
  std::function<void()> run;
};

// Opens the file of a model (`FOLDER/COUNT.SUFFIX`), checks what it says, binds every tensor that
// is wanted, in the order given, and closes it. The model must outlive the contestant.
Contestant weightmap_bind(const std::string& path, const tests::SyntheticModel& wanted);
Contestant weightmap_tree(const std::string& path, const tests::SyntheticModel& wanted);
Contestant simdjson_bind(const std::string& path, const tests::SyntheticModel& wanted);
Contestant table_bind(const std::string& path, const tests::SyntheticModel& wanted);

// What the kernel takes of weightmap_bind: open, map, read header and index, unmap, close.
Contestant kernel_part(const std::string& path);

// Looks every wanted name up, in the order given, in a file that is open.
Contestant weightmap_find(const std::string& path, const tests::SyntheticModel& wanted);
Contestant simdjson_find(const std::string& path, const tests::SyntheticModel& wanted);
Contestant table_find(const std::string& path, const tests::SyntheticModel& wanted);
Contestant unordered_map_find(const tests::SyntheticModel& wanted);

// What any of them takes at least: that each name is the one in the file, where that is known.
Contestant known_places(const std::string& path, const tests::SyntheticModel& wanted);

// Throws std::runtime_error unless `is_so`.
void require(bool is_so, const char* what);

}  // namespace weightmap::bench
