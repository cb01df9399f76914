"""What the trace says of each piece of communication: metadata, the operators around its launch, its name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import attrs
import numpy as np
import numpy.typing as npt

import traceir as tir
from traceir.ir import kinds
from traceir_passes.collectives.vocabulary import KINDS, UNKNOWN, kind_of_operator, kind_of_word, starts_data

RECORD: Final = "record_param_comms"
LARGEST: Final = 1 << 56
"""No real size, in elements or bytes, is as large; a number that is means damage and counts as unknown."""
Ints = npt.NDArray[Any]


@attrs.define(eq=False)
class Around:
    """Rows around the launch of each piece of communication, -1 where there is none; one entry per piece.

    `operator` is the innermost operator or range that names a kind, `record` the communication record, `data`
    the innermost one whose first input is what is moved, `backward` whether autograd's engine launched it. `kind`
    are positions in `KINDS`.
    """

    operator: Ints
    record: Ints
    data: Ints
    kind: Ints
    backward: npt.NDArray[np.bool_]


@attrs.define(eq=False)
class _Names:
    """What host events' names tell, read when first met: tables by the code of the name."""

    strings: tir.Strings
    read: npt.NDArray[np.bool_]
    kind: Ints
    data: npt.NDArray[np.bool_]
    backward: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, strings: tir.Strings) -> _Names:
        n = len(strings)
        kind = np.full(n, KINDS.index(UNKNOWN), np.int16)
        return cls(strings, np.zeros(n, bool), kind, np.zeros(n, bool), np.zeros(n, bool))

    def learn(self, codes: Ints) -> None:
        for code in np.unique(codes[~self.read[codes]]).tolist():
            name = self.strings[code]
            self.read[code] = True
            self.kind[code] = KINDS.index(kind_of_operator(name))
            self.data[code], self.backward[code] = starts_data(name), name.startswith("autograd::engine::")


def around(module: tir.Module, rows: Ints) -> Around:
    """Climb from the launch of each row through its callers. O(rows × depth), vectorised over rows.

    What surrounds a graph launch was recorded at another time, so such rows get nothing.
    """
    n = len(rows)
    none = KINDS.index(UNKNOWN)
    operator, record_at, data = (np.full(n, -1, np.int64) for _ in range(3))
    out = Around(operator, record_at, data, np.full(n, none, np.int16), np.zeros(n, bool))
    at = module.launch[rows].astype(np.int64)
    at[(at >= 0) & module.is_kind("rt.graph_launch")[at]] = -1
    hosts, names, caller = module.is_kind("host.op", "host.range"), module["name"], module.caller
    known, record = _Names.of(module.strings), module.strings.code(RECORD)
    active = np.flatnonzero(at >= 0)
    while len(active):
        told = active[hosts[at[active]]]
        codes = names[at[told]]
        known.learn(codes)
        first = told[(known.kind[codes] != none) & (out.operator[told] < 0)]
        out.operator[first], out.kind[first] = at[first], known.kind[names[at[first]]]
        for column, holds in ((out.record, codes == record), (out.data, known.data[codes])):
            first = told[holds & (column[told] < 0)]
            column[first] = at[first]
        out.backward[told] |= known.backward[codes]
        at[active] = caller[at[active]]
        active = active[at[active] >= 0]
    _join_orphans(module, rows, out)
    return out


def _join_orphans(module: tir.Module, rows: Ints, out: Around) -> None:
    """Join rows without a launch to their communication record by the external id that both carry."""
    code = module.strings.code(RECORD)
    lost = np.flatnonzero((module.launch[rows] < 0) & (out.record < 0))
    records = np.flatnonzero((module["name"] == code) & module.live) if code >= 0 else np.empty(0, np.int64)
    if not len(lost) or not len(records):
        return
    mine = tir.Selection(module, rows[lost]).field("external_id")
    theirs = tir.Selection(module, records).field("external_id")
    by_id = {key: int(row) for key, row in zip(theirs, records.tolist(), strict=True) if key}
    for position, key in zip(lost.tolist(), mine, strict=True):
        out.record[position] = by_id.get(key, -1)


_NUMBERS: Final = frozenset({"in_elements", "out_elements", "group_size", "sequence"})


