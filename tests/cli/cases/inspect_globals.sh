#!/usr/bin/env bash
# Also of files that convert refuses, and nothing is run.
python3 "$CLI/make_checkpoint.py" attack attack.pt
run_all weightmap inspect --globals attack.pt
run_all weightmap inspect --globals attack.pt --json
run_all weightmap inspect --globals "$CHECKPOINTS/opaque.pt"
run_all weightmap inspect --globals "$UNSUPPORTED/self_reference.pt"
run_all weightmap inspect --globals missing.pt
run_all weightmap inspect --globals attack.pt --root model
ls
