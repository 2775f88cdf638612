#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs benchmarks and prints a table: suite.py BUILD [OPTION]... [NAME...]. run.sh builds what this needs and calls it.

Nothing is asserted: a target that is missed is shown as missed. The exit code tells whether a contestant failed.
"""

import argparse
import os
import signal
import sys
import time
from pathlib import Path

import highlights
import machine
import picture
import report
from bench import Bench
from outcome import Outcome
from rows import BENCHMARKS

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
BUSY = 0.5  # of a processor's time, taken by others


def parsed():
    what = "time everything against its rivals and the machine's limits"
    parser = argparse.ArgumentParser(prog="run.sh", description=what)
    parser.add_argument("build", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--quick", action="store_true", help="in three minutes: smaller files, without what takes long")
    parser.add_argument("--scale", type=float, default=1, metavar="F", help="so many times as much: to try the suite")
    parser.add_argument("--rounds", type=int, metavar="N", help="instead of 7")
    parser.add_argument("--keep", action="store_true", help="keep large inputs for the next run")
    parser.add_argument("--write-readme", action="store_true", help="put it all into the documents; a whole run")
    parser.add_argument("names", nargs="*", metavar="NAME", help="benchmarks, or how their names begin; none: all")
    options = parser.parse_intermixed_args()
    if options.write_readme and (options.quick or options.scale != 1 or options.rounds or options.names):
        parser.error("--write-readme takes a whole run")
    return options


def chosen(options):
    if unknown := [name for name in options.names if not any(b.name.startswith(name) for b in BENCHMARKS)]:
        sys.exit(f"no benchmark begins with {', '.join(unknown)}: {', '.join(b.name for b in BENCHMARKS)}")
    if options.names:
        return [b for b in BENCHMARKS if b.name.startswith(tuple(options.names))]
    return [b for b in BENCHMARKS if b.is_quick or not options.quick]


def log_since(begin):
    return lambda text: print(f"[{time.monotonic() - begin:5.0f} s] {text}", file=sys.stderr, flush=True)


def described(bench, options):
    """The machine, and what of this run makes its times no results."""
    found = machine.described(bench.build)
    found |= bench.torch.versions or {"torch": f"not run: {bench.torch.problem}"}
    if os.getloadavg()[0] > BUSY:
        found["BUSY"] = "others use the processors: believe ratios rather than times"
    if bench.is_scaled:
        found["SCALED"] = f"tensors by {bench.count_scale:g}, large files by {bench.byte_scale:g}: no results to quote"
    return found


def run(benchmark, bench):
    """Its outcome, whatever happens to it."""
    bench.log(f"== {benchmark.name}")
    bench.begin_one()
    try:
        return benchmark.run(bench)
    except Exception as why:  # whatever it is, the others go on
        return Outcome(benchmark.name, benchmark.what, "ms", [], problem=" ".join(str(why).split()))
    finally:
        bench.end_one()


def run_all(benchmarks, bench):
    outcomes = {}
    for benchmark in benchmarks:
        outcome = outcomes[benchmark.name] = run(benchmark, bench)
        outcome.judge(outcomes)
        outcome.what += " (SCALED)" if bench.is_scaled else ""
        print("\n".join(outcome.lines()), flush=True)
    return list(outcomes.values())


def end_in_order(*_):
    sys.exit(143)  # what is large is removed on the way out


def main():
    options = parsed()
    signal.signal(signal.SIGTERM, end_in_order)
    bench = Bench(options.build, os.environ.get("WEIGHTMAP_TORCH_PYTHON"), options, log_since(time.monotonic()))
    found = described(bench, options)
    print("\n".join(report.heading(found)), flush=True)
    try:
        outcomes = run_all(chosen(options), bench)
    finally:
        if not options.keep:
            bench.inputs.remove_large()
    print("\n" + report.summary(outcomes))
    results = report.results_of(found, outcomes)
    report.write_json(options.build / "results.json", results)
    if options.write_readme:
        text = report.readme_text("tests/bench/run.sh --write-readme", found, outcomes)
        report.write_readme(HERE / "README.md", text)
        highlights.write(results, ROOT / "README.md")
        picture.draw(results, HERE / "sharing.png")
    bench.log(f"all samples: {options.build / 'results.json'}")
    return any(outcome.has_failures for outcome in outcomes)


if __name__ == "__main__":
    sys.exit(main())
