"""Writes containers/: the same objects in every container that a checkpoint can have, and what PyTorch sees in them.

    python make_containers.py      (torch 2.13.0 with numpy, then Debian's 1.13.1; ../README.md)

What PyTorch can no longer write is built here from the layouts it documents or still reads, and then loaded by it.
"""

import collections
import contextlib
import io
import pathlib
import pickle
import sys
import tarfile
import zipfile

import numpy
import torch
from torch import nn

from describe import describe
from make import CASES, VERSION, containers, for_every_protocol, numbers, scalars, small_model, to_json

HERE = pathlib.Path(__file__).absolute().parent / "containers"
TYPED = torch.storage._dtype_to_storage_type_map()
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
    return tensor.dtype in TYPED


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


# ---- the stream from before 1.6


def save_legacy(name, value, **options):
    torch.save(value, HERE / f"{name}.pt", _use_new_zipfile_serialization=False, **options)


def legacy_objects():
    return {
        "model": small_model().state_dict(),
        "ties": CASES["ties"](),
        "views": CASES["views"](),
        "parameters": CASES["parameters"](),
        "dtypes": {name: tensor for name, tensor in CASES["dtypes"]().items() if is_typed(tensor)},
        "shapes": CASES["shapes"](),
        "scalars": scalars(),
        "containers": containers(),
    }


def legacy_2_13():
    save_legacy("legacy_2_13", legacy_objects())


def legacy_1_13():
    save_legacy("legacy_1_13", legacy_objects())


def legacy_protocol4():
    save_legacy("legacy_protocol4", for_every_protocol(), pickle_protocol=4)


class Affine(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(numbers(2, 2))
        self.register_buffer("offset", numbers(2))


def legacy_module():
    """A module as a whole: its class stands in a persistent id. Not described."""
    here = sys.modules[__name__]
    whole_path, here.__file__ = here.__file__, pathlib.Path(here.__file__).name
    with contextlib.chdir(HERE.parent):
        save_legacy("legacy_module", Affine())  # with the path of its class's source file
    here.__file__ = whole_path


def old_text(text):
    """A byte string of Python 2."""
    return b"U" + bytes([len(text)]) + text.encode()


def small(number):
    return b"K" + bytes([number])


def old_storage(key, count, view=b"N"):
    parts = [old_text("storage"), b"ctorch\nFloatStorage\n", old_text(key), old_text("cuda:0"), small(count), view]
    return b"(" + b"".join(parts) + b"tQ"


def old_tensor(storage, offset, size):
    return b"ctorch._utils\n_rebuild_tensor\n(" + storage + small(offset) + small(size) + b"\x85" + small(1) + b"\x85tR"


def whole(value):
    return b"\x80\x02" + value + b"."


def legacy_python2():
    """Text and keys as Python 2 wrote them, and two parts of one storage, as 0.1 to 0.3 did. Not described."""
    view = lambda key, begin, count: b"(" + old_text(key) + small(begin) + small(count) + b"t"
    tensors = {
        "all": old_tensor(old_storage("94279043900432", 6), 0, 6),
        "part": old_tensor(old_storage("94279043900432", 6, view("11", 2, 4)), 1, 3),
        "other": old_tensor(old_storage("7", 2), 0, 2),
    }
    items = b"".join(old_text(name) + tensor for name, tensor in tensors.items())
    head = [b"\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19", b"M\xe9\x03", b"}" + old_text("little_endian") + b"\x88s"]
    keys = b"](" + old_text("7") + old_text("94279043900432") + b"e"
    pickles = [whole(part) for part in head + [b"}(" + items + b"u", keys]]
    data = [numpy.array([7.5, 8.5], "<f4"), numpy.arange(6, dtype="<f4")]
    storages = [numpy.int64(len(one)).tobytes() + one.tobytes() for one in data]
    path = HERE / "legacy_python2.pt"
    path.write_bytes(b"".join(pickles + storages))
    if VERSION < (2, 0):
        loaded = torch.load(path, map_location="cpu", encoding="utf-8")
        assert {name: tensor.tolist() for name, tensor in loaded.items()} == {
            "all": [0, 1, 2, 3, 4, 5],
            "part": [3, 4, 5],
            "other": [7.5, 8.5],
        }
        assert loaded["part"].data_ptr() - loaded["all"].data_ptr() == 12


# ---- tensors of 0.1: of their class alone, with a state


class OldTensor:
    def __init__(self, kind, key, storage, numel, offset, shape, strides):
        self.kind = kind
        self.state = Mention(storage, key, numel), offset, shape, strides

    def __reduce__(self):
        return self.kind, (), self.state


class OldVariable:
    def __init__(self, data, requires_grad):
        self.parts = (data,), (requires_grad, False, collections.OrderedDict())

    def __reduce__(self):
        return torch.autograd.variable.Variable, *self.parts


class Mention:
    def __init__(self, storage, key, numel):
        self.storage, self.key, self.numel = storage, key, numel


class OldPickler(pickle._Pickler):
    def persistent_id(self, value):
        if isinstance(value, Mention):
            return "storage", value.storage, value.key, "cpu", value.numel
        return None


def zip_old_tensors():
    """In a zip, since legacy streams differ in nothing but where the bytes are."""
    long_numbers = numpy.arange(6, dtype="<i8")
    made = {
        "whole": OldTensor(torch.FloatTensor, "0", torch.FloatStorage, 12, 0, (3, 4), (4, 1)),
        "view": OldTensor(torch.FloatTensor, "0", torch.FloatStorage, 12, 2, (4, 2), (1, 4)),
        "default": OldTensor(torch.Tensor, "0", torch.FloatStorage, 12, 11, (1,), (1,)),
        "long": OldTensor(torch.LongTensor, "1", torch.LongStorage, 6, 1, (5,), (1,)),
        "variable": OldVariable(OldTensor(torch.DoubleTensor, "2", torch.DoubleStorage, 2, 0, (2,), (1,)), True),
    }
    out = io.BytesIO()
    OldPickler(out, 2).dump(made)
    storages = [numpy.arange(12, dtype="<f4"), long_numbers, numpy.array([0.5, -1.5], "<f8")]
    records = [("archive/data.pkl", out.getvalue())]
    records += [(f"archive/data/{i}", storage.tobytes()) for i, storage in enumerate(storages)]
    pack(HERE / "zip_old_tensors.pt", [*records, ("archive/version", b"3\n")])


# ---- the tar archive of 0.1


class Reference:
    """Stands for a tensor in the object: a persistent id."""

    def __init__(self, key):
        self.key = key


class TarPickler(pickle._Pickler):
    def persistent_id(self, value):
        return value.key if isinstance(value, Reference) else None


def pickled(value):
    out = io.BytesIO()
    TarPickler(out, 2).dump(value)
    return out.getvalue()


def integers(*numbers):
    return numpy.array(numbers, "<i8").tobytes()


def tar_storages(storages, parts):
    content = pickled(len(storages))
    for key, (kind, values) in storages.items():
        content += pickled((key, "cpu", kind)) + integers(values.size) + values.tobytes()
    return content + pickled(parts)


def tar_tensors(tensors):
    content = pickled(len(tensors))
    for key, (storage, kind, offset, shape, strides) in tensors.items():
        content += pickled((key, storage, kind)) + numpy.int32(len(shape)).tobytes() + b"rest"
        content += integers(*shape, *strides, offset)
    return content


def write_tar(path, members):
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))


