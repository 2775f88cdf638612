#!/usr/bin/env bash
# What convert would write. Ties and views are marked.
for name in ties views retyped conj_neg meta parameters shapes; do
  run weightmap inspect "$CHECKPOINTS/$name.pt"
done
