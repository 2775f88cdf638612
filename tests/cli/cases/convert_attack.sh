#!/usr/bin/env bash
# A checkpoint that would run a command when unpickled is refused, and the command is not run.
python3 "$CLI/make_checkpoint.py" attack attack.pt
run_all weightmap convert attack.pt
run_all weightmap inspect attack.pt
ls