STORAGES = {
    11: (torch.FloatStorage, numpy.arange(12, dtype="<f4")),
    12: (torch.LongStorage, numpy.array([5, -6], "<i8")),
    13: (torch.ByteStorage, numpy.array([], "u1")),
}
TENSORS = {
    21: (11, torch.FloatTensor, 0, (3, 4), (4, 1)),
    22: (11, torch.FloatTensor, 2, (4, 2), (1, 4)),
    23: (12, torch.LongTensor, 1, (1,), (1,)),
    24: (13, torch.ByteTensor, 0, (0,), (1,)),
}


def tar_objects():
    """Keys as text and as numbers, one tensor twice, views of one storage."""
    value = collections.OrderedDict(
        weight=Reference("21"), view=Reference(22), again=Reference(21), number=Reference("23"), empty=Reference(24)
    )
    value["list"] = [1, "text", {"x": 2.5}]
    members = {"sys_info": pickled({}), "pickle": pickled(value)}
    members["tensors"] = tar_tensors(TENSORS)
    members["storages"] = tar_storages(STORAGES, [])
    write_tar(HERE / "tar_objects.pt", members)


def tar_parts():
    """A storage that is a part of another one, and a part of that. Not described: what loads it shares nothing."""
    tensors = {21: (11, torch.FloatTensor, 0, (12,), (1,)), 22: (32, torch.FloatTensor, 1, (2,), (1,))}
    members = {"pickle": pickled([Reference(21), Reference(22)]), "tensors": tar_tensors(tensors)}
    members["storages"] = tar_storages(STORAGES, [(31, 11, 2, 8), (32, 31, 3, 4)])
    write_tar(HERE / "tar_parts.pt", members)
    loaded = load(HERE / "tar_parts.pt")
    assert loaded[1].tolist() == [6, 7]
    assert loaded[1].data_ptr() - loaded[0].data_ptr() == 24


# ---- TorchScript


class Scripted(nn.Module):
    """Ties, a submodule under two names, a buffer that is none of its parameters, attributes that are neither."""

    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(3)
        self.fc = nn.Linear(3, 3)
        self.tied = self.fc
        self.weight = nn.Parameter(numbers(3))
        self.frozen = nn.Parameter(numbers(3), requires_grad=False)
        self.register_buffer("offset", numbers(3, dtype=torch.float64))
        self.plain = numbers(3)
        self.sizes = [1, 2]
        self.names = {"a": 1}
        self.tensors = [numbers(2)]

    def forward(self, x):
        y = self.tied(self.fc(self.norm(x))) * self.weight + self.plain + self.frozen + self.offset
        return y + self.sizes[0] + self.names["a"] + self.tensors[0][0] + torch.tensor([1.0, 2.0, 3.0])


