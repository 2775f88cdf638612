// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <stdexcept>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "contestant.h"

namespace weightmap::bench {

void require(bool is_so, const char* what) {
  if (!is_so) throw std::runtime_error(what);
}

InputFile::InputFile(const std::string& path)
    : descriptor_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {
  require(descriptor_ >= 0, "cannot open the input");
  struct stat status {};
  require(::fstat(descriptor_, &status) == 0, "cannot stat the input");
  size_ = static_cast<std::size_t>(status.st_size);
  void* const address = ::mmap(nullptr, size_, PROT_READ, MAP_SHARED, descriptor_, 0);
  require(address != MAP_FAILED, "cannot map the input");
  ::madvise(address, size_, MADV_HUGEPAGE);
  data_ = static_cast<const std::byte*>(address);
}

InputFile::~InputFile() {
  ::munmap(const_cast<std::byte*>(data_), size_);
  ::close(descriptor_);
}

void InputFile::read(std::size_t offset, void* into, std::size_t size) const {
  const ssize_t got = ::pread(descriptor_, into, size, static_cast<off_t>(offset));
  require(got == static_cast<ssize_t>(size), "cannot read the input");
}

}  // namespace weightmap::bench
