#!/usr/bin/env bash
for name in training opaque bare_tensor list_of_tensors attributes many; do
  weightmap inspect "$CHECKPOINTS/$name.pt" | sed -n '/ segments, /,$p'
done
run weightmap inspect "$CHECKPOINTS/training.pt" --root optimizer
