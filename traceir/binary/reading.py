"""Reading a `.tirb` file: nothing of it is believed before it is checked."""

from __future__ import annotations

import json
import os
from typing import IO, Any

import attrs
import msgspec
import numpy as np

from traceir.binary.layout import (
    DIGEST,
    DTYPES,
    LONGEST,
    MAGIC,
    PREFIX,
    VERSION,
    ColumnPart,
    Header,
    TablePart,
    WrittenPart,
    checksum,
    digest,
)
from traceir.errors import InputError, TraceirError
from traceir.ir import Annotation, Column, Finding, Lane, Module, PassRecord, Strings, Table, Written


def read(file: IO[bytes], path: str) -> Module:
    """The module in an open file; `path` is what messages call it. O(bytes).

    InputError, with what is wrong and the mend, for a file of another version, one that is cut or damaged, and one
    that contradicts itself. The module has no source: who knows the input gives it one.
    """
    header, begin = _header(file, path)
    size = os.fstat(file.fileno()).st_size
    try:
        return _module(file, header, begin, size)
    except _DamagedError as error:
        raise InputError(f"The file {path} is damaged: {error}; make it again from the trace.") from None
    except (TraceirError, TypeError, ValueError, KeyError) as error:
        raise InputError(f"The file {path} contradicts itself ({error}); make it again from the trace.") from None


class _DamagedError(Exception):
    """A column that is not what the header says."""


def _header(file: IO[bytes], path: str) -> tuple[Header, int]:
    prefix = file.read(PREFIX)
    if prefix[: len(MAGIC)] != MAGIC:
        raise InputError(f"The file {path} is no .tirb file.")
    length = int.from_bytes(prefix[len(MAGIC) : -DIGEST], "little")
    raw = file.read(length) if len(prefix) == PREFIX and length <= LONGEST else b""
    if len(raw) != length or digest(raw) != prefix[-DIGEST:]:
        raise InputError(f"The file {path} is damaged: its header is cut or changed; make it again from the trace.")
    try:
        found = json.loads(raw.decode("utf-8", "surrogatepass"))
    except ValueError as error:
        raise InputError(f"The file {path} contradicts itself ({error}); make it again from the trace.") from None
    version = found.get("version") if isinstance(found, dict) else None
    if version != VERSION:
        raise InputError(
            f"The file {path} has version {version} of its layout, and this traceir reads version {VERSION}; make it "
            "again from the trace."
        )
    try:
        return msgspec.convert(found, Header), PREFIX + length
    except msgspec.ValidationError as error:
        raise InputError(f"The file {path} contradicts itself ({error}); make it again from the trace.") from None


def _module(file: IO[bytes], header: Header, begin: int, size: int) -> Module:
    def column(part: ColumnPart, name: str) -> np.ndarray[Any, Any]:
        if part.dtype not in DTYPES or not 0 <= part.offset <= size or not 0 <= part.length <= size:
            raise _DamagedError(f"the column {name} cannot lie where the header says")
        dtype = np.dtype(part.dtype)
        if part.length % dtype.itemsize:
            raise _DamagedError(f"the column {name} ends inside a value")
        values = np.empty(part.length // dtype.itemsize, dtype)
        file.seek(begin + part.offset)
        if part.length and file.readinto(values.view(np.uint8).data) != part.length:  # type: ignore[attr-defined]
            raise _DamagedError(f"it ends inside the column {name}")
        if checksum(values) != part.checksum:
            raise _DamagedError(f"the column {name} has changed since it was written")
        return values

    def table(name: str, part: TablePart) -> Table:
        columns = {}
        for key, place in part.columns.items():
            values = column(place, key)
            if len(values) != part.length:
                raise _DamagedError(f"the column {key} has {len(values)} values in a table of {part.length} rows")
            columns[key] = Column.own(values)
        return Table(name, part.length, columns)

    raw, ends = (column(part, "texts") for part in header.texts)
    module = Module(
        name=header.name,
        strings=Strings(_texts(raw.tobytes(), ends)),
        lanes=tuple(Lane(**lane) for lane in header.lanes),
        kinds=tuple(header.kinds),
        tables={name: table(name, part) for name, part in header.tables.items()},
        meta=header.meta,
        passes=tuple(PassRecord(**record) for record in header.passes),
        health=tuple(_finding(item) for item in header.health),
    )
    annotations = {name: _written(module, part) for name, part in header.annotations.items()}
    return attrs.evolve(module, annotations=annotations)


def _texts(raw: bytes, ends: np.ndarray[Any, Any]) -> list[str]:
    if len(ends) and (ends[-1] != len(raw) or (np.diff(ends, prepend=0) < 0).any()):
        raise _DamagedError("the names do not fit together")
    begin, out = 0, []
    for end in ends.tolist():
        out.append(raw[begin:end].decode("utf-8", "surrogatepass"))
        begin = end
    return out


def _finding(item: dict[str, Any]) -> Finding:
    return Finding(**{**item, "poisons": tuple(item["poisons"])})


def _written(module: Module, part: WrittenPart) -> Written:
    """An annotation whose inputs have the tokens of the columns here, or none that any column has."""
    annotation = Annotation(**{**part.annotation, "values": tuple(part.annotation["values"])})
    inputs = tuple((name, module.token(name) if fresh else -1) for name, fresh in part.inputs)
    return Written(annotation, part.by, inputs)
