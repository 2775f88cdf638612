"""What is promised of a disk whose blocks can no longer be read, on such a disk:
bad_disk_test.py WEIGHTMAP BAD_DISK

A file system lies in a file, which a loop device shows as a disk. The file is cut short while the file
system is in use: what lay beyond is an I/O error to who reads it, and SIGBUS to who touches it. All
that is mounted is seen by this test alone and gone with it, however it ends. Needs root."""

import contextlib
import mmap
import os
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "slow"))
from torch_archive import Record, write_checkpoint  # noqa: E402

SKIPPED = 77
OF_ITS_OWN = "WEIGHTMAP_BAD_DISK_MOUNTS"  # in the environment: what is mounted is seen by nobody else
PROGRAMS = ("unshare", "mount", "umount", "mkfs.ext4")
MIB = 1 << 20
PAGE = 4096
DISK_BYTES = 64 * MIB
COUNT, TENSOR_BYTES = 12, 2 * MIB  # the model: tensor number k holds k + 1 in each element
ELEMENTS = TENSOR_BYTES // 4
NEXT = 101  # what the elements of the next model begin with
BAD, BAD_FROM = 6, MIB  # the tensor that is cut through, and from where on
CANNOT_READ = r"(cannot read \d+ bytes at \d+: input/output error|bytes \d+ to \d+ cannot be read: .* its disk fails)"
WHOLE, GONE = (ELEMENTS, 0, 0), (0, ELEMENTS, 0)  # elements that are right, zero, anything else


