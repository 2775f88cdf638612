// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "weightmap/result.h"

#include "io/descriptor.h"

namespace weightmap::io {

// Which file a path leads to, whatever its name.
struct FileIdentity {
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  friend bool operator==(const FileIdentity&, const FileIdentity&) = default;
};

// What changes when a file is written to.
struct FileState {
  std::uint64_t size_bytes = 0;
  std::int64_t modified_ns = 0;  // since 1970; a time can be set, too
  friend bool operator==(const FileState&, const FileState&) = default;
};

// A file that nobody holds may go, and another one get its inode: then the state tells.
struct FoundFile {
  FileIdentity identity;
  FileState state;
  friend bool operator==(const FoundFile&, const FoundFile&) = default;
};

// Of what the path leads to now. Errors: kNotFound, kIo.
Result<FoundFile> file_at(const std::string& path);

// Of the directory in which the path's last component is looked up. Errors: as above.
Result<FileIdentity> directory_identity_of(const std::string& path);

// A regular file, open for reading. Owns its descriptor, which no child process inherits, together
// with its slices. Movable; reading from several threads is safe.
class File {
 public:
  // Opens without blocking; a directory, FIFO, socket or device is refused in words.
  // Errors: kNotFound, kIo, kInvalidArgument (not a regular file). Messages begin with the path.
  static Result<File> open(const std::string& path);

  // The same for a name in an open directory; `path` is what messages say.
  static Result<File> open_in(int directory, const std::string& name, const std::string& path);

  // A duplicate of a descriptor that the caller keeps; `name` stands for the path in messages.
  static Result<File> from_descriptor(int descriptor, std::string name);

  const std::string& path() const { return path_; }
  int descriptor() const { return descriptor_->get(); }
  std::uint64_t size_bytes() const { return size_bytes_; }  // as it was when opened
  FileIdentity identity() const { return identity_; }
  const FileState& state_at_open() const { return state_at_open_; }  // of the whole file
  Result<FileState> state_now() const;                               // Error: kIo

  // The bytes from `offset` on as a file of their own, by the same descriptor; messages name the
  // part after the path. Its descriptor() is the whole file's. REQUIRES: they lie inside the file.
  File slice(std::uint64_t offset_bytes, std::uint64_t size_bytes) const;

  // Fills `into` from `offset` on. Errors: kIo; kCorrupt when the file ends before (it was cut
  // short after it was opened). Messages begin with the path.
  Result<void> read_at(std::uint64_t offset, std::span<std::byte> into) const;

 private:
  File(Descriptor descriptor, std::string path);
  static Result<File> checked(Descriptor descriptor, std::string path);

  std::shared_ptr<const Descriptor> descriptor_;  // slices share it
  std::string path_;
  std::uint64_t begin_bytes_ = 0;  // of a slice, in the file
  bool is_slice_ = false;
  std::uint64_t size_bytes_ = 0;
  FileIdentity identity_;
  FileState state_at_open_;
};

}  // namespace weightmap::io
