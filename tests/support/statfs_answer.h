// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cerrno>
#include <sys/vfs.h>
#include <utility>

#include "io/system.h"

namespace weightmap::tests {

// While it lives, all files seem to lie on a file system of this number, or the question fails.
class StatfsAnswer {
 public:
  explicit StatfsAnswer(long magic, int error_number = 0)
      : before_(std::exchange(io::system_calls().fstatfs, &answer)) {
    magic_ = magic;
    error_number_ = error_number;
  }
  ~StatfsAnswer() { io::system_calls().fstatfs = before_; }
  StatfsAnswer(const StatfsAnswer&) = delete;
  StatfsAnswer& operator=(const StatfsAnswer&) = delete;

 private:
  static int answer(int, struct statfs* status) {
    status->f_type = magic_;
    errno = error_number_;
    return error_number_ == 0 ? 0 : -1;
  }

  static inline long magic_ = 0;
  static inline int error_number_ = 0;
  int (*before_)(int, struct statfs*);
};

}  // namespace weightmap::tests