def filled(value, size=TENSOR_BYTES):
    return struct.pack("<f", value) * (size // 4)


def write_model(path, first):
    records = {f"t{number:02}": Record("", TENSOR_BYTES, {0: filled(first + number)}) for number in range(COUNT)}
    write_checkpoint(path, records)


def weightmap(*words):
    return subprocess.run([WEIGHTMAP, *map(str, words)], capture_output=True, text=True)


def run(*command):
    """Raises with what the program said."""
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if done.returncode != 0:
        raise OSError(f"{command[0]}: {done.stderr.strip()}")


class Disk:
    """Holds copies of some files, none of their pages in memory. What was written to it is on it."""

    def __init__(self, folder, sources, writable=False):
        self.image, self.root = folder / "image", folder / "disk"
        self.root.mkdir()
        with open(self.image, "wb") as image:
            image.truncate(DISK_BYTES)
        # A journal is written to at any time, and what is written beyond a cut mends it.
        run("mkfs.ext4", "-q", "-F", "-b", PAGE, "-m", 0, "-O", "^has_journal", "-E", "lazy_itable_init=0", self.image)
        self.mount("rw")
        try:
            for source in sources:
                self.copy(source)
        finally:
            self.unmount()
        self.mount("rw" if writable else "ro")

    def mount(self, how):
        run("mount", "-o", f"loop,noatime,{how}", self.image, self.root)

    def copy(self, source):
        """In one piece, so that what lies behind in the file lies behind on the disk."""
        with open(self.root / source.name, "wb") as target:
            os.posix_fallocate(target.fileno(), 0, source.stat().st_size)
            target.write(source.read_bytes())

    def unmount(self, *how):
        run("umount", *how, self.root)

    def only_read_from_now_on(self):
        run("mount", "-o", "remount,ro", self.root)

    def cut(self, value, after):
        """Ends the disk at the page that lies `after` bytes from where a tensor of that value begins. What was to be
        written before is written: later it would make the disk longer again.
        """
        run("sync", "--file-system", self.root)
        with open(self.image, "r+b") as image:
            with mmap.mmap(image.fileno(), 0, access=mmap.ACCESS_READ) as content:
                begin = content.find(filled(value, 64))
            image.truncate((begin + after) // PAGE * PAGE)

    def has(self, value):
        with open(self.image, "rb") as image, mmap.mmap(image.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return content.find(filled(value, 64)) >= 0


@contextlib.contextmanager
def disk_of(*sources, writable=False):
    with tempfile.TemporaryDirectory() as folder:
        disk = Disk(Path(folder), sources, writable)
        try:
            yield disk
        finally:
            disk.unmount("--lazy")  # also when somebody still has it open


class Program:
    """bad_disk, until it is told that the disk is bad, and what it tells then."""

    def __init__(self, how, path):
        pipe = subprocess.PIPE
        self.process = subprocess.Popen([BAD_DISK, how, path], stdin=pipe, stdout=pipe, stderr=pipe, text=True)
        if self.process.stdout.readline() != "bound\n":
            raise RuntimeError(self.process.communicate()[1])

    def go_on(self):
        """(exit code, its lines); what it writes to standard error is among them."""
        out, err = self.process.communicate("\n", timeout=60)
        return self.process.returncode, (out + err).splitlines()

    def end(self):
        self.process.kill()
        self.process.communicate()


def told_tensors(lines):
    """(number, (elements that are right, that are zero, that are anything else)), as they came."""
    for told in fact(lines, "tensor"):
        number, *counts = map(int, told.split())
        yield number, tuple(counts)


def tensors_of(lines):
    return dict(told_tensors(lines))


def fact(lines, name):
    """All that is told under that name."""
    return [line.removeprefix(name + " ") for line in lines if line.startswith(name + " ")]


def read_alone(path, begin, end):
    """Has those bytes in memory, and none beside them."""
    with open(path, "rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_RANDOM)
        os.pread(file.fileno(), end - begin, begin)


class BadDisk(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.folder = Path(folder.name)
        for name, first in (("model", 1), ("next", NEXT)):
            write_model(cls.folder / f"{name}.pt", first)
            run(WEIGHTMAP, "convert", cls.folder / f"{name}.pt", cls.folder / f"{name}.wmap")
        run(WEIGHTMAP, "export", cls.folder / "model.wmap", cls.folder / "model.safetensors")

    def cut(self, disk, first=1):
        """Through the file whose first tensor has that value."""
        disk.cut(first + BAD, BAD_FROM)
        self.assertTrue(disk.has(first))
        self.assertFalse(disk.has(first + COUNT - 1))

    def started(self, how, path):
        program = Program(how, path)
        self.addCleanup(program.end)
        return program

    def told(self, how):
        """(code, lines) of what bad_disk tells of the model, and where that lies."""
        with disk_of(self.folder / "model.wmap") as disk:
            path = disk.root / "model.wmap"
            program = self.started(how, path)
            self.cut(disk)
            return *program.go_on(), path

    def test_who_touches_without_a_guard_is_killed(self):
        code, lines, _ = self.told("touch")
        self.assertEqual(code, -signal.SIGBUS, lines)
        self.assertEqual(tensors_of(lines)[0], WHOLE)

    def test_under_a_guard_what_is_good_is_right_and_what_is_bad_is_told(self):
        code, lines, path = self.told("guard")
        self.assertEqual(code, 0, lines)
        self.assertEqual(fact(lines, "faults"), ["0", "1"])
        tensors = tensors_of(lines)
        # The system may fail a page of 2 MiB as a whole.
        self.assertEqual([tensors[number] for number in range(BAD - 1)], [WHOLE] * (BAD - 1))
        self.assertEqual([tensors[number] for number in range(BAD + 1, COUNT)], [GONE] * (COUNT - BAD - 1))
        self.assertEqual(sum(other for _, _, other in tensors.values()), 0)
        [fault] = fact(lines, "fault")
        begin, end, *names = fault.split()
        self.assertEqual(int(end), (self.folder / "model.wmap").stat().st_size)
        self.assertEqual(int(end) - int(begin), 4 * sum(zero for _, zero, _ in tensors.values()))
        self.assertEqual(names, [f"t{number:02}" for number in tensors if tensors[number][1]])
        before, after = fact(lines, "check")
        self.assertEqual(before, "ok")
        self.assertTrue(after.startswith(f"corrupt {path}: bytes {begin} to {end} could not be read"), after)
        self.assertIn(f"in `{names[0]}` and {len(names) - 1} more tensors", after)

    def test_what_can_answer_with_an_error_does(self):
        code, lines, path = self.told("ask")
        self.assertEqual(code, 0, lines)
        for name in ("prefault-first", "read-first", "open", "open-lock", "open-background"):
            self.assertEqual(fact(lines, name), ["ok"])
        for name in ("prefault", "prefault-background", "read-last", "open-copied", "open-prefault"):
            [said] = fact(lines, name)
            self.assertRegex(said, rf"^io {path}: {CANNOT_READ}")
        for name in ("lock-problem", "background-problem"):
            [said] = fact(lines, name)
            self.assertRegex(said, rf"^{path}: {CANNOT_READ}")

    def test_a_new_file_that_cannot_be_read_leaves_the_old_one_in_service(self):
        with disk_of(self.folder / "model.wmap", self.folder / "next.wmap", writable=True) as disk:
            path = disk.root / "model.wmap"
            program = self.started("live", path)
            os.link(path, disk.root / "old.wmap")  # a file that has no name would keep the disk writable
            os.rename(disk.root / "next.wmap", path)
            disk.only_read_from_now_on()
            self.cut(disk, NEXT)
            code, lines = program.go_on()
        self.assertEqual(code, 0, lines)
        self.assertEqual(fact(lines, "generation"), ["0", "0"])
        self.assertEqual([counts for _, counts in told_tensors(lines)], [WHOLE] * (2 * COUNT))
        [refreshed], [last] = fact(lines, "refresh"), fact(lines, "last")
        self.assertEqual(refreshed, f"io {last}")
        self.assertRegex(last, rf"^{path}: {CANNOT_READ}")

    def refused(self, source, *words, warm_end=False, code=1):
        """What the command line did: its error is one line that names the file, and it left nothing behind. Of the
        words, `{source}` stands for the file on the bad disk, `{good}` and `{out}` for folders on a good one.
        """
        with disk_of(self.folder / source) as disk, tempfile.TemporaryDirectory() as out:
            path = disk.root / source
            if warm_end:
                read_alone(path, path.stat().st_size - 2 * PAGE, path.stat().st_size)
            self.cut(disk)
            done = weightmap(*(word.format(source=path, good=self.folder, out=out) for word in words))
            self.assertEqual(done.returncode, code, done)
            self.assertRegex(done.stderr, rf"^weightmap: {path}: [^\n]*\n$")
            self.assertEqual(os.listdir(out), [])
        return done

    def test_verify_names_what_cannot_be_read(self):
        done = self.refused("model.wmap", "verify", "{source}")
        self.assertIn(f"damaged in {COUNT - BAD} places", done.stderr)
        named = [line.strip() for line in done.stdout.splitlines() if line.startswith("  ")]
        self.assertEqual(named, [f"t{number:02}" for number in range(BAD, COUNT)])

    def test_what_reads_a_weight_file_says_what_it_cannot_read(self):
        for words in (
            ("warm", "{source}"),
            ("export", "{source}", "{out}/x.pt"),
            ("export", "{source}", "{out}/x.safetensors"),
            ("convert", "{source}", "{out}/x.wmap"),
        ):
            with self.subTest(words):
                self.assertRegex(self.refused("model.wmap", *words).stderr, CANNOT_READ)
        self.assertRegex(self.refused("model.wmap", "diff", "{source}", "{good}/next.wmap", code=2).stderr, CANNOT_READ)

    def test_a_conversion_is_one_error_and_leaves_nothing(self):
        for source, warm_end in (
            ("model.safetensors", False),
            ("model.pt", False),  # whose directory, at its end, cannot be read
            ("model.pt", True),  # whose directory can
        ):
            with self.subTest(source, warm_end=warm_end):
                done = self.refused(source, "convert", "{source}", "{out}/x.wmap", warm_end=warm_end)
                self.assertRegex(done.stderr, CANNOT_READ)

    def test_what_cannot_be_read_is_not_published(self):
        with disk_of(self.folder / "model.wmap", self.folder / "next.wmap", writable=True) as disk:
            self.cut(disk, NEXT)
            done = weightmap("publish", disk.root / "next.wmap", disk.root / "model.wmap")
            self.assertEqual(done.returncode, 1, done)
            self.assertRegex(done.stderr, rf"^weightmap: {disk.root}/next.wmap: [^\n]*\n$")
            self.assertEqual(weightmap("verify", disk.root / "model.wmap").returncode, 0)
            self.assertEqual(set(os.listdir(disk.root)) - {"lost+found"}, {"model.wmap", "next.wmap"})


def skip(why):
    print(f"SKIPPED: {why}")
    sys.exit(SKIPPED)


def need_programs():
    if os.geteuid() != 0:
        skip("only root can mount a disk")
    for program in PROGRAMS:
        if shutil.which(program) is None:
            skip(f"{program} is not installed")


def begin_anew_with_mounts_of_its_own():
    try:
        run("unshare", "--mount", "true")
    except OSError as error:
        skip(error)
    os.environ[OF_ITS_OWN] = "1"
    os.execvp("unshare", ["unshare", "--mount", sys.executable, *sys.argv])


def need_disk():
    try:
        with disk_of():
            pass
    except OSError as error:
        skip(error)


if __name__ == "__main__":
    if OF_ITS_OWN not in os.environ:
        os.environ["PATH"] += ":/usr/sbin:/sbin"
        need_programs()
        begin_anew_with_mounts_of_its_own()
    need_disk()
    WEIGHTMAP, BAD_DISK = sys.argv[1:3]
    del sys.argv[1:3]
    unittest.main()
