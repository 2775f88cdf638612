"""What it costs when several processes use one model: of each crowd its memory, summed, and how long attaching took."""

import json
import math
import statistics
import subprocess
from dataclasses import asdict, dataclass, field

import traps
from contestants import NO_TORCH
from machine import memory

MIB, GIB = 1 << 20, 1 << 30
CROWDS = (1, 2, 4, 8, 32)
QUICK_CROWDS = (1, 4)
ATTACHES = 8  # at least so many of each contestant and crowd
PYTHON_BYTES = 256 * MIB  # of a process that has imported torch
OURS, PRIVATE = "weightmap", "private copies by read()"
USABLE = 0.8  # of the memory that is available
HEADING = (
    f"  {'processes':>9}  {'contestant':32} {'attach':>10} {'touch all':>10}"
    f" {'Rss':>10} {'Pss':>10} {'private':>10} {'page tables':>12}"
)


@dataclass
class Cell:
    contestant: str
    processes: int
    status: str = "ok"
    reason: str = ""
    attach_ms: list = field(default_factory=list)  # of each process
    touch_ms: list = field(default_factory=list)
    memory_kib: dict = field(default_factory=dict)  # sums over the processes

    def line(self):
        begin = f"  {self.processes:9}  {self.contestant:32}"
        if self.status != "ok":
            return f"{begin} {self.status}: {self.reason}"
        times = "".join(f" {statistics.median(found):7.2f} ms" for found in (self.attach_ms, self.touch_ms))
        sums = "".join(f" {self.memory_kib[name] / 1024:6.0f} MiB" for name in ("Rss", "Pss", "Private"))
        return f"{begin}{times}{sums} {self.memory_kib['VmPTE'] / 1024:8.2f} MiB"


@dataclass
class SharingOutcome:
    name: str
    what: str
    cells: list
    problem: str = ""

    @property
    def has_failures(self):
        return any(cell.status == "failed" for cell in self.cells)

    def judge(self, others):
        pass

    def lines(self):
        return ["", f"{self.name}: {self.what}", HEADING] + [cell.line() for cell in self.cells]

    def records(self):
        return {"benchmark": self.name, "what": self.what, "cells": [asdict(cell) for cell in self.cells]}


def fields_of(path):
    """{name: KiB} of a file of /proc."""
    with open(path) as file:
        lines = (line.split() for line in file)
        return {words[0].rstrip(":"): int(words[1]) for words in lines if len(words) == 3 and words[2] == "kB"}


def memory_of(process):
    found = fields_of(f"/proc/{process}/smaps_rollup") | fields_of(f"/proc/{process}/status")
    found["Private"] = found["Private_Clean"] + found["Private_Dirty"]
    return {name: found[name] for name in ("Rss", "Pss", "Private", "VmPTE")}


class Crowd:
    """Processes that each attach to a file, touch it whole, and stay together until they are measured."""

    def __init__(self, commands):
        pipe = subprocess.PIPE
        words = [[str(word) for word in command] for command in commands]
        self.processes = [subprocess.Popen(one, stdin=pipe, stdout=pipe, text=True) for one in words]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self.processes:
            process.stdin.close()
            process.stdout.close()
            process.wait()

    def told_seconds(self):
        """What each of them says next."""
        lines = [process.stdout.readline() for process in self.processes]
        if not all(lines):
            raise RuntimeError("a process ended before it had attached")
        return [json.loads(line)["seconds"] for line in lines]

    def memory(self):
        each = [memory_of(process.pid) for process in self.processes]
        return {name: sum(one[name] for one in each) for name in each[0]}


def measure(cell, commands):
    with Crowd(commands) as crowd:
        cell.attach_ms += [seconds * 1000 for seconds in crowd.told_seconds()]
        cell.touch_ms += [seconds * 1000 for seconds in crowd.told_seconds()]
        cell.memory_kib = crowd.memory()


def needed_bytes(name, processes, size):
    if name == PRIVATE:
        return processes * size
    return size + processes * (0 if name == OURS else PYTHON_BYTES)


def take(cell, commands, files, needed):
    """Measures once more, or says in the cell why not."""
    usable = USABLE * memory("MemAvailable")
    if needed > usable:
        cell.status, cell.reason = "not run", f"needs {needed / GIB:.1f} GiB of memory, {usable / GIB:.1f} can be used"
        return
    for path in files:
        traps.reread(path)
    traps.touch_memory(needed)
    try:
        measure(cell, commands)
    except Exception as why:  # whatever it is, the others go on
        cell.status, cell.reason = "failed", " ".join(str(why).split())


class Sharing:
    name, what, is_quick = "sharing", "processes that use one model of 1 GiB; sums over the processes", True

    def commands(self, bench, files):
        """{contestant: its command}"""
        weight_file, stem, attach = files[0], files[0].with_suffix(""), bench.program("attach")
        found = {OURS: [attach, "weightmap", weight_file, "hold"], PRIVATE: [attach, "read", weight_file, "hold"]}
        for name in ("torch.load(mmap=True)", "safetensors.load_file", "torch imported, nothing loaded"):
            found[name] = bench.torch.command("--hold", name, stem)
        return found

    def run(self, bench):
        count = bench.matrices(1)
        files = [bench.inputs.path("matrices", count, suffix) for suffix in (".wmap", ".pt", ".safetensors")]
        cells = []
        is_short = bench.is_quick or bench.is_trial
        for processes in QUICK_CROWDS if is_short else CROWDS:
            bench.log(f"crowds of {processes}")
            rounds = 1 if is_short else math.ceil(ATTACHES / processes)
            cells += self.crowds(bench, files, processes, rounds)
        return SharingOutcome(self.name, self.what, cells)

    def crowds(self, bench, files, processes, rounds):
        commands = self.commands(bench, files)
        cells = [Cell(name, processes) for name in commands]
        for cell in cells:
            if cell.contestant not in (OURS, PRIVATE) and not bench.torch.versions:
                cell.status, cell.reason = "not run", NO_TORCH
        for _ in range(rounds):
            for cell in cells:
                if cell.status == "ok":
                    needed = needed_bytes(cell.contestant, processes, files[0].stat().st_size)
                    take(cell, [commands[cell.contestant]] * processes, files, needed)
        return cells


class SharingDelta:
    """Two processes, each with its own version of a model: as a base and a delta, and as two whole files."""

    name, is_quick = "sharing-delta", True
    what = "two processes, a model of 4 GiB and a fine-tune that changed 1 % of it; sums over both"

    def run(self, bench):
        count = bench.matrices(4)
        base, delta, other = (
            bench.inputs.path("matrices", count, suffix) for suffix in (".wmap", ".delta.wmap", ".again.wmap")
        )
        cells = []
        for name, files in ((f"{OURS}, base and delta", (base, delta)), (f"{OURS}, two whole files", (base, other))):
            cells.append(Cell(name, len(files)))
            commands = [[bench.program("attach"), "weightmap", file, "hold"] for file in files]
            take(cells[-1], commands, files, sum(file.stat().st_size for file in files))
        return SharingOutcome(self.name, self.what, cells)
