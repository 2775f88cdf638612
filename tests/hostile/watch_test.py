"""The watch can fail: programs that do what it looks for are caught, and one that does not is left
alone."""

import os
import sys
import tempfile
import unittest
from pathlib import Path

import watch

SKIPPED = 77
MEBIBYTE = 1 << 20

# What a program of Python's does, and part of the offence.
OFFENDERS = {
    "another program": ("import os; os.execv('/bin/true', ['true'])", "execve"),
    "another program in a process of its own": ("import os; os.posix_spawn('/bin/true', ['true'], dict())", "execve"),
    "a process": ("import os; os.fork() or os._exit(0)", "clone("),
    "a socket": ("import _socket; _socket.socket()", "socket("),
    "a new file elsewhere": ("open('{elsewhere}/new', 'w')", "opens for writing {elsewhere}/new"),
    "a file elsewhere, changed": ("open('{elsewhere}/secret', 'r+')", "opens for writing {elsewhere}/secret"),
    "a file elsewhere, changed through a link": ("open('{out}/link', 'r+')", "opens for writing {elsewhere}/secret"),
    "a file elsewhere, removed": ("import os; os.unlink('{elsewhere}/secret')", "unlink of {elsewhere}/secret"),
    "a file elsewhere, renamed": ("import os; os.rename('{elsewhere}/secret', '{out}/new')", "rename of {elsewhere}/secret"),
    "a directory elsewhere": ("import os; os.mkdir('{elsewhere}/new')", "mkdir of {elsewhere}/new"),
    "a file elsewhere, read": ("open('{elsewhere}/secret')", "opens for reading {elsewhere}/secret"),
    "a file elsewhere, read by way of the target": ("open('{out}/../elsewhere/secret')", "opens for reading {elsewhere}/secret"),
    "a file elsewhere that is not there": ("import os; os.path.exists('x'); open('{elsewhere}/none')", "opens for reading {elsewhere}/none"),
    "a signal": ("import os; os.kill(os.getppid(), 0)", "kill("),
    "a program in memory": ("import os; os.memfd_create('x')", "memfd_create("),
    "in a thread": ("import _thread, time; _thread.start_new_thread(open, ('{elsewhere}/secret',)); time.sleep(0.2)", "opens for reading {elsewhere}/secret"),
}  # fmt: skip


class Watch(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(os.path.realpath(folder.name))
        self.places = {name: str(self.folder / name) for name in ("out", "elsewhere")}

    def run_program(self, code, seconds=60):
        for place in self.places.values():
            os.makedirs(place, exist_ok=True)
        Path(self.places["elsewhere"], "secret").write_text("secret", encoding="ascii")
        link = Path(self.places["out"], "link")
        link.unlink(missing_ok=True)
        link.symlink_to(Path(self.places["elsewhere"], "secret"))
        traces = tempfile.mkdtemp(dir=self.folder)
        reads = ("/usr", sys.prefix, sys.base_prefix)
        limits = watch.Limits(reads=reads, writes=(self.places["out"],), seconds=seconds)
        program = [sys.executable, "-I", "-S", "-c", code.format(**self.places)]
        return watch.run(program, limits, traces, os.environ | {"LC_ALL": "C"})

    def test_who_does_what_is_looked_for_is_caught(self):
        for name, (code, offence) in OFFENDERS.items():
            with self.subTest(name):
                found = self.run_program(code).offences
                expected = offence.format(**self.places)
                self.assertTrue(any(expected in one for one in found), found)

    def test_who_does_nothing_of_it_is_left_alone(self):
        harmless = (
            "import os, _thread; _thread.start_new_thread(int, ()); f = open('{out}/x', 'w'); f.write('x'); "
            "f.close(); os.rename('{out}/x', '{out}/y'); open('{out}/y').read(); os.unlink('{out}/y'); print('done')"
        )
        watched = self.run_program(harmless)
        self.assertEqual((watched.code, watched.offences), (0, []), watched)
        self.assertEqual(watched.out, "done\n")

    def test_memory_is_that_of_the_program(self):
        little = self.run_program("pass").peak_bytes
        much = self.run_program(f"x = b'x' * {100 * MEBIBYTE}").peak_bytes
        self.assertLess(little, 16 * MEBIBYTE)
        self.assertGreater(much, 100 * MEBIBYTE)
        self.assertLess(much, 120 * MEBIBYTE)

    def test_a_program_that_does_not_end_is_ended(self):
        self.assertNotIn(self.run_program("while True: pass", seconds=1).code, (0, 1))

    def test_exit_codes_and_texts_come_through(self):
        watched = self.run_program("import sys; print('out'); print('err', file=sys.stderr); sys.exit(1)")
        self.assertEqual((watched.code, watched.out, watched.err), (1, "out\n", "err\n"))


if __name__ == "__main__":
    reason = watch.missing()
    if reason:
        print(f"skipped: {reason}")
        sys.exit(1 if os.environ.get("CI") == "true" else SKIPPED)
    unittest.main()