def scripted():
    return torch.jit.script(Scripted().eval())


def save_script(module, name):
    """Without the records *.debug_pkl, which name the source files of the machine; code deflated, as it was."""
    path = HERE / f"{name}.pt"
    torch.jit.save(module, str(path))
    with zipfile.ZipFile(path) as archive:
        kept = [(info, archive.read(info)) for info in archive.infolist() if not info.filename.endswith(".debug_pkl")]
    with zipfile.ZipFile(path, "w") as archive:
        for info, content in kept:
            again = zipfile.ZipInfo(info.filename, ZEROED_DATE)
            again.compress_type = info.compress_type
            archive.writestr(again, content)
    return path


def describe_script(path):
    """state_dict() of what PyTorch loads, in its order; which are parameters each module says."""
    loaded = torch.jit.load(str(path))
    description = describe(loaded.state_dict(keep_vars=True))
    for tensor in description["tensors"]:
        tensor["parameter"] = is_parameter(loaded, tensor["name"])
    path.with_suffix(".state.json").write_text(to_json(description), encoding="utf-8")


def script_2_13():
    describe_script(save_script(scripted(), "script_2_13"))


def script_1_13():
    describe_script(save_script(scripted(), "script_1_13"))


def is_parameter(module, name):
    *path, last = name.split(".")
    for part in path:
        module = getattr(module, part)
    return last in dict(module.named_parameters(recurse=False))


def script_frozen():
    """All weights among the constants: described by Python's own unpickler."""
    path = save_script(torch.jit.freeze(scripted()), "script_frozen")
    with zipfile.ZipFile(path) as archive:
        constants = Constants(archive).load()
    description = describe({f"CONSTANTS.c{i}": tensor for i, tensor in enumerate(constants)})
    path.with_suffix(".state.json").write_text(to_json(description), encoding="utf-8")


class Constants(pickle.Unpickler):
    def __init__(self, archive):
        super().__init__(io.BytesIO(archive.read("script_frozen/constants.pkl")))
        self.archive = archive

    def persistent_load(self, mention):
        _, kind, key, _, _ = mention
        content = bytearray(self.archive.read(f"script_frozen/constants/{key}"))
        storage = torch.frombuffer(content, dtype=torch.uint8).untyped_storage()
        return torch.storage.TypedStorage(wrap_storage=storage, dtype=kind.dtype, _internal=True)


# ---- what the fuzzers begin with

CORPUS = pathlib.Path(__file__).parents[2] / "fuzz" / "corpus"


def part(content):
    return len(content).to_bytes(2, "little") + content


def write_seeds():
    for path in sorted(HERE.glob("legacy_*.pt")):
        if path.stat().st_size < 4096:
            _, rest = path.read_bytes().split(b"\x50\x19.", 1)  # behind the magic number
            (CORPUS / "legacy" / path.stem).write_bytes(rest)
    for path in sorted(HERE.glob("tar_*.pt")):
        with tarfile.open(path) as archive:
            pickle_, tensors, storages = (
                archive.extractfile(name).read() for name in ("pickle", "tensors", "storages")
            )
        (CORPUS / "tar" / path.stem).write_bytes(part(pickle_) + part(tensors) + storages)
        (CORPUS / "tar" / path.name).write_bytes(path.read_bytes())
    for path in sorted(HERE.glob("script_*.pt")):
        with zipfile.ZipFile(path) as archive:
            content = {name.split("/", 1)[1]: archive.read(name) for name in archive.namelist()}
        code = content.get("code/__torch__.py", b"")
        seed = part(content["data.pkl"]) + part(content["constants.pkl"]) + code
        (CORPUS / "torch_script" / path.stem).write_bytes(seed)


# ---- everything


BY_2_13 = [zip_deflated, zip_odd, zip_without_crcs, zip_big_endian, zip_big_endian_v3, zip_old_tensors, legacy_2_13, legacy_protocol4]
BY_2_13 += [legacy_module, legacy_python2, script_2_13, script_frozen]
BY_1_13 = [legacy_1_13, legacy_python2, script_1_13, tar_objects, tar_parts]
WITHOUT_DESCRIPTION = [tar_parts, legacy_module, legacy_python2, script_2_13, script_1_13, script_frozen]


def main():
    HERE.mkdir(exist_ok=True)
    for make in BY_2_13 if VERSION >= (2, 13) else BY_1_13:
        torch.manual_seed(0)
        make()
        path = HERE / f"{make.__name__}.pt"
        if make not in WITHOUT_DESCRIPTION and not path.with_suffix(".json").exists():
            describe_file(path)
        print(path.name)
    write_seeds()


if __name__ == "__main__":
    sys.exit(main())
