#!/usr/bin/env bash
# What is in the page cache before depends on the machine: only what must hold afterwards is compared.
convert_digits
weightmap warm digits.wmap | grep -o 'after    digits.wmap: 662.5 KiB, 100.0 % in the page cache'
weightmap warm digits.wmap --json |
  python3 -c 'import json, sys; report = json.load(sys.stdin); print([(f["path"], f["size_bytes"] == f["cached_bytes"]) for f in report["after"]])'
run weightmap warm "$DIGITS"
run weightmap warm nothing.wmap --json
run weightmap warm
