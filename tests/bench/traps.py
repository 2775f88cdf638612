"""What makes naive benchmarks wrong, and what is done about it right before each sample: here and nowhere else.

A contestant says what it needs (contestants.Contestant): files that are to be written anew, dropped or warm, memory
that it will take, and whether it writes.
"""

import ctypes
import math
import mmap
import os
import time

MIB = 1 << 20
LIBC = ctypes.CDLL(None, use_errno=True)
PIECE = bytearray(8 * MIB)
MAY_STAY = 0.01  # of a file that was dropped
LARGE_BYTES = 256 * MIB  # of memory: giving it back and taking it again would be seen
ROUND_SECONDS = 2.5  # in which free memory is given back


class StillCached(Exception):
    pass


def address_of(block):
    return ctypes.addressof(ctypes.c_char.from_buffer(block))


def reread(path):
    """Some kernels drop the pages of files that nobody uses, within a minute, with memory to spare."""
    with open(path, "rb", buffering=0) as file:
        while file.readinto(PIECE):
            pass


def touch_memory(size):
    """Virtual machines give idle memory back to their host, every two seconds, and pay to take it again. Large memory is
    held until one such round is over, so that the next one is far when the sample begins. Private memory, since huge
    pages are what the large folios of a file are taken from, and shared memory may have none.
    """
    block = mmap.mmap(-1, max(size, mmap.PAGESIZE), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    block.madvise(mmap.MADV_HUGEPAGE)
    ctypes.memset(address_of(block), 1, size)
    if size >= LARGE_BYTES:
        time.sleep(ROUND_SECONDS)


def settle_disk():
    """What earlier samples wrote must not be written back, or throttle writers, during this one."""
    os.sync()


def resident_share(path):
    """Of a file in the cache. Mapped as if to write, since ctypes takes no address of what cannot be written."""
    with open(path, "rb") as file:
        block = mmap.mmap(file.fileno(), 0, flags=mmap.MAP_PRIVATE)
    pages = (ctypes.c_ubyte * math.ceil(len(block) / mmap.PAGESIZE))()
    if LIBC.mincore(ctypes.c_void_p(address_of(block)), ctypes.c_size_t(len(block)), pages) != 0:
        raise OSError(ctypes.get_errno(), "mincore", str(path))
    return bytes(pages).count(1) / len(pages)


def drop(path):
    """A cold start begins with nothing of the file in the cache; what is dirty cannot be dropped."""
    with open(path, "rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    if (share := resident_share(path)) > MAY_STAY:
        raise StillCached(f"{share:.0%} of {path.name} stayed in the cache")


def prepare(contestant):
    """Folios, the pieces in which a cache holds a file, are as its writer made them until the cache splits or drops
    them: where they matter, the file is written anew. Memory comes last: it is the first to go.
    """
    for write in contestant.rewrites:
        write()
    if contestant.writes:
        settle_disk()
    for path in contestant.drops:
        drop(path)
    for path in contestant.reads:
        reread(path)
    touch_memory(contestant.takes_bytes)
