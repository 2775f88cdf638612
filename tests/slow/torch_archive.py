"""Writes huge PyTorch checkpoints without PyTorch and nearly without disk: holes stay holes.

The layout is that of torch.save (a stored zip, every record at a multiple of 64, ZIP64 where a
number needs it), built from the documented formats and from nothing of this project.
"""

import io
import os
import pickle
import struct
import sys
import types
import zlib
from collections import OrderedDict
from dataclasses import dataclass, field

ALIGNMENT = 64
LARGE = 0xFFFFFFFF
LOCAL_HEADER = struct.Struct("<IHHHHHIIIHH")
CENTRAL_HEADER = struct.Struct("<IHHHHHHIIIHHHHHII")
ZIP64_END = struct.Struct("<IQHHIIQQQQ")
ZIP64_LOCATOR = struct.Struct("<IIQI")
END = struct.Struct("<IHHHHIIH")


@dataclass
class Record:
    """A file of the archive: zeros, but for the pieces at their offsets."""

    name: str
    size: int
    pieces: dict = field(default_factory=dict)

    def crc(self):
        crc, position = 0, 0
        for offset, piece in sorted(self.pieces.items()):
            crc = zlib.crc32(piece, crc_of_zeros(offset - position, crc))
            position = offset + len(piece)
        return crc_of_zeros(self.size - position, crc)


def crc_of_zeros(count, crc):
    zeros = bytes(1 << 24)
    for _ in range(count >> 24):
        crc = zlib.crc32(zeros, crc)
    return zlib.crc32(zeros[: count & 0xFFFFFF], crc)


def zip64_extra(*numbers):
    """The extra field with those numbers that do not fit into the ordinary ones."""
    large = [number for number in numbers if number >= LARGE]
    return struct.pack(f"<HH{len(large)}Q", 1, 8 * len(large), *large) if large else b""


def local_header(record, crc, offset):
    name = record.name.encode()
    size = min(record.size, LARGE)
    extra = zip64_extra(record.size, record.size)
    begin = offset + LOCAL_HEADER.size + len(name) + len(extra) + 4
    padding = -begin % ALIGNMENT
    extra += struct.pack("<2sH", b"FB", padding) + b"Z" * padding
    fixed = LOCAL_HEADER.pack(0x04034B50, 45, 0, 0, 0, 0, crc, size, size, len(name), len(extra))
    return fixed + name + extra


def central_header(record, crc, offset):
    name = record.name.encode()
    size = min(record.size, LARGE)
    extra = zip64_extra(record.size, record.size, offset)
    sizes = (crc, size, size, len(name), len(extra))
    fixed = CENTRAL_HEADER.pack(
        0x02014B50, 45, 45, 0, 0, 0, 0, *sizes, 0, 0, 0, 0, min(offset, LARGE)
    )
    return fixed + name + extra


def end_of(directory_offset, directory_size, count):
    here = directory_offset + directory_size
    return (
        ZIP64_END.pack(0x06064B50, 44, 45, 45, 0, 0, count, count, directory_size, directory_offset)
        + ZIP64_LOCATOR.pack(0x07064B50, 0, here, 1)
        + END.pack(0x06054B50, 0, 0, count, count, directory_size, min(directory_offset, LARGE), 0)
    )


def write_zip(path, records):
    with open(path, "wb") as file:
        directory = b""
        for record in records:
            offset, crc = file.tell(), record.crc()
            file.write(local_header(record, crc, offset))
            begin = file.tell()
            for place, piece in record.pieces.items():
                file.seek(begin + place)
                file.write(piece)
            file.truncate(begin + record.size)
            file.seek(0, os.SEEK_END)
            directory += central_header(record, crc, offset)
        directory_offset = file.tell()
        file.write(directory + end_of(directory_offset, len(directory), len(records)))


# What a checkpoint's pickle names, under PyTorch's names: a pickle stores no more of a class.
class FloatStorage:
    pass


def _rebuild_tensor_v2():
    raise NotImplementedError("only named")


FloatStorage.__module__ = "torch"
_rebuild_tensor_v2.__module__ = "torch._utils"


@dataclass
class Storage:
    key: str
    element_count: int


@dataclass
class Tensor:
    """All elements of a storage, in one dimension."""

    storage: Storage

    def __reduce__(self):
        count = self.storage.element_count
        return _rebuild_tensor_v2, (self.storage, 0, (count,), (1,), False, OrderedDict())


class Pickler(pickle.Pickler):
    def persistent_id(self, obj):
        if isinstance(obj, Storage):
            return ("storage", FloatStorage, obj.key, "cpu", obj.element_count)
        return None


def name_torch():
    """Gives the pickler the modules in which it looks for what it names."""
    torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")
    torch.FloatStorage, utils._rebuild_tensor_v2 = FloatStorage, _rebuild_tensor_v2
    sys.modules.update({"torch": torch, "torch._utils": utils})


def pickled(tensors):
    name_torch()
    stream = io.BytesIO()
    Pickler(stream, protocol=2).dump(tensors)
    return stream.getvalue()


def write_checkpoint(path, storages, hole_bytes=0):
    """A state dict of float32 tensors, each a storage of its own: {name: Record of its bytes}.

    A hole is a record before the storages, to which no tensor refers.
    """
    tensors = OrderedDict(
        (name, Tensor(Storage(str(number), record.size // 4)))
        for number, (name, record) in enumerate(storages.items())
    )
    program = pickled(tensors)
    records = [Record("archive/data.pkl", len(program), {0: program})]
    records.append(Record("archive/byteorder", 6, {0: b"little"}))
    if hole_bytes:
        records.append(Record("archive/data/hole", hole_bytes))
    for number, record in enumerate(storages.values()):
        records.append(Record(f"archive/data/{number}", record.size, record.pieces))
    records.append(Record("archive/version", 2, {0: b"3\n"}))
    write_zip(path, records)
