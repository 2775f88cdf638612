// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cerrno>
#include <string>
#include <vector>

#include "io/call_seam.h"
#include "io/file_writer.h"
#include "support/file_bytes.h"
#include "support/temp_dir.h"

namespace weightmap::tests {

// The situations in which one file is written, and the writing itself: more than one staging
// buffer, and a part that is rewritten at the end.
struct Scenario {
  std::string_view name;
  bool has_unnamed_files;  // else the file system refuses O_TMPFILE
  bool target_exists;
  bool has_stale_temporary;
};

inline constexpr Scenario kScenarios[] = {
    {"unnamed, no target", true, false, false},
    {"unnamed, a target", true, true, false},
    {"unnamed, a target, a dead writer's temporary", true, true, true},
    {"named, no target", false, false, false},
    {"named, a target", false, true, false},
    {"named, a target, a dead writer's temporary", false, true, true},
};

inline constexpr char kTarget[] = "model.wmap";
inline constexpr char kTemporary[] = ".model.wmap.weightmap-tmp";

inline Verdict kernel_of(const Scenario& scenario, const SeenCall& call) {
  const bool refused = !scenario.has_unnamed_files && asks_for_unnamed_file(call);
  return {.error = refused ? EOPNOTSUPP : 0};
}

inline const std::string& old_bytes() {
  static const std::string bytes = noise(5'000, 1);
  return bytes;
}

inline const std::string& new_bytes() {
  static const std::string bytes = noise(io::FileWriter::kWriteBytes + 4'321, 2);
  return bytes;
}

// The directory as it is before the writing; returns the names in it.
inline std::vector<std::string> set_up(const Scenario& scenario, const TempDir& dir) {
  if (scenario.target_exists) write_file(dir / kTarget, old_bytes());
  if (scenario.has_stale_temporary) write_file(dir / kTemporary, "of a writer that was killed");
  return dir.names();
}

inline Result<void> write_all(const std::string& target,
                              const std::string& bytes,
                              bool sync = true) {
  auto writer = io::FileWriter::create(target, {.size_bytes = bytes.size(), .sync = sync});
  if (!writer) return writer.error();
  const std::size_t head = std::min<std::size_t>(bytes.size(), 100);
  if (auto done = writer->pad_to(head); !done) return done;
  if (auto done = writer->write(bytes_of(bytes).subspan(head)); !done) return done;
  if (auto done = writer->rewrite(0, bytes_of(bytes).first(head)); !done) return done;
  return writer->commit();
}

}  // namespace weightmap::tests
