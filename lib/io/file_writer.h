// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "weightmap/result.h"

#include "io/file.h"
#include "io/file_part.h"
#include "io/shared_windows.h"

namespace weightmap::io {

struct WriteOptions {
  std::uint64_t size_bytes = 0;  // final size of the file, allocated before the first write
  bool sync = true;              // on the disk before the name appears
};

// Writes a file that appears whole or not at all. Until commit() the target is untouched; a writer
// that is destroyed, fails, or dies with its process leaves nothing behind where the file system
// has O_TMPFILE, elsewhere and within the last step at worst `.<name>.weightmap-tmp` beside the
// target, which the next writer of that target removes. Of two writers of one target at a time one
// gets kIo: the second to begin where that can be seen, else the second to commit.
//
// Bytes go through staging buffers so that every write(2) ends on a 2 MiB boundary of the file:
// Linux then keeps the file in 2 MiB folios, which later mappings are served with.
//
// A file that replaces one gets its permissions, another one those that the umask leaves.
//
// A call that fails is the last: the writer is spent, and further calls are kInvalidArgument, as
// are calls against their REQUIRES. Messages begin with the target.
// Not safe for use from several threads, which fill parts.
class FileWriter {
 public:
  static constexpr std::size_t kWriteBytes = SharedWindows::kWindowBytes;

  // `target` is the path as the user gave it; a link is followed, so that it stays a link.
  // Errors: kIo, kNotFound (no such directory, a link that leads nowhere), kInvalidArgument (the
  // target is not a regular file, or no file can have that size).
  static Result<FileWriter> create(const std::string& target, WriteOptions options);

  ~FileWriter();
  FileWriter(FileWriter&&) noexcept;
  FileWriter& operator=(FileWriter&&) noexcept;
  FileWriter(const FileWriter&) = delete;
  FileWriter& operator=(const FileWriter&) = delete;

  std::uint64_t position() const;  // where the next byte goes

  // Appends. Errors: kIo (full disk, quota, device), kInvalidArgument beyond size_bytes.
  Result<void> write(std::span<const std::byte> bytes);

  // Room in the staging buffer for the caller to fill in place (read(2) straight into it): at most
  // `size`, at least one byte (none: the writer is spent). After filling, call advance().
  std::span<std::byte> room(std::uint64_t size);
  Result<void> advance(std::size_t filled_bytes);

  // Appends zeros up to `offset`. REQUIRES: position() <= offset <= size_bytes.
  Result<void> pad_to(std::uint64_t offset);

  // Overwrites what was written or padded before: the header and index, known last.
  // REQUIRES: offset + size <= position(), and where parts wrote them, pass_to() came behind them.
  Result<void> rewrite(std::uint64_t offset, std::span<const std::byte> bytes);

  // A part of the file, from position() or further on, for another thread to fill; `threaded`: a
  // thread of its own writes it, while the next bytes are made. REQUIRES: the writer is not spent
  // before the part is gone. Safe for use from several threads.
  FilePart part(FilePart::Range range, bool threaded) const;

  // Goes on behind parts that have all bytes from position() to there and are finished, each once;
  // kInvalidArgument else.
  Result<void> pass_to(std::uint64_t offset);

  // Flushes, syncs, gives the file its name in one step, syncs the directory.
  // Errors: kIo, the target being the old one; only when the directory at last cannot be synced it
  // is the new one, and the message says so.
  // REQUIRES: position() == size_bytes. After success or failure the writer is spent.
  Result<void> commit();

  // The same under another name in the target's directory, which only the bytes could tell.
  Result<void> commit_as(const std::string& target);

  // Whether the file has its name: after a commit that succeeded, or could not sync the directory.
  bool is_published() const;

 private:
  struct State;
  explicit FileWriter(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace weightmap::io
