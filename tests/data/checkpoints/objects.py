"""Writes objects of plain Python and of numpy, and how they are to be shown. Called by make.py."""

import argparse
import datetime
import decimal
import fractions
import json
import pathlib
import types
import uuid

import numpy
import torch

UTC = datetime.timezone.utc


def plain():
    east = datetime.timezone(datetime.timedelta(hours=5, minutes=30), "IST")
    west = datetime.timezone(-datetime.timedelta(hours=8))
    return {
        "namespace": argparse.Namespace(lr=0.1, layers=[1, 2], name="first", inner=argparse.Namespace(a=1)),
        "simple": types.SimpleNamespace(a=1, b=None),
        "path": pathlib.PurePosixPath("runs/first"),
        "absolute": pathlib.PosixPath("/srv/models/a.pt"),
        "here": pathlib.PurePosixPath("."),
        "windows": pathlib.PureWindowsPath("C:\\runs\\first"),
        "date": datetime.date(2024, 2, 29),
        "datetime": datetime.datetime(2024, 2, 29, 12, 30, 15),
        "micros": datetime.datetime(1999, 12, 31, 23, 59, 59, 123456),
        "fold": datetime.datetime(2024, 10, 27, 2, 30, fold=1),
        "utc": datetime.datetime(2024, 1, 2, tzinfo=UTC),
        "east": datetime.datetime(2024, 1, 2, tzinfo=east),
        "west": west,
        "time": datetime.time(1, 2, 3, 4),
        "timedelta": datetime.timedelta(days=-1, seconds=5),
        "uuid": uuid.UUID("12345678-9abc-def0-1234-56789abcdef0"),
        "small_uuid": uuid.UUID(int=5),
        "decimal": decimal.Decimal("1.50"),
        "fraction": fractions.Fraction(-1, 3),
    }


def arrays():
    return {
        "float64": numpy.float64(1.5),
        "float32": numpy.float32(0.1),
        "whole": numpy.float64(2),
        "infinite": numpy.float32("-inf"),
        "int64": numpy.int64(-3),
        "uint64": numpy.uint64(2**64 - 1),
        "int8": numpy.int8(-128),
        "bool": numpy.bool_(True),
        "big": numpy.array([258], dtype=">i4")[0],
        "float16": numpy.float16(2),
        "array": numpy.arange(12.0).reshape(3, 4),
        "fortran": numpy.asfortranarray(numpy.ones((2, 3), numpy.int16)),
        "empty": numpy.zeros((0, 2), numpy.uint8),
        "scalar_array": numpy.array(7),
        "dtype": numpy.dtype("float32"),
        "record": numpy.dtype([("a", "i4")]),
    }


def shown(value):
    """What weightmap inspect shows, from what Python has."""
    if isinstance(value, (argparse.Namespace, types.SimpleNamespace)):
        return f"{type(value).__name__}({', '.join(f'{k}={field(v)}' for k, v in vars(value).items())})"
    if isinstance(value, pathlib.PurePath):
        return f"{type(value).__name__}('{value}')"
    if isinstance(value, datetime.datetime) and value.tzinfo:
        return f"{value.replace(tzinfo=None)} {offset(value.utcoffset())}"
    if isinstance(value, datetime.timezone):
        return offset(value.utcoffset(None))
    if isinstance(value, datetime.timedelta):
        return f"timedelta(days={value.days}, seconds={value.seconds}, microseconds={value.microseconds})"
    if isinstance(value, (uuid.UUID, decimal.Decimal, fractions.Fraction)):
        return repr(value)
    return numpy_shown(value) if type(value).__module__.startswith("numpy") else str(value)


def numpy_shown(value):
    if isinstance(value, numpy.dtype):
        return f"numpy.{value.name}" if value.names is None else f"numpy.V{value.itemsize}"
    if isinstance(value, numpy.ndarray):
        return f"array of numpy.{value.dtype.name}{list(value.shape)}"
    if isinstance(value, numpy.float16):
        return "a numpy.float16"
    return f"{str(value)} (numpy.{value.dtype.name})"


def offset(delta):
    minutes = abs(int(delta.total_seconds())) // 60
    return f"UTC{'-' if delta.total_seconds() < 0 else '+'}{minutes // 60:02}:{minutes % 60:02}"


def field(value):
    if isinstance(value, list):
        return f"list of {len(value)}"
    return "argparse.Namespace" if isinstance(value, argparse.Namespace) else repr(value)


def write(folder, version):
    folder.mkdir(exist_ok=True)
    path = folder / "torch-{}.{}.pt".format(*version)
    torch.save({"plain": plain(), "arrays": arrays()}, path)
    loaded = torch.load(path, **({"weights_only": False} if version >= (2, 0) else {}))
    told = {group: {key: shown(value) for key, value in values.items()} for group, values in loaded.items()}
    (folder / (path.stem + ".shown.json")).write_text(json.dumps(told, indent=1) + "\n")
