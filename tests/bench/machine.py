"""What a table of times must say of the machine."""

import os
import platform
import subprocess
from pathlib import Path

GIB = 1 << 30


def first_line(path, begin=""):
    try:
        lines = Path(path).read_text().splitlines()
    except OSError:
        return "?"
    return next((line[len(begin) :].strip(" \t:") for line in lines if line.startswith(begin)), "?")


def said_by(*command):
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "?"
    return (done.stdout.splitlines() or ["?"])[0]


def memory(field):
    """In bytes: a field of /proc/meminfo."""
    return int(first_line("/proc/meminfo", field).split()[0]) * 1024


def background_bytes():
    """From so many dirty bytes on the kernel writes back: what is written beyond them measures the disk, too."""
    if absolute := int(first_line("/proc/sys/vm/dirty_background_bytes")):
        return absolute
    return memory("MemAvailable") * int(first_line("/proc/sys/vm/dirty_background_ratio")) // 100


def disk_of(folder):
    """File system and readahead of where the files lie."""
    kind = said_by("findmnt", "--noheadings", "--output", "FSTYPE", "--target", str(folder))
    device = os.stat(folder).st_dev
    name = f"{os.major(device)}:{os.minor(device)}"
    return f"{kind}, readahead {first_line(f'/sys/class/bdi/{name}/read_ahead_kb')} KiB"


def described(build):
    huge_pages = first_line("/sys/kernel/mm/transparent_hugepage/enabled")
    return {
        "processor": f"{first_line('/proc/cpuinfo', 'model name')}, {len(os.sched_getaffinity(0))} of them",
        "memory": f"{memory('MemTotal') / GIB:.1f} GiB, huge pages {huge_pages}",
        "disk": disk_of(build),
        "write-back": f"begins at {background_bytes() / GIB:.1f} GiB",
        "system": f"Linux {platform.release()}, {first_line('/etc/os-release', 'PRETTY_NAME=')}".replace('"', ""),
        "compiler": said_by(os.environ.get("CXX", "c++"), "--version"),
        "load": f"{os.getloadavg()[0]:.2f} at the start",
    }
