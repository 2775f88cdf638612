"""What every benchmark of a run shares: programs, inputs, and how much of everything there is to be."""

import math
import shutil
import time
from pathlib import Path

from contestants import Contestant, Printed, Process, Server, Torch
from inputs import MATRIX_BYTES, Inputs

GIB = 1 << 30
QUICK_SHARE = 1 / 32  # of the large files


class Bench:
    def __init__(self, build, torch_python, options, log):
        self.build, self.log, self.is_quick = build, log, options.quick
        self.is_trial = options.scale != 1
        self.rounds = options.rounds or 7
        self.patience = 20 if options.quick else 120
        self.count_scale, self.byte_scale = options.scale, options.scale * (QUICK_SHARE if options.quick else 1)
        self.is_scaled = self.byte_scale != 1
        self.inputs, self.torch = Inputs(build, log), Torch(torch_python)
        self.weightmap = build / "tools/weightmap"
        self.servers = []
        self.begin = time.monotonic()
        self.scratch = build / "scratch"

    def program(self, name):
        return self.build / "tests/bench" / name

    def count(self, number):
        return max(2, math.ceil(number * self.count_scale))

    def matrices(self, gib):
        return max(1, round(gib * GIB * self.byte_scale / MATRIX_BYTES))

    def begin_one(self):
        shutil.rmtree(self.scratch, ignore_errors=True)
        self.scratch.mkdir()

    def end_one(self):
        for server in self.servers:
            server.close()
        self.servers.clear()
        shutil.rmtree(self.scratch, ignore_errors=True)

    def server(self, *command):
        self.servers.append(Server(*command))
        return self.servers[-1]

    def process(self, name, role, *command, output=None, runs=1, tells_size=False, **needs):
        """A contestant that is a whole process."""
        timed = Process(self.program("stopwatch"), command, output, runs, tells_size)
        return Contestant(name, role, timed, **needs)

    def attach(self, name, role, how, file, **needs):
        """A contestant that maps or reads a file in a new process and times that alone."""
        return Contestant(name, role, Printed(self.program("attach"), how, file), **needs)

    def torch_warm(self, names, stem, output=(), **needs):
        """Contestants in one warm process of Python."""
        server = self.server(*self.torch.command(stem, *output))
        found = [Contestant(name, "rival", lambda name=name: server.ask(name), **needs) for name in names]
        return self.torch.only(found)

    def torch_processes(self, names, stem, output=(), **needs):
        """Contestants that each start Python anew."""
        found = []
        for name in names:
            command = self.torch.command("--once", name, stem, *output)
            removed = Path(output[0]) if output else None
            found.append(self.process(f"{name}, process", "rival", *command, output=removed, **needs))
        return self.torch.only(found)
