# SPDX-License-Identifier: Apache-2.0
"""The rivals from PyPI, each used as its own documents tell: torch_server.py STEM [OUTPUT].

They read STEM.pt or STEM.safetensors. For each line of standard input, the name of a contestant, prints a line of
JSON: {"seconds"} and figures, or {"error"}. With --once NAME it does that one thing and ends; with --hold NAME it
prints how long attaching took, then how long a touch of every page took, and stays until its input ends.
"""

import argparse
import contextlib
import gc
import json
import os
import sys
import time

PAGE_BYTES = 4096
SAMPLE_SECONDS = 0.03  # as sample_server.cpp has it
WARMED_SECONDS = 1  # a run that takes as long gains nothing from one before it


def torch_load(files):
    import torch

    return torch.load(files.checkpoint, weights_only=True)


def torch_load_mapped(files):
    import torch

    return torch.load(files.checkpoint, mmap=True, weights_only=True)


def torch_bind(files):
    module = files.module()
    module.load_state_dict(torch_load_mapped(files), assign=True)
    return module.state_dict()


def safetensors_load(files):
    from safetensors.torch import load_file

    return load_file(files.safetensors)


def safetensors_open(files):
    from safetensors import safe_open

    with safe_open(files.safetensors, framework="pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}


def safetensors_names(files):
    from safetensors import safe_open

    with safe_open(files.safetensors, framework="numpy") as file:
        return list(file.keys())


def resave(files):
    from safetensors.torch import save_file

    save_file(torch_load_mapped(files), files.output)


def torch_load_touched(files):
    return touched(torch_load_mapped(files))


def safetensors_touched(files):
    return touched(safetensors_load(files))


def nothing(files):
    import torch  # noqa: F401

    return {}


# rows.py knows them by these names.
METHODS = {
    "torch.load": torch_load,
    "torch.load(mmap=True)": torch_load_mapped,
    "torch.load(mmap=True), touched": torch_load_touched,
    "torch.load(mmap=True), load_state_dict(assign=True)": torch_bind,
    "torch.load(mmap=True), safetensors.save_file": resave,
    "safetensors.load_file": safetensors_load,
    "safetensors.load_file, touched": safetensors_touched,
    "safetensors.safe_open": safetensors_open,
    "safetensors.safe_open, names only": safetensors_names,
    "torch imported, nothing loaded": nothing,
}


OPENERS = (torch_load, torch_load_mapped, torch_bind, safetensors_load, safetensors_open)  # leave nothing behind


def touched(tensors):
    """Reads a byte of each page."""
    import torch

    for tensor in tensors.values():
        tensor.flatten().view(torch.uint8)[::PAGE_BYTES].sum()
    return tensors


class Tree:
    """Makes modules that want the tensors of a state dict, without memory of their own."""

    def __init__(self, torch):
        self.torch, self.root = torch, torch.nn.Module()
        self.modules = {"": self.root}

    def module(self, path):
        if path not in self.modules:
            parent, _, name = path.rpartition(".")
            self.modules[path] = self.torch.nn.Module()
            self.module(parent).add_module(name, self.modules[path])
        return self.modules[path]

    def add(self, path, tensor):
        parent, _, name = path.rpartition(".")
        meta = self.torch.empty_like(tensor, device="meta")
        self.module(parent).register_parameter(name, self.torch.nn.Parameter(meta, requires_grad=False))


class Files:
    def __init__(self, stem, output):
        self.checkpoint, self.safetensors, self.output = f"{stem}.pt", f"{stem}.safetensors", output
        self.made = None

    def module(self):
        """Made by the first who asks."""
        import torch

        if self.made is None:
            tree = Tree(torch)
            for path, tensor in torch_load_mapped(self).items():
                tree.add(path, tensor)
            self.made = tree.root
        return self.made

    def remove_output(self):
        if self.output:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.output)


def forget_peak():
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")


def peak_mib():
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) / 1024 for line in file if line.startswith("VmHWM:"))


def timed(method, files):
    begin = time.perf_counter()
    found = method(files)
    return time.perf_counter() - begin, found


def mean_after(first, method, files):
    """Of as many runs as take SAMPLE_SECONDS: the first found the processor's caches empty."""
    if first > WARMED_SECONDS:
        return first
    runs = []
    while sum(runs) < SAMPLE_SECONDS:
        runs.append(timed(method, files)[0])
    return sum(runs) / len(runs)


def sample(name, files):
    method = METHODS[name]
    if method is torch_bind:
        files.module()
    gc.collect()
    forget_peak()
    first, _ = timed(method, files)
    found = {"seconds": first}
    if method in OPENERS:
        found = {"seconds": mean_after(first, method, files), "first_us": round(first * 1e6, 1)}
    files.remove_output()
    return found | {"peak_mib": round(peak_mib(), 1)}


def tell(answer):
    print(json.dumps(answer), flush=True)


def serve(files):
    for line in sys.stdin:
        try:
            tell(sample(line.strip(), files))
        except Exception as failure:  # told to the suite, which goes on with the others
            tell({"error": f"{type(failure).__name__}: {failure}"})


def hold(name, files):
    nothing(files)  # the import is not part of attaching
    seconds, tensors = timed(METHODS[name], files)
    tell({"seconds": seconds})
    begin = time.perf_counter()
    touched(tensors)
    tell({"seconds": time.perf_counter() - begin})
    sys.stdin.read()


def main():
    parser = argparse.ArgumentParser(description="samples of torch and safetensors")
    parser.add_argument("--once", metavar="NAME")
    parser.add_argument("--hold", metavar="NAME")
    parser.add_argument("stem")
    parser.add_argument("output", nargs="?")
    options = parser.parse_args()
    files = Files(options.stem, options.output)
    if options.once:
        METHODS[options.once](files)
    elif options.hold:
        hold(options.hold, files)
    else:
        serve(files)


main()
