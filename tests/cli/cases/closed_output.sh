#!/usr/bin/env bash
# Whoever reads the output may have seen enough; a full disk is an error.
weightmap inspect "$CHECKPOINTS/many.pt" --json | head --lines 2
echo "exit codes ${PIPESTATUS[*]}"
(
  trap '' PIPE
  weightmap inspect "$CHECKPOINTS/many.pt" --json | head --lines 2
  echo "SIGPIPE ignored: exit codes ${PIPESTATUS[*]}"
)
weightmap inspect "$DIGITS" >/dev/full
echo "full disk: exit code $?"
weightmap inspect "$DIGITS" >&-
echo "closed: exit code $?"
