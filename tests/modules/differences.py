# SPDX-License-Identifier: Apache-2.0
"""Where weightmap differs from PyTorch on purpose: README.md has the reasons. differences.cpp asserts each."""

NAMES = [
    "half_done",
    "dtype",
    "layout",
    "values",
    "tie",
    "tie_kept",
    "nothing",
    "requires_grad",
    "buffer_becomes_parameter",
    "metadata_leak",
    "slot_without_bytes",
    "overlap",
    "negated",
    "before_the_load",
    "extra_state_error",
    "tensors_only",
]

# Differences that leave the outcome as it is.
SILENT = {"metadata_leak", "nothing"}
