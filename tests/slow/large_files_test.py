"""Checkpoints larger than what 32 bits can count: large_files_test.py WEIGHTMAP FOLDER."""

import json
import os
import subprocess
import sys
import tempfile
import unittest
import zipfile
from pathlib import Path

from torch_archive import Record, write_checkpoint

WEIGHTMAP, FOLDER = sys.argv[1:]
MIB = 1 << 20
GIB = 1 << 30
PEAK_LIMIT_BYTES = 100 * MIB
CHUNK_BYTES = 8 * MIB


def storage(size, seed):
    """Zeros with something to recognise at both ends and in the middle."""
    mark = bytes((seed * 16 + i) % 251 + 1 for i in range(64))
    return Record("", size, {0: mark, size // 2: mark[::-1], size - 64: mark})


def run_measured(*arguments):
    """The exit code of the command line and its peak resident memory."""
    process = subprocess.Popen([WEIGHTMAP, *arguments], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode, usage.ru_maxrss * 1024


def places(weight_file):
    """Where the bytes of each tensor lie: {name: (offset, size)}."""
    text = subprocess.check_output([WEIGHTMAP, "inspect", "--json", weight_file])
    tensors = json.loads(text)["tensors"]
    return {it["name"]: (it["offset_bytes"], it["size_bytes"]) for it in tensors}


def chunk_of(record, begin, size):
    """What the record holds there."""
    chunk = bytearray(size)
    for offset, piece in record.pieces.items():
        for number in range(max(begin, offset), min(begin + size, offset + len(piece))):
            chunk[number - begin] = piece[number - offset]
    return chunk


def holds(file, offset, record):
    """Whether the record's bytes stand in the file at that offset, every one of them."""
    file.seek(offset)
    for begin in range(0, record.size, CHUNK_BYTES):
        size = min(CHUNK_BYTES, record.size - begin)
        if file.read(size) != chunk_of(record, begin, size):
            return False
    return True


class LargeFiles(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(dir=FOLDER)
        self.addCleanup(folder.cleanup)
        self.source = Path(folder.name) / "large.pt"
        self.target = Path(folder.name) / "large.wmap"

    def convert_and_compare(self, storages):
        with zipfile.ZipFile(self.source) as archive:
            self.assertIsNone(archive.testzip(), "the test's own archive is wrong")
        code, peak_bytes = run_measured("convert", self.source, self.target)
        size_bytes = self.source.stat().st_size
        print(f"{size_bytes / GIB:.2f} GiB converted in {peak_bytes / MIB:.0f} MiB of memory")
        self.assertEqual(code, 0)
        self.assertLessEqual(peak_bytes, PEAK_LIMIT_BYTES)
        found = places(self.target)
        self.assertEqual(list(found), list(storages))
        with open(self.target, "rb") as file:
            for name, record in storages.items():
                offset, size = found[name]
                self.assertEqual(size, record.size)
                self.assertTrue(holds(file, offset, record), name)
        self.assertEqual(run_measured("verify", self.target)[0], 0)

    def export_and_compare(self, storages):
        """To both formats, which outside readers take, in little memory; the archive back again."""
        self.source.unlink()
        archive_path, safetensors = self.target.with_suffix(".pt"), self.target.with_suffix(".safetensors")
        for path in (archive_path, safetensors):
            code, peak_bytes = run_measured("export", self.target, path, "--no-sync")
            size_bytes = path.stat().st_size
            print(f"{size_bytes / GIB:.2f} GiB exported in {peak_bytes / MIB:.0f} MiB of memory")
            self.assertEqual(code, 0)
            self.assertLessEqual(peak_bytes, PEAK_LIMIT_BYTES)
            self.check_safetensors(path, storages) if path is safetensors else self.check_archive(path)
            path.unlink()

    def check_archive(self, path):
        with zipfile.ZipFile(path) as archive:
            self.assertIsNone(archive.testzip())
        again = self.target.with_suffix(".again")
        self.assertEqual(run_measured("convert", path, again)[0], 0)
        with open(self.target, "rb") as ours, open(again, "rb") as theirs:
            while piece := ours.read(CHUNK_BYTES):
                self.assertEqual(piece, theirs.read(CHUNK_BYTES))
            self.assertEqual(theirs.read(1), b"")
        again.unlink()

    def check_safetensors(self, path, storages):
        with open(path, "rb") as file:
            size = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(size))
            for name, record in storages.items():
                begin, end = header[name]["data_offsets"]
                self.assertEqual(end - begin, record.size)
                self.assertTrue(holds(file, 8 + size + begin, record), name)

    def test_two_gibibytes_convert_in_constant_memory(self):
        storages = {f"layers.{n}.weight": storage(256 * MIB, n) for n in range(8)}
        write_checkpoint(self.source, storages)
        self.convert_and_compare(storages)
        self.export_and_compare(storages)

    def convert_in_little_memory(self, name, *options):
        path = self.target.with_name(name)
        code, peak_bytes = run_measured("convert", self.source, path, *options, "--no-sync")
        print(f"{name}: {peak_bytes / MIB:.0f} MiB of memory")
        self.assertEqual(code, 0)
        self.assertLessEqual(peak_bytes, PEAK_LIMIT_BYTES)
        return path

    def test_deltas_and_shards_are_made_in_constant_memory(self):
        storages = {f"layers.{n}.weight": storage(128 * MIB, n) for n in range(8)}
        write_checkpoint(self.source, storages)
        self.convert_in_little_memory("large.wmap")
        storages["layers.5.weight"] = storage(128 * MIB, 11)
        self.source.unlink()
        write_checkpoint(self.source, storages)
        delta = self.convert_in_little_memory("delta.wmap", "--base", self.target)
        self.assertLess(delta.stat().st_blocks * 512, 129 * MIB)
        self.source.unlink()
        self.source = delta
        self.convert_in_little_memory("spread.wmap", "--max-shard-size", "300MiB")
        shards = sorted(self.target.parent.glob("spread-*"))
        self.assertEqual([shard.stat().st_size >> 27 for shard in shards], [2, 2, 2, 2])
        whole = self.convert_in_little_memory("whole.wmap")
        found = places(whole)
        with open(whole, "rb") as file:
            for name, record in storages.items():
                self.assertTrue(holds(file, found[name][0], record), name)

    def test_records_beyond_four_gibibytes_are_found(self):
        storages = {f"layers.{n}.bias": storage(4096 * (n + 1), n) for n in range(3)}
        write_checkpoint(self.source, storages, hole_bytes=4 * GIB + 4096)
        self.assertGreater(self.source.stat().st_size, 4 * GIB)
        self.assertLess(self.source.stat().st_blocks * 512, 16 * MIB, "the hole is no hole")
        self.convert_and_compare(storages)

    def test_a_tensor_of_more_than_four_gibibytes(self):
        storages = {
            "before": storage(4096, 1),
            "large": storage(4 * GIB + 8 * MIB, 2),
            "after": storage(8192, 3),
        }
        write_checkpoint(self.source, storages)
        self.convert_and_compare(storages)
        self.export_and_compare(storages)


if __name__ == "__main__":
    sys.exit(unittest.main(argv=sys.argv[:1]))
