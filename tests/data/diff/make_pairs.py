# SPDX-License-Identifier: Apache-2.0
"""Writes first.pt, second.pt, changes.json and small_floats.json beside this file. torch 2.13.

changes.json: what PyTorch says of how the tensors of one name differ; those that do not are null.
small_floats.json: by dtype, the bits of the float32 that each of the 256 patterns stands for.
"""

import json
import pathlib

import torch

import pairs

HERE = pathlib.Path(__file__).parent
SMALL_FLOATS = [
    *[torch.float8_e5m2, torch.float8_e4m3fn, torch.float8_e5m2fnuz, torch.float8_e4m3fnuz],
    torch.float8_e8m0fnu,
]


def write(name, content):
    lines = ",\n".join(f"{json.dumps(key)}: {json.dumps(value)}" for key, value in content.items())
    (HERE / name).write_text("{\n" + lines + "\n}\n")


def small_floats(dtype):
    values = torch.arange(256, dtype=torch.int16).to(torch.uint8).view(dtype).float()
    return [bits & 0xFFFFFFFF for bits in values.view(torch.int32).tolist()]


made = pairs.pairs(seed=4)
torch.save({name: first for name, (first, _) in made.items()}, HERE / "first.pt")
torch.save({name: second for name, (_, second) in made.items()}, HERE / "second.pt")
write("changes.json", {name: pairs.changes(*pair) for name, pair in made.items()})
write("small_floats.json", {pairs.word(dtype): small_floats(dtype) for dtype in SMALL_FLOATS})
