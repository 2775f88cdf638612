"""Runs a program under strace and tells what it did that a converter has no business doing: its own
word counts for nothing here.

A system call that takes a path, or belongs to processes or the network, is an offence unless this
file says that it is harmless."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

# What the dynamic linker and the C++ runtime read, and what sanitizers do besides.
SYSTEM = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/etc/ld.so.cache", "/etc/ld.so.preload",
          "/sys/devices/system/cpu")  # fmt: skip
SANITIZERS = ("/proc/self/maps", "/proc/self/cmdline", "/proc/self/environ")

WATCHED = "%file,%process,%network,ptrace,process_vm_writev,io_uring_setup,kill,memfd_create"

LOOKS = {"stat", "lstat", "newfstatat", "fstatat64", "statx", "access", "faccessat", "faccessat2",
         "readlink", "readlinkat", "statfs", "getcwd", "chdir", "fchdir", "inotify_add_watch",
         "exit", "exit_group", "arch_prctl", "wait4", "waitid"}  # fmt: skip
OPENS = {"open", "openat", "openat2", "creat"}
CHANGES = {"rename", "renameat", "renameat2", "link", "linkat", "symlink", "symlinkat", "unlink",
           "unlinkat", "mkdir", "mkdirat", "rmdir", "mknod", "mknodat", "chmod", "fchmodat",
           "truncate"}  # fmt: skip
WRITES = re.compile(r"\bO_(WRONLY|RDWR|CREAT|TRUNC|APPEND|TMPFILE)\b")

CALL = re.compile(r"^(\w+)\((.*)\)\s+= (.*)$")
TEXT = re.compile(r'"((?:[^"\\]|\\.)*)"')
DESCRIPTOR_AND_TEXT = re.compile(r'(?:(?:\d+|AT_FDCWD)<([^>]*)>, )?"((?:[^"\\]|\\.)*)"')
RETURNED = re.compile(r"^\d+<([^>]*)>")


class Limits(NamedTuple):
    reads: tuple = ()  # files that may be read, and directories in which all may
    directories: tuple = ()  # may be opened, but what lies in them may not
    writes: tuple = ()  # directories in which files may be made, changed and removed
    seconds: int = 60  # no measure of speed: a loop without an end is found by it


class Watched(NamedTuple):
    code: int
    out: str
    err: str
    offences: list
    peak_bytes: int  # of resident memory: the kernel's figure


def missing():
    """Why nothing can be watched here; "" when it can."""
    if shutil.which("strace") is None:
        return "strace is not installed"
    done = subprocess.run(
        ["strace", "-f", "--seccomp-bpf", "-o", "/dev/null", "-e", f"trace={WATCHED}", "true"],
        capture_output=True, text=True, check=False)  # fmt: skip
    return "" if done.returncode == 0 else f"strace cannot trace here: {done.stderr.strip()}"


def is_below(path, places):
    return any(path == place or path.startswith(place.rstrip("/") + "/") for place in places)


def paths_of(arguments):
    """The paths of a call, each with the directory that it begins in."""
    return [os.path.normpath(os.path.join(base or os.getcwd(), name))
            for base, name in DESCRIPTOR_AND_TEXT.findall(arguments)]  # fmt: skip


def opened_path(arguments, returned):
    """What was opened; where the call failed, what it asked for."""
    found = RETURNED.match(returned)
    return found.group(1) if found else (paths_of(arguments) or ["?"])[0]


def is_new_thread(arguments):
    return "CLONE_THREAD" in arguments


def offence_of(name, arguments, returned, limits, is_first_call):
    if name in LOOKS or (is_first_call and name == "execve"):
        return ""
    if name in ("clone", "clone3") and is_new_thread(arguments):
        return ""
    if name in OPENS:
        path = opened_path(arguments, returned)
        if name == "creat" or WRITES.search(arguments):
            return "" if is_below(path, limits.writes) else f"opens for writing {path}"
        is_known = is_below(path, (*SYSTEM, *limits.reads, *limits.writes))
        is_directory = "O_DIRECTORY" in arguments and path in limits.directories
        return "" if is_known or is_directory else f"opens for reading {path}"
    if name in CHANGES:
        others = [path for path in paths_of(arguments)
                  if not is_below(path, (*limits.writes, "/proc/self/fd"))]  # fmt: skip
        return f"{name} of {others[0]}" if others else ""
    return f"{name}({arguments})"


def offences(lines, limits, is_first_thread, process):
    found = []
    for number, line in enumerate(lines):
        call = CALL.match(line.replace(f"/proc/{process}/", "/proc/self/"))
        if call is None:
            continue  # a signal, or the end
        is_first_call = is_first_thread and number == 0
        found.append(offence_of(*call.groups(), limits, is_first_call))
    return [offence for offence in found if offence]


def read_traces(folder, limits):
    """One file a thread or process; the first is the program's own."""
    traces = sorted(Path(folder).glob("trace.*"), key=lambda path: int(path.suffix[1:]))
    found = [] if traces else ["left no trace"]
    for trace in traces:
        lines = trace.read_text(encoding="utf-8", errors="replace").splitlines()
        found += offences(lines, limits, trace == traces[0], traces[0].suffix[1:])
    return found


def run(command, limits, folder, environment=None):
    """`folder` is an empty one for traces."""
    strace = ["strace", "-ff", "--seccomp-bpf", "-qqq", "-y", "-s", "4096",
              "-o", f"{folder}/trace", "-e", f"trace={WATCHED}", "--"]  # fmt: skip
    peak = Path(folder, "peak")
    measured = [sys.executable, "-I", "-S", str(Path(__file__).with_name("peak.py")), str(peak)]
    done = subprocess.run([*measured, str(limits.seconds), *strace, *command], env=environment,
                          stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          errors="replace", check=False)  # fmt: skip
    found = read_traces(folder, limits)
    return Watched(done.returncode, done.stdout, done.stderr, found, int(peak.read_text()))
