"""Runs a command and writes its peak of resident memory in bytes: peak.py FILE SECONDS COMMAND...

A process of its own because a child's figure begins with what its parent had: this one is small."""

import os
import signal
import sys

report, seconds, *command = sys.argv[1:]
child = os.fork()
if child == 0:
    os.setpgid(0, 0)
    os.execvp(command[0], command)
signal.signal(signal.SIGALRM, lambda *_: os.killpg(child, signal.SIGKILL))  # and what it began
signal.alarm(int(seconds))
_, status, usage = os.wait4(child, 0)
with open(report, "w", encoding="ascii") as file:
    file.write(str(usage.ru_maxrss * 1024))
sys.exit(os.waitstatus_to_exitcode(status) % 256)
