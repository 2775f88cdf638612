// SPDX-License-Identifier: Apache-2.0
// Boost's own file_mapping opens without O_CLOEXEC and O_NONBLOCK, but mapped_region takes any
// class with `get_mapping_handle()`: ours hands it the descriptor that was opened and checked.
// Boost's exceptions are caught here.
#include "io/map_region.h"

#include <boost/interprocess/exceptions.hpp>

#include "io/system.h"

namespace weightmap::io {
namespace {

namespace bip = boost::interprocess;

class OpenedFile {
 public:
  explicit OpenedFile(int descriptor) : descriptor_(descriptor) {}
  bip::mapping_handle_t get_mapping_handle() const {
    return bip::ipcdetail::mapping_handle_from_file_handle(descriptor_);
  }

 private:
  int descriptor_;
};

}  // namespace

Result<bip::mapped_region> map_region(int descriptor,
                                      const std::string& path,
                                      bip::mode_t mode,
                                      std::size_t size_bytes,
                                      bip::map_options_t options) {
  try {
    return bip::mapped_region(OpenedFile(descriptor), mode, 0, size_bytes, nullptr, options);
  } catch (const bip::interprocess_exception& failure) {
    return system_error(path, "cannot map", failure.get_native_error());
  }
}

}  // namespace weightmap::io
