"""What came out of a benchmark, as a table for people and as records for programs."""

from dataclasses import dataclass, field

from targets import judged, limit, ours

PER_SECOND = {"s": 1, "ms": 1e3, "us": 1e6, "ns": 1e9}
HEADING = f"  {'contestant':52} {'median':>12} {'minimum':>12} {'spread':>7} {'rounds':>6}  x ours  x limit  figures"


def number(value):
    decimals = 3 if value < 10 else (1 if value < 1000 else 0)
    return f"{value:,.{decimals}f}"


def ratio(result, other):
    return result.median / other.median if result.ok and other else None


def figure_text(name, values):
    """The worst of those that are bad when large or when small."""
    worst = min(values) if name.endswith("share") else max(values)
    return f"{name} {worst:g}"


@dataclass
class Outcome:
    name: str
    what: str
    unit: str
    results: list
    targets: tuple = ()
    problem: str = ""  # why there are no results
    verdicts: list = field(default_factory=list)  # (words of a target, how it stands)

    @property
    def per_second(self):
        return PER_SECOND[self.unit]

    @property
    def has_failures(self):
        return bool(self.problem) or any(result.status == "failed" for result in self.results)

    def judge(self, others):
        """`others` are the outcomes of other benchmarks of the run, by name."""
        self.verdicts = judged(self, others)

    def ratios(self, result):
        """How many times ours this takes, and how many times the limit."""
        ours_ratio = None if result.role == "ours" else ratio(result, ours(self.results))
        limit_ratio = None if result.role == "limit" else ratio(result, limit(self.results))
        return ours_ratio, limit_ratio

    def line(self, result):
        if not result.ok:
            return f"  {result.name:52} {result.status}: {result.reason}"
        times = (f"{number(value * self.per_second):>9} {self.unit}" for value in (result.median, result.minimum))
        cells = [f"  {result.name:52}", *times, f"{result.spread:7.0%}", f"{len(result.samples):6}"]
        cells += [f"{value:7.2f}" if value else " " * 7 for value in self.ratios(result)]
        figures = ", ".join(figure_text(*item) for item in result.figures.items())
        return f"{' '.join(cells)}   {figures}".rstrip()

    def lines(self):
        found = ["", f"{self.name}: {self.what}"]
        if self.problem:
            return found + [f"  failed: {self.problem}"]
        found += [HEADING] + [self.line(result) for result in self.results]
        return found + [f"  target, {words}: {word}" for words, word in self.verdicts]

    def record(self, result):
        found = {"benchmark": self.name, "contestant": result.name, "role": result.role, "status": result.status}
        if not result.ok:
            return found | {"reason": result.reason}
        scaled = {name: getattr(result, name) * self.per_second for name in ("median", "minimum")}
        found |= {"unit": self.unit, **scaled, "spread": result.spread, "figures": result.figures}
        found["times_ours"], found["times_limit"] = self.ratios(result)
        return found | {"samples": [sample * self.per_second for sample in result.samples]}

    def records(self):
        return {
            "benchmark": self.name,
            "what": self.what,
            "problem": self.problem,
            "targets": [dict(zip(("target", "verdict"), verdict)) for verdict in self.verdicts],
            "contestants": [self.record(result) for result in self.results],
        }
