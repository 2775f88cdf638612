#!/usr/bin/env bash
# Integers that no double holds are strings; those that no screen holds are hexadecimal.
python3 "$CLI/make_checkpoint.py" numbers numbers.pt
weightmap convert numbers.pt >/dev/null
run weightmap inspect numbers.wmap
weightmap inspect numbers.wmap --json | python3 -c '
import json, sys
nodes = json.load(sys.stdin)["extras"]["nodes"]
items = nodes[-1]["children"]
values = {nodes[key]["value"]: nodes[value]["value"] for key, value in zip(items[::2], items[1::2])}
wanted = {"big": str(2**100), "negative": str(-2**64 - 1), "edge": str(2**53 + 1)}
print({key: values[key] == wanted[key] for key in wanted}, int(values["huge"], 16) == 1 << 40000)'
