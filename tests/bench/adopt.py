#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How long it takes to adopt a checkpoint of many GiB: adopt.py WEIGHTMAP [--gib N] [--cp] [--json].

The checkpoint is made here, nearly without disk: its tensors are holes. Beside the time of `adopt --no-digest`
stand what a process costs that does nothing, torch.load(mmap=True) where this Python has PyTorch, and, with
--cp, a copy of the file that is as large as it says. Medians of several runs, the file's directory in the cache;
or with --json all samples, in milliseconds, as suite.py reads them.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "slow"))
from torch_archive import Record, write_checkpoint  # noqa: E402

MIB = 1 << 20
TENSORS_A_GIB = 60

ADOPT = "weightmap adopt --no-digest"
NOTHING = "weightmap --version"
TORCH = "torch.load(mmap=True), without import"
ROLES = {ADOPT: "ours", NOTHING: "limit", TORCH: "rival", "cp": "rival"}  # all else: also


def seconds(run):
    begin = time.perf_counter()
    run()
    return time.perf_counter() - begin


def interleaved(rows, rounds=9):
    """{name: seconds of each round}"""
    taken = {name: [] for name in rows}
    for _ in range(rounds):
        for name, run in rows.items():
            taken[name].append(seconds(run))
    return taken


def command(*words):
    subprocess.run([str(word) for word in words], stdout=subprocess.DEVNULL, check=True)


TORCH_LOAD = """
import json, sys, time, torch
def load():
    begin = time.perf_counter()
    torch.load(sys.argv[1], mmap=True, weights_only=True)
    return time.perf_counter() - begin
load()
print(json.dumps([load() for _ in range(9)]))
"""


def torch_load_seconds(source):
    """Or None without PyTorch. In a process of its own: the archive's writer has names of torch."""
    done = subprocess.run([sys.executable, "-c", TORCH_LOAD, source], capture_output=True, text=True)
    return json.loads(done.stdout) if done.returncode == 0 else None


def measured(options, folder):
    source = folder / "large.pt"
    count = max(1, int(options.gib * TENSORS_A_GIB))
    size = int(options.gib * 1024) * MIB // count // 64 * 64
    write_checkpoint(source, {f"layers.{n}.weight": Record("", size) for n in range(count)})
    tool = options.weightmap
    rows = {
        NOTHING: lambda: command(tool, "--version"),
        ADOPT: lambda: command(tool, "adopt", source, "--no-digest"),
        "the same with --no-sync": lambda: command(tool, "adopt", source, "--no-digest", "--no-sync"),
        "weightmap inspect": lambda: command(tool, "inspect", source.with_suffix(".wmap")),
    }
    taken = interleaved(rows)
    if (loading := torch_load_seconds(source)) is not None:
        taken[TORCH] = loading
    if options.cp:
        copy = ["cp", "--sparse=never", "--reflink=never", source, folder / "copy.pt"]
        taken["cp"] = [seconds(lambda: command(*copy))]
    return taken


def print_json(taken):
    for name, samples in taken.items():
        role = ROLES.get(name, "also")
        milliseconds = [round(sample * 1000, 3) for sample in samples]
        print(json.dumps({"contestant": name, "role": role, "unit": "ms", "samples": milliseconds}))


def print_table(taken):
    medians = {name: statistics.median(samples) for name, samples in taken.items()}
    for name, value in medians.items():
        print(f"{name:40} {value * 1000:9.1f} ms  {value / medians[ADOPT]:8.2f} x adopt")


def main():
    parser = argparse.ArgumentParser(description="time adoption")
    parser.add_argument("weightmap", help="the command line of a release build")
    parser.add_argument("--gib", type=float, default=5)
    parser.add_argument("--cp", action="store_true", help="copy the file, too: takes its size on the disk")
    parser.add_argument("--json", action="store_true", help="print samples, not a table")
    parser.add_argument("--folder", default=".", help="where the files lie meanwhile")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        taken = measured(options, Path(folder))
    (print_json if options.json else print_table)(taken)


main()
