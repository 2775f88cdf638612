"""Makes checks of the demo fail, one at a time: failures_test.py DEMO WEIGHT_FILE DIGITS_FOLDER."""

import mmap
import shutil
import struct
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

DEMO, WEIGHT_FILE, DIGITS = (Path(name) for name in sys.argv[1:])
IMAGES = 3  # enough to see a difference, and quick
RECORD_BYTES = {"images.bin": 64, "labels.bin": 1, "logits.bin": 40}


def run(weight_file, folder, *limit_us):
    command = [DEMO, weight_file, folder, *limit_us]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def failed_lines(done):
    return [line for line in done.stdout.splitlines() if line.endswith("FAILED")]


class Failures(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.weight_file = shutil.copy(WEIGHT_FILE, self.folder)
        for name, size in RECORD_BYTES.items():
            (self.folder / name).write_bytes((DIGITS / name).read_bytes()[: IMAGES * size])

    def expect_one_failure(self, done, beginning):
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        lines = failed_lines(done)
        self.assertEqual(len(lines), 1, done.stdout)
        self.assertTrue(lines[0].strip().startswith(beginning), lines)

    def test_nothing_fails_when_all_is_well(self):
        done = run(self.weight_file, self.folder)
        self.assertEqual((done.returncode, failed_lines(done)), (0, []), done.stdout + done.stderr)

    def test_logits_that_differ(self):
        path = self.folder / "logits.bin"
        logits = list(struct.unpack(f"<{IMAGES * 10}f", path.read_bytes()))
        logits[-1] += 2e-4
        path.write_bytes(struct.pack(f"<{IMAGES * 10}f", *logits))
        self.expect_one_failure(run(self.weight_file, self.folder), "logits:")

    def test_a_time_over_the_limit(self):
        self.expect_one_failure(run(self.weight_file, self.folder, "1"), "open to bound:")

    def test_a_share_taken_by_somebody_else(self):
        with open(self.weight_file, "rb") as file:
            with mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as mapping:
                self.assertGreater(sum(mapping[:: mmap.PAGESIZE]), 0)
                self.expect_one_failure(run(self.weight_file, self.folder), "shared fairly:")

    def test_a_new_checkpoint_that_is_no_better(self):
        labels = (DIGITS / "labels.bin").read_bytes()
        # Of these digits the worse checkpoint of the demo is as sure as the better one.
        chosen = [number for number, label in enumerate(labels) if label >= 5][:IMAGES]
        for name, size in RECORD_BYTES.items():
            records = (DIGITS / name).read_bytes()
            kept = (records[number * size : (number + 1) * size] for number in chosen)
            (self.folder / name).write_bytes(b"".join(kept))
        self.expect_one_failure(run("--publish", self.weight_file, self.folder), "accuracy:")

    def test_a_worker_that_cannot_follow(self):
        (self.folder / "labels.bin").unlink()
        done = run("--publish", self.weight_file, self.folder)
        self.assertEqual(done.returncode, 1)
        self.assertIn("no images.bin, labels.bin, logits.bin", done.stderr)

    def test_a_worker_that_cannot_work(self):
        (self.folder / "labels.bin").unlink()
        done = run(self.weight_file, self.folder)
        self.assertEqual(done.returncode, 1)
        self.assertIn("no images.bin, labels.bin, logits.bin", done.stderr)

    def test_a_weight_file_that_is_not_there(self):
        done = run(self.folder / "none.wmap", self.folder)
        self.assertEqual(done.returncode, 1)
        self.assertIn("none.wmap", done.stderr)


if __name__ == "__main__":
    sys.exit(unittest.main(argv=sys.argv[:1]))
