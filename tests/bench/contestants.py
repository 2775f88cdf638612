"""Ways to do one thing, each at its best: whole processes, and programs that stay and do it again and again."""

import contextlib
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

import inputs

MIB = 1 << 20
BASE_BYTES = 64 * MIB  # of memory: more than a sample takes that holds no tensors
TORCH_SERVER = Path(__file__).resolve().with_name("torch_server.py")
NO_TORCH = "needs torch and safetensors (WEIGHTMAP_TORCH_PYTHON)"


class NotRun(Exception):
    """Why a contestant cannot take part here. No failure."""


@dataclass
class Contestant:
    name: str
    role: str  # ours, rival, limit, or also: shown beside them
    sample: Callable[[], dict]  # {"seconds": ..., and figures}
    rewrites: tuple = ()  # what writes its files anew, before each sample
    drops: tuple = ()  # files that are to be cold
    reads: tuple = ()  # files that are to be warm
    takes_bytes: int = BASE_BYTES  # of memory
    writes: bool = False


def alike(contestants, **needs):
    """The same for all of them."""
    for contestant in contestants:
        for name, value in needs.items():
            setattr(contestant, name, value)
    return contestants


class Process:
    """A command, from its start to its end. Its output does not outlive a sample, nor does its size count but where
    it is a figure.
    """

    def __init__(self, stopwatch, command, output=None, runs=1, tells_size=False):
        self.command, self.output, self.tells_size = [stopwatch, runs, *command], output, tells_size

    def __call__(self):
        self.remove_output()
        try:
            found = json.loads(inputs.run(*self.command))
            return found | self.size()
        finally:
            self.remove_output()

    def size(self):
        return {"written_mib": round(self.output.stat().st_size / MIB, 3)} if self.tells_size else {}

    def remove_output(self):
        if self.output:
            self.output.unlink(missing_ok=True)


class Printed:
    """A program that times itself and prints what it found as JSON."""

    def __init__(self, *command):
        self.command = command

    def __call__(self):
        return json.loads(inputs.run(*self.command))


class Server:
    """A program that stays: it is told a name, does that once, and answers with JSON."""

    def __init__(self, *command):
        self.command = [str(word) for word in command]
        self.process = None

    def start(self):
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(self.command, stdin=pipe, stdout=pipe, text=True, bufsize=1)

    def ask(self, name):
        if self.process is None:
            self.start()
        try:
            self.process.stdin.write(name + "\n")
            answer = self.process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        if not answer:
            raise RuntimeError(f"{Path(self.command[0]).name} ended: {self.process.wait()}")
        found = json.loads(answer)
        if "error" in found:
            raise RuntimeError(found["error"])
        return found

    def close(self):
        if self.process is not None:
            with contextlib.suppress(BrokenPipeError):
                self.process.stdin.close()
            self.process.stdout.close()
            self.process.wait()


class Torch:
    """The interpreter that has the rivals from PyPI, or why there is none."""

    def __init__(self, python):
        self.python, self.versions = python or sys.executable, {}
        question = "import json, torch, safetensors as s; print(json.dumps([torch.__version__, s.__version__]))"
        done = subprocess.run([self.python, "-c", question], capture_output=True, text=True)
        if done.returncode == 0:
            self.versions = dict(zip(("torch", "safetensors"), json.loads(done.stdout)))
        self.problem = (done.stderr.strip().splitlines() or ["?"])[-1]

    def command(self, *words):
        return [self.python, "-B", "-W", "ignore", TORCH_SERVER, *words]

    def only(self, contestants):
        """All of them, or each as one that is not run."""
        return contestants if self.versions else alike(contestants, sample=self.refuse)

    def refuse(self):
        raise NotRun(NO_TORCH)
