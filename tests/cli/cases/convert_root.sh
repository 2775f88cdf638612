#!/usr/bin/env bash
# Only what lies under a key, under shorter names.
run weightmap convert "$CHECKPOINTS/training.pt" model.wmap --root model
run weightmap inspect model.wmap
run_all weightmap convert "$CHECKPOINTS/training.pt" other.wmap --root modle
run_all weightmap inspect model.wmap --root 0
run weightmap convert "$CHECKPOINTS/training.pt" deeper.wmap --root optimizer.state
weightmap inspect deeper.wmap --json | field '[tensor["name"] for tensor in it["tensors"][:3]]'
ls
