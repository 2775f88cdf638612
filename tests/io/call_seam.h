// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <vector>

#include "io/system.h"

namespace weightmap::tests {

// One system call on its way to the kernel.
struct SeenCall {
  std::string name;     // as in io::SystemCalls
  int descriptor = -1;  // or the directory
  std::string entry;    // the name it is about; of link_at and rename_at the new one
  int flags = 0;        // of open_at
  mode_t mode = 0;      // of open_at
  std::int64_t offset = 0;
  std::int64_t size = 0;
};

// What becomes of it.
struct Verdict {
  int error = 0;              // fails with this number and does not reach the kernel
  std::int64_t at_most = -1;  // of pread and pwrite: passes on no more bytes than this
  bool pretended = false;     // succeeds and does not reach the kernel
  bool killed_after = false;  // SIGKILL when it is done
};

// While it lives, the io layer's system calls pass by `on_call`, and are kept in `seen`.
// One at a time; children made by fork inherit it.
class CallSeam {
 public:
  using Judge = std::function<Verdict(const SeenCall&)>;

  explicit CallSeam(Judge on_call = {});
  ~CallSeam();
  CallSeam(const CallSeam&) = delete;
  CallSeam& operator=(const CallSeam&) = delete;

  std::vector<SeenCall> seen;

  std::vector<SeenCall> all(const std::string& name) const;
  std::vector<std::string> names() const;
  Verdict judge(const SeenCall& call);

 private:
  std::recursive_mutex mutex_;  // a judge may write files itself
  Judge on_call_;
  io::SystemCalls before_;
};

bool asks_for_unnamed_file(const SeenCall& call);

}  // namespace weightmap::tests