@attrs.frozen
class Message:
    """What metadata says that a collective moves; None where it says nothing."""

    word: str | None = None
    in_elements: int | None = None
    out_elements: int | None = None
    dtype: str | None = None
    group: str | None = None
    group_size: int | None = None
    ranks: str | None = None
    sequence: int | None = None

    @property
    def kind(self) -> str:
        """The kind that the metadata's word stands for."""
        return kind_of_word(self.word) if self.word else UNKNOWN


_FIELDS: Final = {
    "word": "collective",
    "in_elements": "in_elements",
    "out_elements": "out_elements",
    "dtype": "dtype",
    "group": "group",
    "group_size": "group_size",
    "ranks": "group_ranks",
    "sequence": "sequence",
}


def messages(module: tir.Module, rows: Ints, record: Ints) -> list[Message]:
    """The metadata of each row: its own, completed by its communication record. Decodes only these events."""
    own = tir.Selection(module, rows).args()
    has = np.flatnonzero(record >= 0)
    wanted, inverse = np.unique(record[has], return_inverse=True)
    recorded = tir.Selection(module, wanted).args() if len(wanted) else []
    other = dict(zip(has.tolist(), inverse.tolist(), strict=True))
    keys = dict(zip(_FIELDS, _keys_of(kinds.DevKernel, _FIELDS.values()), strict=True))
    return [_message(args, recorded[other[at]] if at in other else {}, keys) for at, args in enumerate(own)]


def _message(own: Mapping[str, Any], record: Mapping[str, Any], fields: Mapping[str, tuple[str, ...]]) -> Message:
    if not own and not record:
        return Message()
    values: dict[str, Any] = {}
    for name, keys in fields.items():
        found = _value(own, keys)
        found = _value(record, keys) if found is None else found
        values[name] = _number(found) if name in _NUMBERS else _text(found)
    return Message(**values)


def _number(value: Any) -> int | None:
    return _sane(value) if isinstance(value, int) and not isinstance(value, bool) else None


def _text(value: Any) -> str | None:
    return str(value) if isinstance(value, str | int | list) else None


@attrs.frozen
class Input:
    """An operator's first input: elements in all, their type, and how many tensors it is a list of; None if unknown."""

    elements: int | None = None
    dtype: str | None = None
    tensors: int | None = None


def first_inputs(module: tir.Module, rows: Ints) -> dict[int, Input]:
    """For each operator row its first input."""
    distinct = np.unique(rows[rows >= 0])
    if not len(distinct):
        return {}
    # Ranges record inputs under the same keys as operators do.
    shape, kind = _keys_of(kinds.HostOp, ("input_dims", "input_types"))
    args = tir.Selection(module, distinct).args()
    return {
        row: Input(_elements(_value(told, shape)), _first(_value(told, kind)), _tensors(_value(told, shape)))
        for row, told in zip(distinct.tolist(), args, strict=True)
    }


def _keys_of(kind: type, names: Iterable[str]) -> list[tuple[str, ...]]:
    """The source keys of some fields of a kind's side table."""
    fields = {field.name: tuple(field.metadata["keys"]) for field in attrs.fields(kind)}
    return [fields[name] for name in names]


def _value(args: Mapping[str, Any], keys: Iterable[str]) -> Any:
    return next((args[key] for key in keys if key in args), None)


def _first(value: Any) -> str | None:
    head = value[0] if isinstance(value, list) and value else None
    return head if isinstance(head, str) and head else None


def _tensors(shapes: Any) -> int | None:
    """How many tensors the first input is a list of; None where it is one tensor, or nothing is recorded."""
    head = shapes[0] if isinstance(shapes, list) and shapes else None
    listed = isinstance(head, list) and bool(head) and all(isinstance(item, list) for item in head)
    return len(head) if listed and isinstance(head, list) else None


def _elements(shapes: Any) -> int | None:
    """The elements of the first tensor, or of all tensors if the first input is a list of them."""
    head = shapes[0] if isinstance(shapes, list) and shapes else None
    if not isinstance(head, list) or not head:
        return None
    if all(isinstance(item, list) for item in head):
        parts = [_elements([item]) for item in head]
        return None if any(part is None for part in parts) else _sane(sum(part for part in parts if part is not None))
    if not all(isinstance(item, int) and not isinstance(item, bool) for item in head):
        return None
    out = 1
    for item in head:
        out *= item
    return _sane(out)


def _sane(number: int) -> int | None:
    return number if 0 <= number < LARGEST else None
