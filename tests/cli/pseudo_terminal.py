"""Runs a command on a pseudo-terminal: pseudo_terminal.py COLUMNS COMMAND...

Prints what the command wrote, escapes as <esc>, returns as <cr>. Ends as it ended. The terminal
has 24 rows, or as many as ROWS says. With PAUSE=1 the command is stopped for more than a second in the middle of
its work, so that it becomes long work."""

import fcntl
import os
import pty
import struct
import sys
import termios

from interrupt import stop_for, when_signals_are_caught


def run(columns, command, pause):
    child, terminal = pty.fork()
    if child == 0:
        size = struct.pack("HHHH", int(os.environ.get("ROWS", "24")), columns, 0, 0)
        fcntl.ioctl(sys.stdout.fileno(), termios.TIOCSWINSZ, size)
        os.execvp(command[0], command)
    if pause and when_signals_are_caught(child):
        stop_for(child, seconds=1.2)
    output = read_all(terminal)
    return output, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def read_all(terminal):
    output = b""
    while True:
        try:
            piece = os.read(terminal, 1 << 16)
        except OSError:  # the other end is closed
            piece = b""
        if not piece:
            return output.decode()
        output += piece


def main():
    output, code = run(int(sys.argv[1]), sys.argv[2:], os.environ.get("PAUSE") == "1")
    visible = output.replace("\r\n", "\n").replace("\r", "<cr>").replace("\x1b", "<esc>")
    sys.stdout.write(visible)
    return code


if __name__ == "__main__":
    sys.exit(main())
