"""Has a file mapped while a command runs: hold.py [--change PAGES] FILE COMMAND...

Reads every page of it; with --change through a private mapping, in which it then changes as many pages.
Ends as the command ended."""

import mmap
import subprocess
import sys


def read_all(pages):
    return sum(pages[place] for place in range(0, len(pages), mmap.PAGESIZE))


def change(pages, count):
    for page in range(count):
        pages[page * mmap.PAGESIZE] ^= 0xFF


def main():
    arguments = sys.argv[1:]
    changed = 0
    if arguments[0] == "--change":
        changed = int(arguments[1])
        arguments = arguments[2:]
    path, *command = arguments
    with open(path, "rb") as file:
        pages = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY if changed else mmap.ACCESS_READ)
    read_all(pages)
    change(pages, changed)
    return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
