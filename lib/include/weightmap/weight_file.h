// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "weightmap/composite_view.h"
#include "weightmap/digest.h"
#include "weightmap/open_options.h"
#include "weightmap/result.h"
#include "weightmap/tensor_view.h"
#include "weightmap/value_graph.h"

namespace weightmap {

class StateDict;

struct OpenedFile;  // internal

// The version of one module, as `_metadata` of the state dict had it.
struct ModuleVersion {
  std::string_view path;  // "" is the root, "layers.0" a child; valid as TensorView is
  std::int64_t version = 0;
};

// Where a data file's bytes come from. The first of a weight file is the file itself.
struct DataFileInfo {
  std::string_view name;  // beside the weight file; "" for itself
  std::string_view kind;  // "self", "wmap", "zip", "safetensors"
  std::uint64_t size_bytes = 0;
  std::uint64_t alignment_bytes = 0;
  Digest identity;
  std::string problem;  // one line: why it is not open; empty when it is
};

// A contiguous range of bytes in a data file that tensors lie in.
struct SegmentInfo {
  std::uint32_t data_file = 0;
  std::uint64_t offset_bytes = 0;  // in the data file
  std::uint64_t size_bytes = 0;
};

// Where a tensor's first element is.
struct TensorPlace {
  std::optional<std::uint32_t> segment;  // none: the tensor has no bytes
  std::uint64_t offset_bytes = 0;        // from the start of the segment's data file
  std::uint64_t size_bytes = 0;          // from the first byte that an element occupies to the last
};

// A range of a data file whose bytes are not what was written.
struct Damage {
  std::uint32_t data_file = 0;
  std::uint64_t begin_bytes = 0;
  std::uint64_t end_bytes = 0;
  std::string what;                       // one line, naming the rule
  std::vector<std::string_view> tensors;  // those that lie in the range
};

struct VerifyReport {
  std::uint64_t bytes_checked = 0;  // of segments, against digests
  std::uint64_t segments_checked = 0;
  std::uint64_t segments_without_digest = 0;  // nothing can be said of them
  std::uint64_t segments_absent = 0;          // in data files that are not open
  std::vector<Damage> damages;
  bool ok() const { return damages.empty(); }
};

struct VerifyOptions {
  unsigned threads = 0;  // at most 64; 0: as many as there are processors
  // Called from the calling thread, before anything is read and then now and then, with bytes done
  // and to do, padding among them; false stops the work.
  std::function<bool(std::uint64_t done_bytes, std::uint64_t total_bytes)> progress;
};

// A weight file, open: its header and index read into private memory and verified, its bytes and
// those of the data files beside it mapped read-only, one mapping a file, and shared with every
// process that maps the same files. A handle: copies share the mappings, which live until the last
// copy, and the last module bound to it, is gone. All functions are safe from several threads.
//
// The files must not be changed or cut short while they are open (replace them by rename): a reader
// of a page that is gone gets SIGBUS, unless OpenOptions::guard is set. check() tells of such
// changes. schema/FORMAT.md 8 has all such caveats.
class WeightFile {
 public:
  // Cost: that of the index; no byte of a tensor is read. Errors: kNotFound, kIo; kWrongKind (the
  // message says what the file is); kCorrupt (naming the rule); kUnsupported (a required feature
  // that this version does not have). Data files are looked up in the directory of the path and
  // held against the sizes and identities that the index records: kNotFound, kIo, kCorrupt, naming
  // the one that is missing or another. Messages begin with the path.
  static Result<WeightFile> open(const std::string& path, const OpenOptions& options = {});

  // The same from a descriptor, which the caller keeps and may close; `name` is for messages. There
  // is no directory here: a file that needs data files is kUnsupported.
  static Result<WeightFile> open_descriptor(int descriptor,
                                            const std::string& name,
                                            const OpenOptions& options = {});

  // The same from bytes in memory, 64-byte aligned, which `owner` keeps alive and nobody changes.
  // A file that needs data files is kUnsupported.
  static Result<WeightFile> from_memory(std::span<const std::byte> bytes,
                                        std::shared_ptr<const void> owner,
                                        const std::string& name = "memory",
                                        const OpenOptions& options = {});

  const std::string& path() const;
  std::uint64_t size_bytes() const;
  std::uint64_t alignment_bytes() const;
  std::string format_version() const;          // "1.0"
  Digest digest() const;                       // of the index: stands for the whole content
  std::span<const std::byte> mapping() const;  // the whole file itself

  // The whole of a data file; empty where it is not open. REQUIRES: number < data_files().size().
  std::span<const std::byte> data_file_mapping(std::uint32_t number) const;

  // Tensors, in definition order; those that composites are made of are among them, but are no
  // keys (TensorView::is_part). REQUIRES: number < tensor_count().
  std::uint32_t tensor_count() const;
  TensorView tensor(std::uint32_t number) const;
  std::string_view name(std::uint32_t number) const;
  TensorPlace place(std::uint32_t number) const;
  std::optional<std::uint32_t> find_number(std::string_view name) const;
  std::optional<TensorView> find(std::string_view name) const;  // nothing: no tensor has that name

