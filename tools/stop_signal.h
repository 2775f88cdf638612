// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace weightmap::tool {

// From here on SIGINT, SIGTERM and SIGHUP are remembered instead of ending the process, so that
// work can stop in good order; a second signal of the same kind ends it at once. One that is
// ignored (nohup) stays so.
void catch_stop_signals();

// The signal that asked to stop, 0 when there was none.
int caught_signal();

}  // namespace weightmap::tool
