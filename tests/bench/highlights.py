# SPDX-License-Identifier: Apache-2.0
"""The rows that most people ask about, for the README of the project."""

import report
from rows import COPY_BY_CP, SIMDJSON, TORCH_BIND

BEGIN, END = "<!-- highlights: tests/bench/run.sh --write-readme puts them here -->", "<!-- end of highlights -->"

# What is done, the benchmark, and the rivals that are named.
ROWS = [
    ("open, verify and bind 300 tensors", "order-300", [SIMDJSON, "safetensors.load_file", TORCH_BIND]),
    ("the same, 100,000 tensors", "order-100000", [SIMDJSON, "safetensors.load_file", TORCH_BIND]),
    ("100,000 slots in a tree of 120,000 modules", "tree-100000", [TORCH_BIND]),
    ("a whole process that binds GPT-2", "start-gpt2", ["safetensors.safe_open, process", f"{TORCH_BIND}, process"]),
    ("convert 2 GiB, hashed, until the disk has it", "convert-sync", ["cp, sync"]),
    ("verify 4 GiB, warm", "verify", ["sha256sum"]),
    ("map 1 GiB, warm, every page there", "prefault", [COPY_BY_CP, "read() into memory"]),
    ("map 4 GiB, cold, every page there", "cold", ["cat > /dev/null", "torch.load(mmap=True), touched"]),
]


def measured(results, name):
    """{contestant: its record} of a benchmark, those that were measured."""
    for benchmark in results["benchmarks"]:
        if benchmark["benchmark"] == name:
            return {one["contestant"]: one for one in benchmark["contestants"] if one["status"] == "ok"}
    return {}


def time_text(record):
    value, unit = record["median"], record["unit"]
    for smaller, larger in (("ns", "us"), ("us", "ms"), ("ms", "s")):
        if unit == smaller and value >= 1000:
            value, unit = value / 1000, larger
    return f"{value:.3g} {unit}"


def times_text(value):
    return f"{value:.2g}" if value < 10 else f"{value:,.0f}"


def line(words, found, rivals):
    """None where nobody knows."""
    ours = next((record for record in found.values() if record["role"] == "ours"), None)
    others = [f"{name}: {times_text(found[name]['times_ours'])} ×" for name in rivals if name in found]
    return f"| {words} | {time_text(ours)} | {', '.join(others)} |" if ours and others else None


def table(results):
    lines = [line(words, measured(results, name), rivals) for words, name, rivals in ROWS]
    return "\n".join(["| | weightmap | others, in times of ours |", "|---|---|---|", *filter(None, lines)])


def write(results, readme):
    report.put_between(readme, BEGIN, END, table(results))
