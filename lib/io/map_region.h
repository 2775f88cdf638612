// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>

#include <boost/interprocess/mapped_region.hpp>

#include "weightmap/result.h"

namespace weightmap::io {

// The first `size_bytes` of a file that was opened and checked, mapped. Error: kIo, the system will
// not map. Messages begin with the path.
Result<boost::interprocess::mapped_region> map_region(
    int descriptor,
    const std::string& path,
    boost::interprocess::mode_t mode,
    std::size_t size_bytes,
    boost::interprocess::map_options_t options = boost::interprocess::default_map_options);

}  // namespace weightmap::io
