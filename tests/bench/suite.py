#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs benchmarks and prints a table: suite.py BUILD [--quick] [NAME...].

run.sh builds what this needs and calls it. Every benchmark is a program that prints a line of JSON for each
contestant, with all its samples; the whole is kept in BUILD/results.json. Nothing is asserted: a target that is
missed is shown as missed.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROUNDS = 11
QUICK_ROUNDS = 7
SIMDJSON = "safetensors on simdjson"


@dataclass
class Target:
    """What ours is to be: at most so much, and so many times faster than a rival."""

    at_most: float = 0
    unit: str = "us"
    rival: str = ""
    times: float = 0


@dataclass
class Benchmark:
    what: str  # of bench_open
    kind: str = ""
    count: int = 0
    target: Target = field(default_factory=Target)
    is_quick: bool = True

    @property
    def name(self):
        return f"{self.what}-{self.kind}-{self.count}" if self.kind else self.what


BENCHMARKS = [
    Benchmark("order", "gpt2", 12),
    Benchmark("order", "experts", 300, Target(28, "us", SIMDJSON, 1.5)),
    Benchmark("order", "experts", 1_000),
    Benchmark("order", "experts", 10_000),
    Benchmark("order", "experts", 100_000, Target(4_500, "us", SIMDJSON, 4)),
    Benchmark("order", "experts", 500_000, is_quick=False),
    Benchmark("shuffled", "experts", 100_000, Target(15_000, "us")),
    Benchmark("tree", "wide", 10_000, Target(20_000, "us")),
    Benchmark("find", "experts", 100_000, Target(250, "ns")),
    Benchmark("adopt", target=Target(50, "ms"), is_quick=False),
    Benchmark("micro"),
]


def output_of(*command):
    done = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout


def prepare_inputs(build, benchmark):
    """The files of a model, once for this program that writes them."""
    folder, maker = build / "inputs", build / "tests/bench/make_inputs"
    folder.mkdir(exist_ok=True)
    weight_file = folder / f"{benchmark.kind}-{benchmark.count}.wmap"
    tool = build / "tools/weightmap"
    newest = max(maker.stat().st_mtime, tool.stat().st_mtime)
    if not weight_file.exists() or weight_file.stat().st_mtime < newest:
        output_of(maker, benchmark.kind, benchmark.count, folder)
        output_of(tool, "convert", weight_file.with_suffix(".safetensors"), weight_file)
    return folder


def micro_rows(build, rounds):
    """Google Benchmark's own repetitions, one row a benchmark."""
    options = [f"--benchmark_repetitions={rounds}", "--benchmark_enable_random_interleaving=true"]
    options += ["--benchmark_format=json", "--benchmark_min_time=0.02"]
    samples = {}
    for run in json.loads(output_of(build / "tests/bench/bench_micro", *options))["benchmarks"]:
        if run["run_type"] == "iteration":
            samples.setdefault(run["run_name"], []).append(run["real_time"] / 1000)
    return [
        {"benchmark": "micro", "contestant": name, "role": "ours", "unit": "us", "samples": found}
        for name, found in samples.items()
    ]


def lines_of(text):
    return [json.loads(line) for line in text.splitlines()]


def run(benchmark, build, rounds):
    if benchmark.what == "micro":
        return micro_rows(build, rounds)
    if benchmark.what == "adopt":
        options = ["--json", "--folder", build]
        return lines_of(output_of(sys.executable, HERE / "adopt.py", build / "tools/weightmap", *options))
    folder = prepare_inputs(build, benchmark)
    program = build / "tests/bench/bench_open"
    return lines_of(output_of(program, benchmark.what, benchmark.kind, benchmark.count, folder, rounds))


def with_ratios(rows):
    """Adds median, minimum, spread, and the ratios: of each rival to ours, of ours to the limit."""
    for row in rows:
        row["median"], row["minimum"] = statistics.median(row["samples"]), min(row["samples"])
        row["spread"] = (max(row["samples"]) - row["minimum"]) / row["median"]
    by_role = {row["role"]: row["median"] for row in rows}
    for row in rows:
        if row["role"] == "rival" and "ours" in by_role:
            row["times_ours"] = row["median"] / by_role["ours"]
        if row["role"] == "ours" and "limit" in by_role:
            row["times_limit"] = row["median"] / by_role["limit"]
    return rows


def verdict(target, rows):
    """What the targets say of these rows, in words; empty when there are none."""
    ours = next(row for row in rows if row["role"] == "ours")
    words = []
    if target.at_most:
        word = "met" if ours["median"] <= target.at_most else "MISSED"
        words.append(f"at most {target.at_most:g} {target.unit}: {word}")
    for row in rows:
        if target.times and row["contestant"] == target.rival:
            word = "met" if row["times_ours"] >= target.times else "MISSED"
            words.append(f"{target.times:g} times faster than {target.rival}: {word}")
    return ", ".join(words)


def number(value):
    return f"{value:,.1f}" if value < 1000 else f"{value:,.0f}"


def print_table(benchmark, rows):
    print(f"\n{benchmark.name}")
    print(f"  {'contestant':34} {'median':>12} {'minimum':>12} {'spread':>7}  x ours  x limit")
    for row in rows:
        cells = [f"  {row['contestant']:34}", f"{number(row['median']):>9} {row['unit']}"]
        cells += [f"{number(row['minimum']):>9} {row['unit']}", f"{row['spread']:6.0%} "]
        for ratio in ("times_ours", "times_limit"):
            cells.append(f"{row[ratio]:7.2f}" if ratio in row else " " * 7)
        print(" ".join(cells).rstrip())
    if words := verdict(benchmark.target, rows):
        print(f"  target: {words}")
    sys.stdout.flush()


def machine():
    cpu = next((line.split(": ")[1] for line in open("/proc/cpuinfo") if line.startswith("model name")), "?")
    return {
        "cpu": cpu.strip(),
        "processors": os.cpu_count(),
        "kernel": platform.release(),
        "load": os.getloadavg()[0],
    }


def chosen(options):
    if unknown := [name for name in options.names if not any(b.name.startswith(name) for b in BENCHMARKS)]:
        sys.exit(f"no benchmark begins with {', '.join(unknown)}: {', '.join(b.name for b in BENCHMARKS)}")
    if options.names:
        return [b for b in BENCHMARKS if b.name.startswith(tuple(options.names))]
    return [b for b in BENCHMARKS if b.is_quick or not options.quick]


def main():
    parser = argparse.ArgumentParser(description="time everything against its rivals")
    parser.add_argument("build", type=Path)
    parser.add_argument("--quick", action="store_true", help="leave out what takes long, fewer rounds")
    parser.add_argument("names", nargs="*")
    options = parser.parse_intermixed_args()
    results = {"machine": machine(), "rows": []}
    print(", ".join(f"{key}: {value}" for key, value in results["machine"].items()))
    for benchmark in chosen(options):
        rows = with_ratios(run(benchmark, options.build, QUICK_ROUNDS if options.quick else ROUNDS))
        for row in rows:
            row["benchmark"] = benchmark.name
        results["rows"] += rows
        print_table(benchmark, rows)
    (options.build / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    print(f"\nall samples: {options.build / 'results.json'}")


main()
