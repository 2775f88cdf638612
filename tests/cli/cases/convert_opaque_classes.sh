#!/usr/bin/env bash
# Objects of unknown classes are kept as records, and told; or refused.
run weightmap convert "$CHECKPOINTS/opaque.pt" opaque.wmap
run_all weightmap convert "$CHECKPOINTS/opaque.pt" strict.wmap --strict-globals
run_all weightmap convert "$CHECKPOINTS/opaque.pt" strict.wmap --strict-globals --json
ls
