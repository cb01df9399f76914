"""Arguments of the rows of a database, decoded when somebody looks, by the names that the text export gives them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import attrs
import numpy as np

from traceir.ir import NULL_I64, Ints
from traceir_frontends.ascend import schema
from traceir_frontends.ascend.arguments import of_text
from traceir_frontends.tabular import Database, Frame, Texts


@attrs.frozen(eq=False)
class _Index:
    """The rows of a table by the task that they are of."""

    tasks: Ints
    columns: Mapping[str, Ints]

    @classmethod
    def of(cls, frame: Frame) -> _Index:
        """A table in the order of its tasks. O(n log n)."""
        tasks = frame.ints("globalTaskId")
        order = np.argsort(tasks, kind="stable")
        return cls(tasks[order], {name: frame.ints(name)[order] for name in frame.columns})

    def find(self, task: Any) -> dict[str, int]:
        """The row of a task without its nulls, empty if there is none. O(log n)."""
        at = int(np.searchsorted(self.tasks, task)) if isinstance(task, int) else len(self.tasks)
        if at == len(self.tasks) or int(self.tasks[at]) != task:
            return {}
        row = {name: int(column[at]) for name, column in self.columns.items()}
        return {name: value for name, value in row.items() if value != NULL_I64}


@attrs.define(eq=False)
class Decoder:
    """Makes of a row its own columns, what other tables say of it, and the common spelling of what they mean."""

    texts: Texts
    kernels: Frame
    copies: Frame
    _kernel: _Index = attrs.field(init=False)
    _copy: _Index = attrs.field(init=False)

    @classmethod
    def read(cls, database: Database) -> Decoder:
        """What decoding needs of a file."""
        columns = ("name", "globalTaskId", *schema.COMPUTE_TEXTS, *schema.COMPUTE_NUMBERS)
        copies = database.read("MEMCPY_INFO", ("globalTaskId", "size"))
        return cls(Texts.read(database, schema.FORMAT), database.read(schema.COMPUTE, columns), copies)

    def __attrs_post_init__(self) -> None:
        self._kernel, self._copy = _Index.of(self.kernels), _Index.of(self.copies)

    def __call__(self, table: str, row: Mapping[str, Any]) -> Mapping[str, Any]:
        """The arguments of one row."""
        out = schema.FORMAT.decode(table, row, self.texts.get)
        name = ""
        if table in schema.PYTORCH.names:
            _unswap(out)
        if table == "TASK":
            out |= self._task(row.get("globalTaskId"))
        elif table == "COMMUNICATION_OP":
            name = self._text(row.get("opName")) or ""
            data_type = row.get("dataType")
            out["data_type"] = schema.DATA_TYPES.get(data_type, "") if isinstance(data_type, int) else ""
            out.setdefault("alg_type", "")
        elif table == schema.PARTS:
            out |= self._part(row)
        return of_text(name, out)

    def _task(self, number: Any) -> dict[str, Any]:
        """What is known of a kernel or copy."""
        kernel, copy = self._kernel.find(number), self._copy.find(number)
        out: dict[str, Any] = {key: self._text(kernel.get(column)) for column, key in schema.COMPUTE_TEXTS.items()}
        out |= {key: kernel[column] for column, key in schema.COMPUTE_NUMBERS.items() if column in kernel}
        out["size(Byte)"] = copy.get("size")
        return {key: value for key, value in out.items() if value is not None}

    def _part(self, row: Mapping[str, Any]) -> dict[str, Any]:
        out: dict[str, Any] = {key: self._text(row.get(column)) for column, key in schema.PART_TEXTS.items()}
        out["size(Byte)"] = row.get("size")
        for column, key, words in (
            ("transportType", "transport type", schema.TRANSPORTS), ("linkType", "link type", schema.LINKS),
            ("dataType", "data type", schema.DATA_TYPES),
        ):  # fmt: skip
            value = row.get(column)
            out[key] = words.get(value) if isinstance(value, int) else None
        return {key: value for key, value in out.items() if value is not None}

    def _text(self, id: Any) -> str | None:
        return self.texts.get(id) if isinstance(id, int) else None


_LETTER: Final = re.compile(r"[A-Za-z]")


def _unswap(out: dict[str, Any]) -> None:
    """Put shapes and types in their places: some versions write each into the column of the other."""
    shapes, types = out.get("Input Dims"), out.get("Input type")
    if isinstance(shapes, str) and isinstance(types, str) and _LETTER.search(shapes) and not _LETTER.search(types):
        out["Input Dims"], out["Input type"] = types, shapes
