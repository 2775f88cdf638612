#!/usr/bin/env bash
# Names that are too long for the terminal are cut in the middle, by columns and not by bytes.
need_pseudo_terminal
python3 "$CLI/make_checkpoint.py" names names.pt
python3 "$CLI/pseudo_terminal.py" 60 env NO_COLOR=1 "$WEIGHTMAP" inspect names.pt
