#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Draws what sharing costs: picture.py RESULTS.json PICTURE.png. Needs gnuplot (Debian: gnuplot-nox).

Left the time until a process has its first bound tensor, right the memory of all processes together, against their
number. What was not run has no point.
"""

import json
import statistics
import subprocess
import sys
from pathlib import Path

IDLE = "torch imported, nothing loaded"
COLOURS = ("#0b6e4f", "#c8553d", "#3d5a98", "#e09f3e", "#999999")

SETUP = """
set terminal pngcairo noenhanced size 1200,470 font "Sans,11" linewidth 1.5
set output {picture}
set multiplot layout 1,2 title "Processes that share one model of {size}" font ",13"
set logscale x 2
set grid ytics linecolor rgb "#dddddd"
set key top left reverse Left
set xlabel "processes"
set border 3
set tics nomirror
set style data linespoints
set pointsize 1
"""
TIME = 'set logscale y\nset title "time to the first bound tensor, ms"\nset key off'
MEMORY = 'unset logscale y\nset yrange [0:*]\nset title "memory of all processes, GiB (sum of Pss)"\nset key on'


def cells_of(results):
    """Those that were measured, of the benchmark of sharing."""
    found = [benchmark for benchmark in results["benchmarks"] if benchmark["benchmark"] == "sharing"]
    if not found:
        sys.exit("picture.py: these results have nothing of sharing: run.sh sharing")
    return [cell for cell in found[0]["cells"] if cell["status"] == "ok"]


def attach_ms(cell):
    return statistics.median(cell["attach_ms"])


def pss_gib(cell):
    return cell["memory_kib"]["Pss"] / (1 << 20)


def plotted(cells, names, value):
    """A plot command and its data, a line a contestant."""
    lines, data = [], []
    for number, name in enumerate(names):
        style = f'linecolor rgb "{COLOURS[number % len(COLOURS)]}" pointtype {number + 4}'
        lines.append(f'"-" using 1:2:xtic(1) title "{name}" {style}')
        points = [f"{cell['processes']} {value(cell)}" for cell in cells if cell["contestant"] == name]
        data += [*points, "e"]
    return "\n".join(["plot " + ", ".join(lines), *data])


def script(cells, size, path):
    names = list(dict.fromkeys(cell["contestant"] for cell in cells))
    loaders = [name for name in names if name != IDLE]
    parts = [TIME, plotted(cells, loaders, attach_ms), MEMORY, plotted(cells, names, pss_gib), "unset multiplot"]
    return "\n".join([SETUP.format(size=size, picture=json.dumps(str(path))), *parts, ""])


def draw(results, path):
    size = "1 GiB" if "SCALED" not in results["machine"] else "less than 1 GiB: no result"
    text = script(cells_of(results), size, path)
    try:
        subprocess.run(["gnuplot"], input=text, text=True, check=True)
    except FileNotFoundError:
        sys.exit("picture.py: there is no gnuplot: .ci/install-deps bench")


def main():
    if len(sys.argv) != 3:
        sys.exit("usage: picture.py RESULTS.json PICTURE.png")
    draw(json.loads(Path(sys.argv[1]).read_text()), sys.argv[2])


if __name__ == "__main__":
    main()
