"""The rows of one group of tricks.py, given to the real program in a process of its own, under
watch.py: hostile_test.py WEIGHTMAP GROUP

For each: nothing runs, no process begins, nobody is called over the network; nothing is written but
in the target's directory, nothing read but what the row names and the system's libraries; memory
stays below a constant and a factor of what the file says of its tensors; a refusal is one line, exit
code 1, and leaves no file. With sanitizers (WEIGHTMAP_SANITIZED) memory is not measured: they fill a
shadow and keep what is freed."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import watch
from tricks import TRICKS, Refused

SKIPPED = 77
SANITIZED = bool(os.environ.get("WEIGHTMAP_SANITIZED"))

# Peak of resident memory. The constant is the program with its libraries, the writer's staging
# buffer and what a storage passes through; the factor is what an open checkpoint and its index take
# against the bytes of pickle or JSON that describe it.
CONSTANT_BYTES = 16 << 20
FACTOR = 64


class Row:
    """One trick in a folder of its own."""

    def __init__(self, trick, folder, program):
        self.trick, self.folder, self.program = trick, Path(folder), program
        made = trick.make()
        self.files = made if isinstance(made, dict) else {trick.source: made}
        for path, content in self.files.items():
            place = self.at("in", path)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)
        self.at("out").mkdir()
        if trick.is_adopted:
            adopt = [program, "adopt", self.at("in", "model.pt"), self.at("in", trick.source)]
            subprocess.run(adopt, stdout=subprocess.DEVNULL, check=True)
        if trick.prepare:
            trick.prepare(self.at("in"))

    def at(self, *names):
        return self.folder.joinpath(*names)

    def commands(self):
        """The one that the verdict is about, and one that looks."""
        if self.trick.is_adopted:
            return ["export", self.target(), "--no-sync"], ["verify"]
        return ["convert", self.target(), "--no-sync"], ["inspect"]

    def target(self):
        return str(self.at("out", "x.pt" if self.trick.is_adopted else "x.wmap"))

    def watched(self, command, *more):
        source = self.at("in", self.trick.source)
        reads = tuple(str(self.at("in", path)) for path in (self.trick.source, *self.trick.reads))
        reads += watch.SANITIZERS if SANITIZED else ()
        limits = watch.Limits(reads, (str(source.parent),), (str(self.at("out")),))
        environment = os.environ | {"ASAN_OPTIONS": "detect_leaks=0"}  # it would trace the program
        self.at(command).mkdir()
        return watch.run([self.program, command, str(source), *more], limits, self.at(command), environment)

    def most_bytes(self):
        described = self.trick.metadata_bytes or sum(map(len, self.files.values()))
        return CONSTANT_BYTES + FACTOR * described

    def run(self):
        """All that is wrong."""
        first, second = self.commands()
        code = int(isinstance(self.trick.verdict, Refused))
        done = self.watched(*first)
        yield from self.wrong_with(done, first[0], code)
        yield from self.wrong_words(done)
        left = sorted(str(path) for path in self.at("out").iterdir())
        if left != ([] if code else [self.target()]):
            yield f"left {left}"
        other_code = self.trick.code_of_other if self.trick.code_of_other >= 0 else code
        yield from self.wrong_with(self.watched(*second), second[0], other_code)

    def wrong_with(self, watched, command, code):
        for offence in watched.offences:
            yield f"{command} {offence}"
        if watched.code != code:
            yield f"{command} ended with {watched.code}, expected {code}: {watched.err}"
        if len(watched.err.splitlines()) != code:
            yield f"{command} told errors in other than {code} lines: {watched.err}"
        if not SANITIZED and watched.peak_bytes > self.most_bytes():
            yield f"{command} took {watched.peak_bytes} bytes, at most {self.most_bytes()}"

    def wrong_words(self, watched):
        verdict = self.trick.verdict
        is_refused = isinstance(verdict, Refused)
        said, wanted = (watched.err, verdict.says) if is_refused else (watched.out, verdict.shows)
        if wanted not in said:
            yield f"said {said!r}, not {wanted!r}"


def main():
    program, group = sys.argv[1:]
    reason = watch.missing()
    if reason:
        print(f"skipped: {len(TRICKS[group])} rows: {reason}")
        return 1 if os.environ.get("CI") == "true" else SKIPPED
    failed = 0
    for trick in TRICKS[group]:
        with tempfile.TemporaryDirectory() as folder:
            wrong = list(Row(trick, os.path.realpath(folder), program).run())
        failed += bool(wrong)
        for fault in wrong:
            print(f"{trick.name}: {fault[:2000]}")
    print(f"{len(TRICKS[group]) - failed} rows as expected, {failed} not")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
