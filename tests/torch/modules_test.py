# SPDX-License-Identifier: Apache-2.0
"""Thousands of random module trees and state dicts, named and bound as this PyTorch does:
modules_test.py WEIGHTMAP DATA REPLAY."""

import need_torch

need_torch.need()

import os
import subprocess
import sys
import tempfile

SEED, COUNT = "2", "5000"


def main():
    replay = sys.argv[3]
    here = os.path.dirname(os.path.abspath(__file__))
    make_cases = os.path.join(here, "..", "modules", "make_cases.py")
    with tempfile.NamedTemporaryFile(suffix=".json") as cases:
        subprocess.run([sys.executable, "-B", make_cases, SEED, COUNT], stdout=cases, check=True)
        result = subprocess.run([replay, cases.name], stdout=subprocess.PIPE, text=True)
    print(result.stdout[-10000:], end="")
    if result.returncode != 0 or f"{COUNT} of {COUNT} cases" not in result.stdout:
        sys.exit(1)


main()
