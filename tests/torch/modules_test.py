# SPDX-License-Identifier: Apache-2.0
"""Thousands of random module trees and state dicts, saved and loaded as this PyTorch does:
modules_test.py WEIGHTMAP DATA REPLAY."""

import need_torch

need_torch.need()

import os
import subprocess
import sys
import tempfile

SEEDS, COUNT = ["2"], "5000"


def replay(make_cases, program, seed):
    with tempfile.NamedTemporaryFile(suffix=".json") as cases:
        made = [sys.executable, "-B", make_cases, seed, COUNT]
        subprocess.run(made, stdout=cases, check=True)
        result = subprocess.run([program, cases.name], stdout=subprocess.PIPE, text=True)
    print(result.stdout[-10000:], end="", flush=True)
    return result.returncode == 0 and f"{COUNT} of {COUNT} cases" in result.stdout


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    make_cases = os.path.join(here, "..", "modules", "make_cases.py")
    good = [replay(make_cases, sys.argv[3], seed) for seed in SEEDS]
    if not all(good):
        sys.exit(1)


main()
