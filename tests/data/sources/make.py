"""Makes the checkpoints of this folder that are not one file of torch.save, and what their own libraries load from them.

Needs torch 2.13.0, safetensors 0.8.0, huggingface_hub 2.4.0. Every NAME.json says what the reference
loaded from NAME: the values in Python's notation, with tensor0, tensor1 ... in their order, and
dtype, shape and bytes of each tensor. Run it in this folder; it writes everything anew.
"""

import json
import pathlib
import shutil
import struct
import warnings

import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
import torch.multiprocessing
from huggingface_hub import save_torch_state_dict
from safetensors.torch import load_file, save_file
from safetensors import safe_open
from torch.distributed.checkpoint.default_planner import _EmptyStateDictLoadPlanner
from torch.distributed.checkpoint.state_dict_loader import _load_state_dict
from torch.distributed.tensor import DeviceMesh, Replicate, Shard, distribute_tensor

FOLDER = pathlib.Path(__file__).parent
INTEGERS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}

# ---- what was loaded


class Loaded:
    """A value in Python's notation, and the tensors in it."""

    def __init__(self, value):
        self.tensors = []
        self.text = self.show(value)

    def show(self, value):
        if torch.is_tensor(value):
            self.tensors.append(value)
            return f"tensor{len(self.tensors) - 1}"
        if isinstance(value, dict):
            return "{" + ", ".join(f"{self.show(k)}: {self.show(v)}" for k, v in value.items()) + "}"
        if isinstance(value, list):
            return "[" + ", ".join(map(self.show, value)) + "]"
        return f"'{value}'" if isinstance(value, str) else repr(value)


def describe(path, value, **facts):
    loaded = Loaded(value)
    tensors = [
        {
            "dtype": str(tensor.dtype).removeprefix("torch."),
            "shape": list(tensor.shape),
            "strides": list(tensor.stride()),
            "bytes": elements(tensor.detach().contiguous()).hex(),
        }
        for tensor in loaded.tensors
    ]
    text = {**facts, "values": loaded.text, "tensors": tensors}
    FOLDER.joinpath(path + ".json").write_text(json.dumps(text, indent=1) + "\n")


def elements(tensor):
    if tensor.is_complex():
        tensor = torch.view_as_real(tensor)
    if tensor.dim() == 0:
        tensor = tensor.reshape(1)
    return tensor.view(INTEGERS[tensor.element_size()]).numpy().tobytes()


# ---- safetensors

DTYPES = (
    "bool uint8 int8 float8_e5m2 float8_e4m3fn float8_e8m0fnu float8_e4m3fnuz float8_e5m2fnuz int16 uint16 float16 "
    "bfloat16 int32 uint32 float32 complex64 float64 int64 uint64 float4_e2m1fn_x2"
).split()


def numbers(count, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count,), dtype=torch.uint8, generator=generator)


def of_dtype(name, seed):
    dtype = getattr(torch, name)
    if dtype is torch.bool:
        return torch.tensor([[True, False, True], [False, False, True]])
    size = torch.empty(0, dtype=dtype).element_size()
    return numbers(6 * size, seed).view(dtype).reshape(2, 3)


def safetensors_case(name, tensors, metadata=None):
    path = FOLDER / "safetensors" / f"{name}.safetensors"
    save_file(tensors, path, metadata)
    describe_safetensors(path)


def describe_safetensors(path):
    with safe_open(path, "pt") as file:
        metadata = file.metadata() and dict(sorted(file.metadata().items()))
    describe(f"safetensors/{path.stem}", load_file(path), metadata=metadata)


def with_header(name, header, data):
    """A file that save_file would not write, but that load_file reads."""
    path = FOLDER / "safetensors" / f"{name}.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header + data)
    describe_safetensors(path)


