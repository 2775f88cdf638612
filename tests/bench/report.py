"""The results as a whole: printed, kept as JSON, and put into the README."""

import json
import sys
import time

BEGIN, END = "<!-- results: run.sh --write-readme puts them here -->", "<!-- end of results -->"


def heading(machine):
    return [f"{name:10}  {value}" for name, value in machine.items()]


def results_of(machine, outcomes):
    """All that a run found, for programs."""
    return {"machine": machine, "benchmarks": [outcome.records() for outcome in outcomes]}


def write_json(path, results):
    path.write_text(json.dumps(results, indent=1) + "\n")


def summary(outcomes):
    """How the targets stand, and what went wrong."""
    words = [word for outcome in outcomes for _, word in getattr(outcome, "verdicts", [])]
    counts = ", ".join(f"{words.count(word)} {word}" for word in ("met", "MISSED", "not judged"))
    failed = [outcome.name for outcome in outcomes if outcome.has_failures]
    return f"targets: {counts}" + (f"; failures in {', '.join(failed)}" if failed else "")


def readme_text(command, machine, outcomes):
    lines = [line.rstrip() for outcome in outcomes for line in outcome.lines()]
    body = [*heading(machine), *lines, "", summary(outcomes)]
    date = time.strftime("%Y-%m-%d")
    return "\n".join([f"`{command}`, {date}:", "", "```", *body, "```"])


def put_between(path, begin, end, body):
    """What stands between two lines of a document is written anew."""
    before, found, rest = path.read_text().partition(begin)
    _, found_end, after = rest.partition(end)
    if not found or not found_end:
        sys.exit(f"{path} has no place for results: {begin} ... {end}")
    path.write_text(f"{before}{begin}\n\n{body}\n\n{end}{after}")


def write_readme(path, text):
    put_between(path, BEGIN, END, text)
