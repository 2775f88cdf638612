"""Sends a signal to a command in the middle of its work: interrupt.py [--once] SIGNAL COMMAND...

In the middle: as soon as it catches the signals that stop it. Prints its exit code. A command
that was done before the signal came is run again, a few times, unless --once."""

import os
import signal
import subprocess
import sys
import time

ATTEMPTS = 5


def when_signals_are_caught(process):
    """Waits until the process catches SIGTERM. False: it ended before that."""
    bit = 1 << (signal.SIGTERM - 1)
    while True:
        with open(f"/proc/{process}/status", encoding="ascii", errors="replace") as status:
            facts = dict(line.split(":", 1) for line in status)
        if facts["State"].split()[0] in "ZX":
            return False
        if int(facts["SigCgt"], 16) & bit:
            return True


def stop_for(process, seconds):
    os.kill(process, signal.SIGSTOP)
    time.sleep(seconds)
    os.kill(process, signal.SIGCONT)


def interrupt(number, command):
    # What a shell starts in the background ignores SIGINT, and so would all that it starts.
    process = subprocess.Popen(command, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    if when_signals_are_caught(process.pid):
        process.send_signal(number)
    return process.wait()


def main():
    arguments = sys.argv[1:]
    attempts = 1 if arguments[0] == "--once" else ATTEMPTS
    name, *command = arguments[arguments[0] == "--once" :]
    number = signal.Signals[name]
    for _ in range(attempts):
        code = interrupt(number, command)
        if code != 0:
            break
    print(f"{number.name}: exit code {code}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
