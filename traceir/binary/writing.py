"""Writing a module as a `.tirb` file."""

from __future__ import annotations

import json
from typing import IO, Any

import attrs
import msgspec
import numpy as np

import traceir
from traceir.binary.layout import (
    MAGIC,
    VERSION,
    ColumnPart,
    Header,
    TablePart,
    WrittenPart,
    checksum,
    digest,
    padded,
)
from traceir.ir import Module


def write(module: Module, out: IO[bytes]) -> None:
    """Write a module, its annotations and findings included. O(bytes of its columns).

    Not written are the arguments of events: they stay in the input that the module names as its source.
    """
    data: list[np.ndarray[Any, Any]] = []
    at = 0

    def place(values: np.ndarray[Any, Any]) -> ColumnPart:
        nonlocal at
        plain = np.ascontiguousarray(values).astype(values.dtype.newbyteorder("<"), copy=False)
        part = ColumnPart(plain.dtype.str, at, plain.nbytes, checksum(plain))
        data.append(plain)
        at += padded(plain.nbytes)
        return part

    tables = {
        name: TablePart(table.length, {column: place(table[column]) for column in table})
        for name, table in module.tables.items()
    }
    encoded = [text.encode("utf-8", "surrogatepass") for text in module.strings.texts]
    ends = np.cumsum(np.array([len(text) for text in encoded], np.int64))
    texts = place(np.frombuffer(b"".join(encoded), np.uint8)), place(ends)
    # Texts of a trace may hold lone surrogates; escaped, two of them would be read back as one character.
    header = json.dumps(msgspec.to_builtins(_header(module, tables, texts)), separators=(",", ":"), ensure_ascii=False)
    raw = header.encode("utf-8", "surrogatepass")
    out.write(MAGIC + len(raw).to_bytes(8, "little") + digest(raw) + raw)
    for values in data:
        out.write(values.data if values.size else b"")
        out.write(bytes(padded(values.nbytes) - values.nbytes))


def _header(module: Module, tables: dict[str, TablePart], texts: tuple[ColumnPart, ColumnPart]) -> Header:
    source = module.source
    annotations = {
        name: WrittenPart(
            attrs.asdict(written.annotation),
            written.by,
            [(column, module.token(column) == token) for column, token in written.inputs],
        )
        for name, written in module.annotations.items()
    }
    return Header(
        version=VERSION,
        traceir=traceir.__version__,
        name=module.name,
        meta=dict(module.meta),
        kinds=list(module.kinds),
        lanes=[attrs.asdict(lane) for lane in module.lanes],
        texts=texts,
        tables=tables,
        annotations=annotations,
        passes=[attrs.asdict(record) for record in module.passes],
        health=[attrs.asdict(finding) for finding in module.health],
        frontend=source.frontend if source is not None else None,
        path=source.path if source is not None else None,
    )
