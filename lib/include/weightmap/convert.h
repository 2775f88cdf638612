// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "weightmap/composite.h"
#include "weightmap/digest.h"
#include "weightmap/dtype.h"
#include "weightmap/rename_rule.h"
#include "weightmap/result.h"
#include "weightmap/value_graph.h"

namespace weightmap {

// What part of a checkpoint to take, and how strictly.
struct CheckpointOptions {
  // Dotted path of a sub-dictionary that becomes the top: "model". Empty: the whole object.
  std::string root;
  // Refuse every class that torch.load(weights_only=True) refuses, instead of keeping its objects
  // as opaque records.
  bool strict_globals = false;
};

// Which tensors to take and what to call them. With any rule the file holds just these, as a plain
// state dict: what else the checkpoint holds is left out and counted. In patterns, `*` stands for
// any characters, dots included, and `?` for one. A rule that touches no tensor is an error.
struct SelectionOptions {
  std::vector<std::string> include;  // patterns over whole names; empty: all
  std::vector<std::string> exclude;  // then these are left out
  std::string strip_prefix;          // then this is taken away where a name begins with it
  std::vector<RenameRule> rename;    // then these, one after another
};

struct ConvertOptions {
  CheckpointOptions checkpoint;
  SelectionOptions selection;
  // What float16, bfloat16, float32 and float64 become, to the nearest value as PyTorch's `to()`
  // does it; ties stay ties.
  std::optional<Dtype> float_dtype;
  // Keeps bytes of storages before the first and after the last that a tensor refers to.
  bool whole_storages = false;
  std::uint32_t alignment_bytes = 64;  // a power of two, 64 to 2 MiB
  // Path of a weight file in the target's directory, of any making. Segments that it has already,
  // byte for byte and aligned as wanted, are not written: the target refers to them where they are,
  // in the base or in the data files of the base, which must stay beside it. Empty: none.
  std::string base;
  // Where the target would be larger, its segments are spread over weight files beside it that are
  // not larger, but for one that a single segment is too large for. They are called by the target's
  // name and their digests, so that none takes the place of another, and get the permissions of the
  // target that is replaced. Those that a conversion wrote before it failed or was killed stay,
  // whole: the next one of the same source and options takes them over, other ones of the target
  // tell of them as left_shards. 0: all in one file.
  std::uint64_t max_shard_bytes = 0;
  bool replace_any = false;  // replace a target that is no weight file; a weight file always is
  bool sync = true;          // on the disk before the name appears
  // How many segments are read, hashed and written at the same time, each by a thread (a very large
  // one by two of them) and with 4 MiB of memory a thread, 14 where it casts: 0 as many as there
  // are processors, at most 8; 1: by the caller's thread alone; never more than 64.
  unsigned jobs = 0;
  // Refuse a source whose bytes are not those that its CRCs were made of, instead of reporting it.
  // What has no CRC (0 stands for none) cannot be told. Without, storages that are cut to what
  // tensors refer to are not compared.
  bool verify_crc = false;
  // Called before there is anything of the target, now and then, and when the last byte is written,
  // with bytes done and to do, by the caller's thread; false stops the work: kCancelled, and the
  // target is untouched.
  std::function<bool(std::uint64_t done_bytes, std::uint64_t total_bytes)> progress;
};

// How many tensors a rule of the selection touched.
struct RuleUse {
  std::string rule;  // "include encoder.*"
  std::uint32_t tensors = 0;
};

// A file beside a weight file in which some of its segments are.
struct ReferredFile {
  std::string name;
  std::uint64_t size_bytes = 0;
  std::uint64_t alignment_bytes = 0;  // of the segments that are referred to
  std::uint32_t segment_count = 0;    // that are referred to
  std::uint64_t data_bytes = 0;       // of these
  bool is_shard = false;              // written for this weight file; else the base has it
};

struct ConvertReport {
  std::string source_kind;  // "zip checkpoint", "TorchScript archive", "weight file" ...
  std::uint32_t tensor_count = 0;
  std::uint32_t segment_count = 0;  // ranges of bytes; fewer than tensors when some share
  std::uint64_t data_bytes = 0;     // of all segments
  std::uint64_t file_bytes = 0;     // of the target itself
  // What the target refers to: files of the base, then shards. Of the segments, those of the base
  // were compared and not written.
  std::vector<ReferredFile> data_files;
  std::uint32_t reused_segments = 0;
  std::uint64_t reused_bytes = 0;
  // Files that are called as shards of this target are and that it does not refer to: of an earlier
  // target, or of a conversion that failed or was killed. Others may refer to them.
  std::vector<std::string> left_shards;
  Digest digest;                            // of the index: stands for the whole content
  std::vector<std::string> opaque_classes;  // kept as records that are not understood
  std::uint64_t trimmed_bytes = 0;          // of storages, that no tensor refers to: left out
  std::uint32_t cast_tensors = 0;
  std::vector<RuleUse> rules;  // of the selection, in its order
  std::uint32_t left_out_tensors = 0;
  std::uint32_t left_out_values = 0;  // numbers, strings, objects beside the tensors
  std::vector<std::string>
      locations;  // devices that tensors were saved from, other than `cpu`: not kept
  // What of the source differs from its CRC: damaged, or written by a program that does not
  // compute CRCs. PyTorch looks at none.
  std::vector<std::string> crc_mismatches;
};

// Writes `target` as a weight file with everything that the checkpoint `source` holds (a file, an
// index of shards, or the directory of an index or of torch.distributed.checkpoint), unless the
// options say otherwise. Of a weight file, whose tensors may lie in files beside it, that makes one
// that needs no other, the same byte for byte as a conversion of what it was made from; its bytes
// are held against its digests on the way. Nothing of the source is executed. Memory does not grow
// with the tensors' bytes. Whatever goes wrong, and if the process is killed, the old target stays
// as it was, and so do the files that it refers to; shards that were finished stay beside it. One
// source may be converted several times at once: shards that another conversion wrote meanwhile are
// taken over, only of the target one wins and others may fail with kIo.
// Errors: kNotFound, kIo (among them: a file of the base was replaced meanwhile); kWrongKind,
// kCorrupt, kUnsafe (the source, the base); kUnsupported (something in it that cannot be kept, by
// name); kExists (the target is no weight file and replace_any is not set, or another file has the
// name of a shard); kInvalidArgument (source and target are one file, a file of the base is the
// target or is not in its directory, the target is a link into another directory and would refer to
// files beside it, too many shards, alignment, root, selection, cast);
// kCancelled. Messages begin with the path that they are about.
Result<ConvertReport> convert_checkpoint(const std::string& source,
                                         const std::string& target,
                                         const ConvertOptions& options = {});

struct AdoptOptions {
  CheckpointOptions checkpoint;
  // Record digests of the tensors' bytes, which reads them all; without, only the directory of the
  // source is read, and WeightFile::verify can say nothing of them (check_archive can, of a zip
  // archive).
  bool digests = true;
  bool replace_any = false;  // as in ConvertOptions
  bool sync = true;
  // As in ConvertOptions, with bytes that are read for digests; the last call is before the end.
  std::function<bool(std::uint64_t done_bytes, std::uint64_t total_bytes)> progress;
};

// A file that the adopted tensors lie in.
struct AdoptedFile {
  std::string name;  // in the directory of the weight file
  std::uint64_t size_bytes = 0;
  std::uint64_t alignment_bytes = 0;  // of all segments in it
};

struct AdoptReport {
  std::string source_kind;
  std::vector<AdoptedFile> data_files;
  std::uint32_t tensor_count = 0;
  std::uint32_t segment_count = 0;
  std::uint64_t data_bytes = 0;  // of all segments, in the data files
  std::uint64_t file_bytes = 0;  // of the weight file: its index alone
  Digest digest;
  std::vector<std::string> opaque_classes;
};

// Writes `target` as a weight file that holds no tensors' bytes but says where they lie in the
// files of `source`, which must stay beside it, unchanged: who opens it is refused otherwise.
// Errors: those of convert_checkpoint; kInvalidArgument (target is in another directory than the
// source's files); kUnsupported, naming the tensors whose bytes cannot be used in place, or a data
// file of torch.distributed.checkpoint, always.
Result<AdoptReport> adopt_checkpoint(const std::string& source,
                                     const std::string& target,
                                     const AdoptOptions& options = {});

// A checkpoint as it would be converted, without reading its tensors' bytes.
struct CheckpointTensor {
  std::string name;
  Dtype dtype = Dtype::kFloat32;
  std::vector<std::int64_t> shape;
  std::vector<std::int64_t> strides;     // in elements
  std::optional<std::uint32_t> segment;  // tensors of one segment share its bytes
  std::uint32_t file = 0;                // in CheckpointContent::files
  // Of the first element, in that file as if nothing in it were deflated; of what is put together
  // from several places, in the segment.
  std::uint64_t offset_bytes = 0;
  std::uint64_t extent_bytes = 0;          // from its first byte to its last
  std::uint64_t segment_offset_bytes = 0;  // in that file
  std::uint64_t segment_size_bytes = 0;
  std::uint16_t flags = 0;  // FORMAT.md 3
};

struct CheckpointFile {
  std::string path;
  std::uint64_t size_bytes = 0;
};

struct CheckpointModule {
  std::string path;
  std::int64_t version = 0;
};

struct CheckpointPart {
  std::string role;          // "values": FORMAT.md 3
  std::uint32_t tensor = 0;  // in `tensors`
};

// A name that stands for several tensors: a quantized, sparse or nested one.
struct CheckpointComposite {
  std::string name;
  CompositeKind kind = CompositeKind::kQuantizedPerTensor;
  Dtype dtype = Dtype::kFloat32;
  std::vector<std::int64_t> shape;
  std::uint16_t flags = 0;  // FORMAT.md 3
  std::vector<CheckpointPart> parts;
  std::vector<double> reals;
  std::vector<std::int64_t> integers;
  std::string class_name;
};

struct CheckpointContent {
  std::string source_kind;
  std::uint64_t size_bytes = 0;                 // of all files
  std::vector<CheckpointFile> files;            // the one that was given, then the others
  std::vector<CheckpointTensor> tensors;        // in definition order, parts of composites too
  std::vector<CheckpointComposite> composites;  // ascending by name
  std::vector<CheckpointModule> modules;
  // A kTensor node's number is a place in `tensors`, a kComposite node's one in `composites`.
  ValueGraph values;
  std::vector<std::string> opaque_classes;
};

// Errors: those of convert_checkpoint about its source.
Result<CheckpointContent> read_checkpoint(const std::string& path,
                                          const CheckpointOptions& options = {});

// What becomes of a class or function that a pickle names, when PyTorch loads the file.
enum class GlobalVerdict : std::uint8_t {
  kLoaded,   // torch.load(weights_only=True) takes it
  kRefused,  // it refuses it
  kAttack,   // it refuses it, and nothing but an attack names it
};

struct NamedGlobal {
  std::string name;  // "collections.OrderedDict", as the pickle has it
  GlobalVerdict verdict = GlobalVerdict::kRefused;
};

struct CheckpointGlobals {
  std::string source_kind;
  std::vector<NamedGlobal> globals;  // ascending by name, each once
};

// Every class and function that a checkpoint's pickles name, also in files that convert_checkpoint
// refuses for them. Nothing is executed or looked up. Errors: kNotFound, kIo, kWrongKind, kCorrupt,
// kUnsupported (this kind of file, or more names than 10,000). Messages begin with the path.
Result<CheckpointGlobals> list_globals(const std::string& path);

// A record of a zip archive, and whether its bytes are those that its CRC was made of.
struct ArchiveRecord {
  enum class Verdict : std::uint8_t {
    kGood,
    kDamaged,  // or by a writer that computes CRCs wrongly
    kUnknown,  // without a CRC, or packed
  };
  std::string name;
  std::uint64_t begin_bytes = 0;  // of the record's data, in the file
  std::uint64_t end_bytes = 0;
  Verdict verdict = Verdict::kUnknown;
};

// Holds the records of a zip archive against their CRCs, in the order of its directory: what can be
// checked of an adopted checkpoint whose bytes have no digests. Reads the whole file; memory is
// that of the directory. `progress`: as in ConvertOptions.
// Errors: kNotFound, kIo; kWrongKind, kCorrupt (no zip archive, a directory that lies);
// kUnsupported (an encrypted record); kCancelled. Messages begin with the path.
Result<std::vector<ArchiveRecord>> check_archive(
    const std::string& path,
    const std::function<bool(std::uint64_t done_bytes, std::uint64_t total_bytes)>& progress = {});

}  // namespace weightmap
