"""The files that contestants read: made once, always the same bytes, and made anew when the tool is newer."""

import json
import math
import os
import random
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "slow"))
from torch_archive import Record, write_checkpoint  # noqa: E402

MIB = 1 << 20
MATRIX = (4096, 4096)  # of bfloat16: 32 MiB
MATRIX_BYTES = 2 * math.prod(MATRIX)
LARGE_BYTES = 256 * MIB
TUNED_SHARE = 0.01  # of the matrices, which a fine-tune has changed


def matrix_header(count):
    tensors = {}
    for number in range(count):
        offsets = [number * MATRIX_BYTES, (number + 1) * MATRIX_BYTES]
        name = f"model.layers.{number // 4}.mlp.projection_{number % 4}.weight"
        tensors[name] = {"dtype": "BF16", "shape": MATRIX, "data_offsets": offsets}
    text = json.dumps(tensors).encode()
    return text + b" " * (-len(text) % 8)


def write_matrices(count, path, tuned=0):
    """As safetensors. No two matrices are alike, and none is a hole. So many, the last, are other ones than without."""
    noise = memoryview(random.Random(1).randbytes(MATRIX_BYTES + (count + tuned) * 64))
    header = matrix_header(count)
    with open(path, "wb", buffering=0) as file:
        file.write(len(header).to_bytes(8, "little") + header)
        for number in range(count):
            begin = number + (tuned if number >= count - tuned else 0)
            file.write(noise[begin * 64 :][:MATRIX_BYTES])
        os.fsync(file.fileno())


def write_sparse(count, path):
    """A checkpoint of PyTorch, nearly without disk: its matrices are holes."""
    write_checkpoint(path, {f"layers.{number}.weight": Record("", MATRIX_BYTES) for number in range(count)})


class Inputs:
    """Files by kind, count and suffix. Kinds are those of models.h, and `matrices`, and `sparse`."""

    def __init__(self, build, log):
        self.folder, self.log = build / "inputs", log
        self.weightmap, self.maker = build / "tools/weightmap", build / "tests/bench/make_inputs"
        self.newest = max(path.stat().st_mtime for path in (self.weightmap, self.maker, Path(__file__)))
        self.folder.mkdir(exist_ok=True)

    def path(self, kind, count, suffix):
        path = self.folder / f"{kind}-{count}{suffix}"
        if not path.exists() or path.stat().st_mtime < self.newest:
            self.log(f"making {path.name}")
            try:
                self.make(kind, count, suffix, path)
            except BaseException:  # half a file is worse than none
                path.unlink(missing_ok=True)
                raise
        return path

    def make(self, kind, count, suffix, path):
        if suffix == ".tuned.pt":
            self.make_tuned(count, path)
        elif suffix == ".delta.wmap":
            tuned, base = (self.path(kind, count, suffix) for suffix in (".tuned.pt", ".wmap"))
            self.tool("convert", tuned, path, "--base", base)
        elif suffix.endswith(".wmap"):
            self.tool("convert", self.path(kind, count, ".safetensors"), path)
        elif kind == "sparse":
            write_sparse(count, path)
        elif suffix == ".pt":
            self.tool("export", self.path(kind, count, ".wmap"), path)
        elif kind == "matrices":
            write_matrices(count, path)
        else:
            run(self.maker, kind, count, self.folder)

    def make_tuned(self, count, path):
        """Matrices, of which a fine-tune has changed some."""
        safetensors, weight_file = path.with_suffix(".safetensors"), path.with_suffix(".wmap")
        try:
            write_matrices(count, safetensors, max(1, round(count * TUNED_SHARE)))
            self.tool("convert", safetensors, weight_file)
            self.tool("export", weight_file, path)
        finally:
            for half_way in (safetensors, weight_file):
                half_way.unlink(missing_ok=True)

    def tool(self, *words):
        run(self.weightmap, *words)

    def remove_large(self):
        for path in self.folder.iterdir():
            if path.stat().st_blocks * 512 > LARGE_BYTES:
                path.unlink()


def run(*command):
    """Raises with what the program said."""
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{Path(command[0]).name} exits {done.returncode}: {done.stderr.strip()[-300:]}")
    return done.stdout