  // Keys that stand for several tensors, ascending by name; no tensor has the name of one.
  // REQUIRES: number < composite_count().
  std::uint32_t composite_count() const;
  CompositeView composite(std::uint32_t number) const;
  std::string_view composite_name(std::uint32_t number) const;
  std::optional<std::uint32_t> find_composite_number(std::string_view name) const;
  std::optional<CompositeView> find_composite(std::string_view name) const;

  std::vector<DataFileInfo> data_files() const;
  std::uint32_t segment_count() const;
  SegmentInfo segment(std::uint32_t number) const;  // REQUIRES: number < segment_count()
  std::vector<ModuleVersion> modules() const;       // ascending by path
  std::optional<std::int64_t> module_version(std::string_view path) const;

  // The rest of the checkpoint: containers, numbers, strings. A kTensor node's number is that of
  // tensor(), a kComposite node's that of composite(). Reads and verifies the extras at each call.
  // Errors: kIo, kCorrupt.
  Result<ValueGraph> values() const;

  // The state dict that the file holds (state_dict.h): of the keys that begin with `prefix`, which
  // they lose, the tensors, the composites, and what else the object has under names: a container
  // that holds tensors is taken apart, as its tensors' names say; any other value is one item, and
  // so is all that stands under a key `…_extra_state`. Attributes of tensors are left out. Metadata
  // is that of the modules below the prefix. Copies no bytes of tensors. Errors: those of values().
  Result<StateDict> state_dict(std::string_view prefix = "") const;

  // Copies a part of a segment by read(2), not through the mapping: no page of it stays in memory
  // on this process's account, and a file cut short is an error, not a signal.
  // REQUIRES: the range lies inside the segment. Errors: kIo, kCorrupt.
  Result<void> read_segment(std::uint32_t segment,
                            std::uint64_t offset_bytes,
                            std::span<std::byte> into) const;

  // One a segment, zero where none is recorded (FORMAT.md 4). Errors: those of values().
  Result<std::vector<Digest>> segment_digests() const;

  // Reads every byte: padding against zero, segments against their digests. Errors: kIo, kCorrupt
  // (the extras themselves), kCancelled. Damage is no error: it is in the report.
  Result<VerifyReport> verify(const VerifyOptions& options = {}) const;

  // What became of the options, and what is in memory now. Cost: /proc/self/smaps is read.
  OpenReport report() const;

  // Whether the files still are what was opened: none cut short, replaced in place or written to
  // (by their sizes, times, headers and identities; no byte of the blob is read), no fault under a
  // guard. Says nothing of a path that now leads to another file: that is the way to replace one.
  // Errors: kCorrupt, naming the file and, for faults, tensors; kIo.
  Result<void> check() const;

  // Pages under a guard (OpenOptions::guard) that could not be read and became zeros: ask after a
  // computation, before its result is believed. has_faults() costs an atomic load a data file.
  bool has_faults() const;
  std::vector<Damage> faults() const;

  // The bytes of a tensor, from the first that an element occupies to the last, to be written to;
  // what shares them sees it. Other processes, the file and other openings of it never do.
  // REQUIRES: number < tensor_count(). Errors: kUnsupported: not opened as Mapping::kPrivate;
  // kNotFound: the tensor has no bytes here.
  Result<std::span<std::byte>> writable_bytes(std::uint32_t number) const;

  // Takes the pages of a tensor, or of all, out of this process: after weights went to a GPU. The
  // next touch brings them back. REQUIRES: number < tensor_count(). Errors: kUnsupported: not a
  // shared mapping (in a private one what was written would be lost, a copy has nowhere to come
  // back from); kIo: the pages are locked.
  Result<void> release(std::uint32_t number) const;
  Result<void> release() const;

  // Iteration in definition order: `for (const TensorView tensor : file)`.
  class Iterator {
   public:
    using value_type = TensorView;
    using difference_type = std::ptrdiff_t;
    Iterator() = default;
    Iterator(const WeightFile* file, std::uint32_t number) : file_(file), number_(number) {}
    TensorView operator*() const { return file_->tensor(number_); }
    Iterator& operator++() {
      ++number_;
      return *this;
    }
    Iterator operator++(int) { return {file_, number_++}; }
    friend bool operator==(const Iterator&, const Iterator&) = default;

   private:
    const WeightFile* file_ = nullptr;
    std::uint32_t number_ = 0;
  };
  Iterator begin() const { return {this, 0}; }
  Iterator end() const { return {this, tensor_count()}; }

  struct State;  // internal

 private:
  explicit WeightFile(std::shared_ptr<const State> state) : state_(std::move(state)) {}
  static Result<WeightFile> from_opened(Result<OpenedFile> opened,
                                        const std::optional<std::string>& path,
                                        const OpenOptions& options);
  Result<void> release_range(std::uint32_t data_file,
                             std::uint64_t offset_bytes,
                             std::uint64_t size_bytes) const;
  friend class BindPlan;
  friend class FileLoader;
  friend class LoadReport;
  friend class Module;
  friend class StateDictWriter;
  friend class StateTensor;
  friend const State& state_of(const WeightFile& file);

  std::shared_ptr<const State> state_;
};

}  // namespace weightmap
