"""Writes containers/: the same objects in every container that a checkpoint can have, and what PyTorch sees in them.

    python make_containers.py      (torch 2.13.0 with numpy, then Debian's 1.13.1; ../README.md)

What PyTorch can no longer write is built here from the layouts it documents or still reads, and then loaded by it.
"""

import pathlib
import sys
import zipfile

import numpy
import torch
from torch import nn

from describe import describe
from make import CASES, VERSION, numbers, small_model, to_json

HERE = pathlib.Path(__file__).parent / "containers"
ZEROED_DATE = (1980, 1, 1, 0, 0, 0)


def save_description(path, value):
    path.with_suffix(".json").write_text(to_json(describe(value)), encoding="utf-8")


def load(path):
    return torch.load(path, **({"weights_only": False} if VERSION >= (1, 14) else {}))


def describe_file(path):
    save_description(path, load(path))


# ---- zip archives that other tools packed again


def records_of(path):
    with zipfile.ZipFile(path) as archive:
        return [(name, archive.read(name)) for name in archive.namelist()]


def pack(path, records, method=zipfile.ZIP_STORED):
    """By Python's zipfile: no alignment, sizes in the local headers, CRCs."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in records:
            info = zipfile.ZipInfo(name, ZEROED_DATE)
            info.compress_type = method
            archive.writestr(info, content)


def saved_records(value):
    path = HERE / "temporary.pt"
    torch.save(value, path)
    records = records_of(path)
    path.unlink()
    return records


def zip_deflated():
    value = {"model": small_model().state_dict(), "zeros": torch.zeros(20, 20), "text": "long text " * 30}
    pack(HERE / "zip_deflated.pt", saved_records(value), zipfile.ZIP_DEFLATED)


def zip_odd():
    """Entries for directories, another root, upper-case names, any order."""
    records = saved_records({"a": numbers(3), "b": numbers(2, 2)})
    renamed = [(upper_data(name.replace("temporary/", "My Model/")), content) for name, content in records]
    pack(HERE / "zip_odd.pt", [("My Model/", b""), ("My Model/data/", b"")] + renamed[::-1])
    path = HERE / "zip_odd.pt"
    path.write_bytes(path.read_bytes() + b"trailing bytes")


def upper_data(name):
    return name.replace("/data/", "/DATA/")


def zip_without_crcs():
    torch.serialization.set_crc32_options(False)
    torch.save({"a": numbers(3)}, HERE / "zip_without_crcs.pt")
    torch.serialization.set_crc32_options(True)


# ---- big-endian machines


def zip_big_endian():
    typed = {name: tensor for name, tensor in CASES["dtypes"]().items() if is_typed(tensor)}
    value = {**typed, "view": typed["float32"][1:, 1], "empty": torch.empty(0, 3)}
    write_big_endian(HERE / "zip_big_endian.pt", value)
    assert_equal(load(HERE / "zip_big_endian.pt"), value)


def zip_big_endian_v3():
    """Dtypes without a storage class, which PyTorch does not swap: a description from the little-endian file."""
    value = {name: tensor for name, tensor in CASES["dtypes"]().items() if not is_typed(tensor)}
    write_big_endian(HERE / "zip_big_endian_v3.pt", value)


def is_typed(tensor):
    return tensor.dtype in torch.storage._dtype_to_storage_type_map()


def write_big_endian(path, value):
    torch.save(value, path)
    describe_file(path)
    units = {tensor.untyped_storage().data_ptr(): unit_of(tensor) for tensor in value.values() if tensor.numel()}
    order = [unit for unit in units.values()]
    keys = iter(sorted((n for n, content in records_of(path) if "/data/" in n and content), key=number_of))
    unit_by_record = dict(zip(keys, order))
    pack(path, [(name, big(name, content, unit_by_record)) for name, content in records_of(path)])


def number_of(record):
    return int(record.rsplit("/", 1)[1])


def unit_of(tensor):
    size = tensor.element_size()
    return size // 2 if tensor.is_complex() else size


def big(name, content, unit_by_record):
    if name.endswith("/byteorder"):
        return b"big"
    if name not in unit_by_record:
        return content
    return numpy.frombuffer(content, f"<u{unit_by_record[name]}").byteswap().tobytes()


def assert_equal(one, other):
    assert one.keys() == other.keys()
    for name, tensor in one.items():
        same = torch.equal(as_bytes(tensor), as_bytes(other[name]))
        assert same and tensor.dtype == other[name].dtype, name


def as_bytes(tensor):
    return tensor.clone(memory_format=torch.contiguous_format).view(-1).view(torch.uint8) if tensor.numel() else tensor


# ---- everything


BY_2_13 = [zip_deflated, zip_odd, zip_without_crcs, zip_big_endian, zip_big_endian_v3]
BY_1_13 = []


def main():
    HERE.mkdir(exist_ok=True)
    for make in BY_2_13 if VERSION >= (2, 13) else BY_1_13:
        torch.manual_seed(0)
        make()
        path = HERE / f"{make.__name__}.pt"
        if not path.with_suffix(".json").exists():
            describe_file(path)
        print(path.name)


if __name__ == "__main__":
    sys.exit(main())
