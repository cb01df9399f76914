"""What the trace says of each piece of communication: metadata, the operators around its launch, its name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
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
_AT_ONCE: Final = 1 << 14
"""Collectives whose arguments are decoded together: a thousand take some megabytes. Few parts are better, since in a
compressed source what belongs to one part may lie anywhere."""
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


_SILENCE: Final = Message()


@attrs.frozen
class Input:
    """An operator's first input: elements in all, their type, and how many tensors it is a list of; None if unknown."""

    elements: int | None = None
    dtype: str | None = None
    tensors: int | None = None


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


def messages_and_inputs(
    module: tir.Module, rows: Ints, record: Ints, data: Ints
) -> Iterator[tuple[Message, Input | None]]:
    """The metadata of each row, its own completed by its communication record, and the first input of its `data`.

    Where `data` is -1 there is no input. Decodes only these events, those of many rows together, so that each part of
    the source is read once.
    """
    keys = dict(zip(_FIELDS, _keys_of(kinds.DevKernel, _FIELDS.values()), strict=True))
    known = frozenset(key for several in keys.values() for key in several)
    shape, kind = _keys_of(kinds.HostOp, ("input_dims", "input_types"))  # ranges record inputs under the same keys
    for begin in range(0, len(rows), _AT_ONCE):
        mine = [values[begin : begin + _AT_ONCE].tolist() for values in (rows, record, data)]
        wanted = sorted({row for values in mine for row in values if row >= 0})
        args = dict(zip(wanted, tir.Selection(module, np.array(wanted, np.int64)).args(), strict=True))
        inputs: dict[int, Input | None] = {
            at: _input(args[at], shape, kind) if at >= 0 else None for at in dict.fromkeys(mine[2])
        }
        for row, recorded, moved in zip(*mine, strict=True):
            yield _message(args[row], args[recorded] if recorded >= 0 else {}, keys, known), inputs[moved]


def _message(
    own: Mapping[str, Any], record: Mapping[str, Any], fields: Mapping[str, tuple[str, ...]], known: frozenset[str]
) -> Message:
    """What an event and its record say by some fields' keys; `known` are all of these."""
    told = [args for args in (own, record) if not known.isdisjoint(args)]
    if not told:
        return _SILENCE
    values: dict[str, Any] = {}
    for name, keys in fields.items():
        for args in told:
            found = _value(args, keys)
            if found is not None:
                values[name] = _number(found) if name in _NUMBERS else _text(found)
                break
    return Message(**values)


def _number(value: Any) -> int | None:
    return _sane(value) if isinstance(value, int) and not isinstance(value, bool) else None


def _text(value: Any) -> str | None:
    return str(value) if isinstance(value, str | int | list) else None


def first_inputs(module: tir.Module, rows: Ints) -> dict[int, Input]:
    """For each operator row its first input."""
    distinct = np.unique(rows[rows >= 0])
    if not len(distinct):
        return {}
    shape, kind = _keys_of(kinds.HostOp, ("input_dims", "input_types"))
    args = tir.Selection(module, distinct).args()
    return {row: _input(told, shape, kind) for row, told in zip(distinct.tolist(), args, strict=True)}


def _input(args: Mapping[str, Any], shape: Iterable[str], kind: Iterable[str]) -> Input:
    shapes = _value(args, shape)
    return Input(_elements(shapes), _first(_value(args, kind)), _tensors(shapes))


def _keys_of(kind: type, names: Iterable[str]) -> list[tuple[str, ...]]:
    """The source keys of some fields of a kind's side table."""
    fields = {field.name: tuple(field.metadata["keys"]) for field in attrs.fields(kind)}
    return [fields[name] for name in names]


def _value(args: Mapping[str, Any], keys: Iterable[str]) -> Any:
    for key in keys:
        if key in args:
            return args[key]
    return None


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
