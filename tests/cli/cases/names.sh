#!/usr/bin/env bash
# Names as the file has them, but nothing that a terminal would obey. A pipe gets all of them whole.
python3 "$CLI/make_checkpoint.py" names names.pt
run weightmap inspect names.pt
weightmap inspect names.pt --json | field '[tensor["name"][:20] for tensor in it["tensors"]]'
