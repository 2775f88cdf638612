// SPDX-License-Identifier: Apache-2.0
#include "weightmap/error.h"

namespace weightmap {

std::string_view error_code_name(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalidArgument: return "invalid_argument";
    case ErrorCode::kNotFound: return "not_found";
    case ErrorCode::kIo: return "io";
    case ErrorCode::kExists: return "exists";
    case ErrorCode::kWrongKind: return "wrong_kind";
    case ErrorCode::kCorrupt: return "corrupt";
    case ErrorCode::kUnsupported: return "unsupported";
    case ErrorCode::kUnsafe: return "unsafe";
    case ErrorCode::kMismatch: return "mismatch";
    case ErrorCode::kCancelled: return "cancelled";
  }
  return "unknown";
}

}  // namespace weightmap
