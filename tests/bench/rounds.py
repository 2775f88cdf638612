"""The one mechanism: contestants take turns, each round beginning with another one, all warmed alike."""

import statistics
import time
from dataclasses import dataclass, field

import traps
from contestants import Contestant, NotRun


@dataclass
class Result:
    contestant: Contestant
    samples: list = field(default_factory=list)  # seconds
    figures: dict = field(default_factory=dict)  # of each sample: {name: list}
    status: str = "ok"
    reason: str = ""
    spent: float = 0  # seconds, with the warm-up

    @property
    def name(self):
        return self.contestant.name

    @property
    def role(self):
        return self.contestant.role

    @property
    def ok(self):
        return self.status == "ok"

    @property
    def median(self):
        return statistics.median(self.samples)

    @property
    def minimum(self):
        return min(self.samples)

    @property
    def spread(self):
        return (max(self.samples) - self.minimum) / self.median

    def add(self, found):
        self.samples.append(found.pop("seconds"))
        for name, value in found.items():
            self.figures.setdefault(name, []).append(value)


def take(result):
    """One sample; what goes wrong is this contestant's own affair."""
    try:
        traps.prepare(result.contestant)
        begin = time.monotonic()
        found = result.contestant.sample()
        result.spent += time.monotonic() - begin
        return found
    except NotRun as why:
        result.status, result.reason = "not run", str(why)
    except Exception as why:  # whatever it is, the others go on
        result.status, result.reason = "failed", " ".join(str(why).split())
    return None


def is_tired(result, patience):
    """A slow rival is not asked for ever; ours and the limit are."""
    return result.role in ("rival", "also") and result.samples and result.spent > patience


def run_rounds(contestants, rounds, patience, progress):
    """The first run of each counts for nothing. A rival that has taken `patience` seconds is not asked again."""
    results = [Result(contestant) for contestant in contestants]
    for result in results:
        progress(f"warm-up: {result.name}")
        take(result)
    for number in range(rounds):
        progress(f"round {number + 1} of {rounds}")
        first = number % len(results)
        for result in results[first:] + results[:first]:
            if result.ok and not is_tired(result, patience) and (found := take(result)):
                result.add(found)
    return results
