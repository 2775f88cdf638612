#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How long it takes to adopt a checkpoint of many GiB: adopt.py WEIGHTMAP [--gib N] [--cp].

The checkpoint is made here, nearly without disk: its tensors are holes. Beside the time of `adopt --no-digest`
stand what a process costs that does nothing, torch.load(mmap=True) where this Python has PyTorch, and, with
--cp, a copy of the file that is as large as it says. Medians of several runs, the file's directory in the cache.
"""

import argparse
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


def seconds(run, times=9):
    taken = []
    for _ in range(times):
        begin = time.perf_counter()
        run()
        taken.append(time.perf_counter() - begin)
    return statistics.median(taken)


def command(*words):
    subprocess.run([str(word) for word in words], stdout=subprocess.DEVNULL, check=True)


TORCH_LOAD = """
import statistics, sys, time, torch
def load():
    begin = time.perf_counter()
    torch.load(sys.argv[1], mmap=True, weights_only=True)
    return time.perf_counter() - begin
load()
print(statistics.median(load() for _ in range(9)))
"""


def torch_load_seconds(source):
    """Or None without PyTorch. In a process of its own: the archive's writer has names of torch."""
    done = subprocess.run([sys.executable, "-c", TORCH_LOAD, source], capture_output=True, text=True)
    return float(done.stdout) if done.returncode == 0 else None


def measured(options, folder):
    source = folder / "large.pt"
    count = max(1, int(options.gib * TENSORS_A_GIB))
    size = int(options.gib * 1024) * MIB // count // 64 * 64
    write_checkpoint(source, {f"layers.{n}.weight": Record("", size) for n in range(count)})
    print(f"{source.stat().st_size / (1 << 30):.2f} GiB in {count} tensors")
    tool = options.weightmap
    rows = {
        "weightmap --version": lambda: command(tool, "--version"),
        "weightmap adopt --no-digest": lambda: command(tool, "adopt", source, "--no-digest"),
        "the same with --no-sync": lambda: command(tool, "adopt", source, "--no-digest", "--no-sync"),
        "weightmap inspect": lambda: command(tool, "inspect", source.with_suffix(".wmap")),
    }
    taken = {name: seconds(run) for name, run in rows.items()}
    if (loading := torch_load_seconds(source)) is not None:
        taken["torch.load(mmap=True), without import"] = loading
    if options.cp:
        copy = ["cp", "--sparse=never", "--reflink=never", source, folder / "copy.pt"]
        taken["cp"] = seconds(lambda: command(*copy), times=1)
    return taken


def main():
    parser = argparse.ArgumentParser(description="time adoption")
    parser.add_argument("weightmap", help="the command line of a release build")
    parser.add_argument("--gib", type=float, default=5)
    parser.add_argument("--cp", action="store_true", help="copy the file, too: takes its size on the disk")
    parser.add_argument("--folder", default=".", help="where the files lie meanwhile")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        taken = measured(options, Path(folder))
    adopt = taken["weightmap adopt --no-digest"]
    for name, value in taken.items():
        print(f"{name:40} {value * 1000:9.1f} ms  {value / adopt:8.2f} x adopt")


main()
