"""What ours is to be. Each target says itself in words, and whether the results hold it: None when nobody knows."""

from dataclasses import dataclass


def ours(results):
    return next((result for result in results if result.role == "ours" and result.ok), None)


def limit(results):
    return next((result for result in results if result.role == "limit" and result.ok), None)


def named(results, name):
    return next((result for result in results if result.name == name and result.ok), None)


@dataclass
class AtMost:
    value: float
    unit: str

    def words(self):
        return f"at most {self.value:g} {self.unit}"

    def holds(self, outcome, others):
        return ours(outcome.results).median * outcome.per_second <= self.value


@dataclass
class Faster:
    times: float
    rival: str

    def words(self):
        return f"{self.times:g} times faster than {self.rival}"

    def holds(self, outcome, others):
        rival = named(outcome.results, self.rival)
        return rival and rival.median >= self.times * ours(outcome.results).median


@dataclass
class NearLimit:
    """Ours may take so many times what the limit takes."""

    times: float

    def words(self):
        return f"at most {self.times:.4g} times the limit"

    def holds(self, outcome, others):
        found = limit(outcome.results)
        return found and ours(outcome.results).median <= self.times * found.median


@dataclass
class TimesBenchmark:
    """Ours here may take so many times what ours takes in another benchmark."""

    times: float
    other: str

    def words(self):
        return f"at most {self.times:g} times {self.other}"

    def holds(self, outcome, others):
        other = others.get(self.other)
        there = other and ours(other.results)
        return there and ours(outcome.results).median <= self.times * there.median


@dataclass
class Figure:
    """What ours says of itself, in every sample."""

    name: str
    at_most: float = float("inf")
    at_least: float = 0

    def words(self):
        bound = f"at least {self.at_least:g}" if self.at_least else f"at most {self.at_most:g}"
        return f"{self.name} {bound}"

    def holds(self, outcome, others):
        found = ours(outcome.results).figures.get(self.name)
        return found and all(self.at_least <= value <= self.at_most for value in found)


def judged(outcome, others):
    """(words, "met", "MISSED" or "not judged") of each target."""
    verdicts = []
    for target in outcome.targets:
        answer = target.holds(outcome, others) if ours(outcome.results) else None
        word = "not judged" if answer is None else ("met" if answer else "MISSED")
        verdicts.append((target.words(), word))
    return verdicts