def entry(dtype, shape, begin, end):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def make_safetensors():
    FOLDER.joinpath("safetensors").mkdir()
    safetensors_case("dtypes", {name: of_dtype(name, seed) for seed, name in enumerate(DTYPES)})
    shapes = {"scalar": torch.tensor(2.5), "none": torch.empty(0).half(), "gap": torch.empty(3, 0, 2), "one": torch.ones(1, 1)}
    shapes |= {"deep": torch.arange(24.0).reshape(1, 2, 3, 4, 1), "z.Ä\n": torch.arange(3)}
    safetensors_case("shapes", shapes, {"format": "pt", "schlüssel": "grün\n"})
    safetensors_case("empty", {})
    safetensors_case("only_metadata", {}, {"format": "pt"})
    # Not in the order of the data, at odd places, empty ones between others, blanks around the header.
    tensors = {"late": entry("F32", [2], 3, 11), "hole": entry("I64", [0, 4], 3, 3), "early": entry("U8", [3], 0, 3)}
    tensors |= {"end": entry("F16", [0], 11, 11)}
    with_header("unaligned", b" \n" + json.dumps(tensors).encode() + b"\t\r\n  ", bytes(range(11)))


# ---- several files and an index


def make_sharded():
    weights = {f"layers.{i}.weight": numbers(64, i).view(torch.float32).reshape(4, 4) for i in range(3)}
    weights |= {"layers.1.bias": numbers(8, 9).view(torch.bfloat16), "step": torch.tensor(7)}
    for folder, safe in (("sharded", True), ("sharded_bin", False)):
        target = FOLDER / folder
        target.mkdir()
        save_torch_state_dict(weights, target, max_shard_size=140, metadata={"format": "pt"}, safe_serialization=safe)
        index = json.loads(next(target.glob("*.index.json")).read_text())
        files = list(dict.fromkeys(index["weight_map"].values()))
        load = load_file if safe else torch.load
        shards = {file: load(target / file) for file in files}
        value = {name: shards[file][name] for name, file in index["weight_map"].items()}
        describe(folder, value, metadata=index["metadata"], files=files)


# ---- torch.distributed.checkpoint


def nested():
    return {
        "model": {"weight": torch.arange(6.0).reshape(2, 3), "bias": numbers(4, 3).view(torch.float16)},
        "optimizer": {"state": {"0": {"exp_avg": torch.full((2, 3), 0.5), "step": 3}}, "lr": [0.1, 0.2]},
        "tensors": [torch.zeros(1), {"deep": torch.tensor(4), "none": None}],
        "scalar": torch.tensor(1.5, dtype=torch.bfloat16),
        "empty": torch.empty(0, 3),
        "transposed": torch.arange(6).reshape(2, 3).t(),
        "note": "one process",
    }


def sharded_state(mesh):
    whole = {"rows": torch.arange(40.0).reshape(5, 8), "columns": torch.arange(42).reshape(6, 7).to(torch.int32)}
    whole |= {"cube": torch.arange(60).reshape(3, 4, 5), "replicated": torch.arange(4.0)}
    placements = {"rows": [Shard(0)], "columns": [Shard(1)], "cube": [Shard(1)], "replicated": [Replicate()]}
    model = {name: distribute_tensor(tensor, mesh, placements[name]) for name, tensor in whole.items()}
    return {"model": model, "epoch": 2}


def save_in_process(rank, folder):
    dist.init_process_group("gloo", init_method=f"file://{folder}.rendezvous", rank=rank, world_size=2)
    mesh = DeviceMesh("cpu", list(range(2)))
    dcp.save(sharded_state(mesh), checkpoint_id=folder)
    dist.destroy_process_group()


def describe_distributed(name):
    value = {}
    reader = dcp.FileSystemReader(FOLDER / name)
    _load_state_dict(value, storage_reader=reader, planner=_EmptyStateDictLoadPlanner(), no_dist=True)
    describe(name, value)


def make_distributed():
    dcp.save(nested(), checkpoint_id=FOLDER / "distributed", no_dist=True)
    describe_distributed("distributed")
    torch.multiprocessing.spawn(save_in_process, (str(FOLDER / "distributed_chunks"),), nprocs=2)
    FOLDER.joinpath("distributed_chunks.rendezvous").unlink(missing_ok=True)
    describe_distributed("distributed_chunks")


def main():
    warnings.filterwarnings("ignore")
    for path in FOLDER.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
    make_safetensors()
    make_sharded()
    make_distributed()
    for path in FOLDER.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)


if __name__ == "__main__":
    main()
