#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Instructions per tensor, against the recorded: instructions_test.py PROGRAM COMPILER [--record].

PROGRAM is count_instructions of a release build, COMPILER names who built it ("GNU-12"); it runs under callgrind,
which counts the same on every machine, however busy. More than 5 % over what instructions.json records for the
compiler fails; --record writes the file anew for it. Where valgrind is missing or nothing is recorded for the
compiler, that is said and counted as skipped; with CI=true it fails.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

TENSORS = 10_000  # kTensors of count_instructions.cpp
HEADROOM = 1.05
RECORDED = Path(__file__).with_name("instructions.json")

# In callgrind's output: a call of one of the functions, then what it cost with all that it called.
CALL = re.compile(r"^cfn=counted_(\w+)\ncalls=\d+ .*\n\S+ (\d+)$", re.MULTILINE)


def skip(why):
    if os.environ.get("CI") == "true":
        sys.exit(f"{why}: this test is never skipped here")
    print(f"SKIPPED: {why}")
    sys.exit(77)


def count(program):
    """{what: instructions per tensor}"""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "callgrind.out"
        options = ["--compress-strings=no", "--compress-pos=no", f"--callgrind-out-file={out}"]
        command = ["valgrind", "--quiet", "--tool=callgrind", *options, program]
        subprocess.run(command, check=True)
        text = out.read_text(encoding="utf-8")
    return {what: round(int(cost) / TENSORS, 1) for what, cost in CALL.findall(text)}


def record(compiler, found):
    recorded = json.loads(RECORDED.read_text()) if RECORDED.exists() else {}
    recorded[compiler] = found
    RECORDED.write_text(json.dumps(recorded, indent=2, sort_keys=True) + "\n")


def compare(found, ceilings):
    """Prints a table; whether all is well."""
    is_well = found.keys() == ceilings.keys()
    if not is_well:
        print(f"counted {sorted(found)}, recorded {sorted(ceilings)}")
    for what in sorted(found.keys() & ceilings.keys()):
        ratio = found[what] / ceilings[what]
        is_well = is_well and ratio <= HEADROOM
        verdict = "TOO MANY" if ratio > HEADROOM else "fewer: record them" if ratio < 1 / HEADROOM else ""
        print(f"{what:16} {found[what]:9.1f} a tensor, recorded {ceilings[what]:9.1f}, {ratio:5.2f} {verdict}")
    return is_well


def main():
    program, compiler = sys.argv[1:3]
    if shutil.which("valgrind") is None:
        skip("valgrind is not installed")
    found = count(program)
    if "--record" in sys.argv:
        record(compiler, found)
    recorded = json.loads(RECORDED.read_text())
    if compiler not in recorded:
        skip(f"nothing is recorded for {compiler}; --record does so: {found}")
    sys.exit(0 if compare(found, recorded[compiler]) else 1)


main()
