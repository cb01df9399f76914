"""The columns that `collectives` writes, and how the findings become columns."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np

import traceir as tir
from traceir_passes.collectives.instances import BASES, SOURCES, Found, Instance
from traceir_passes.collectives.vocabulary import KINDS

INSTANCES: Final = "table:collectives"
NONE: Final = "the trace does not say"

_EVENT: Final = (
    tir.Annotation(
        "coll.kind", dtype="enum", values=KINDS, null="no communication, or removed",
        doc="The kind of collective operation.",
    ),
    tir.Annotation(
        "coll.instance", dtype="id", unit=INSTANCES, null="no communication, removed, or of no instance",
        doc="The collective operation that it is, or is a part of.",
    ),
)  # fmt: skip
_TEXTS: Final = {
    "library": "The library whose kernel it is.",
    "algorithm": "The algorithm that the name gives, such as ring.",
    "protocol": "The protocol that the name gives, such as LL.",
    "group": "The name of the process group.",
    "ranks": "The ranks of the process group, as recorded.",
    "dtype": "The type of the elements.",
    "conflict": "How the sources of the kind contradict each other.",
}
_NUMBERS: Final = {
    "group_size": ("ranks", "How many ranks the process group has."),
    "sequence": ("", "The sequence number of the operation in its group."),
    "in_elements": ("elements", "What one rank puts in."),
    "out_elements": ("elements", "What one rank gets."),
    "bytes": ("B", "The buffer of one rank: output of a gather, else input."),
    "kernels": ("kernels", "How many events it consists of."),
    "members": ("operations", "How many operations one coalesced call joins."),
    "hook": ("ns", "How long its receiving half takes, where that is an event of its own: its wait is there."),
}


def _instance_columns() -> tuple[tir.Annotation, ...]:
    texts = [
        tir.Annotation(f"coll.{name}", INSTANCES, "str", doc=doc, null="none" if name == "conflict" else NONE)
        for name, doc in _TEXTS.items()
    ]
    numbers = [
        tir.Annotation(f"coll.{name}", INSTANCES, "i64", unit, doc, NONE) for name, (unit, doc) in _NUMBERS.items()
    ]
    return (
        tir.Annotation("coll.event", INSTANCES, "id", doc="Its first event."),
        *texts,
        *numbers,
        tir.Annotation(
            "coll.source", INSTANCES, "enum", doc="Where the kind is from.", null="kind unknown", values=SOURCES
        ),
        tir.Annotation("coll.basis", INSTANCES, "enum", doc="How sure the kind is.", null="kind unknown", values=BASES),
        tir.Annotation("coll.backward", INSTANCES, "bool", doc="Autograd's engine started it."),
    )  # fmt: skip


WRITES: Final = (*_EVENT, *_instance_columns())


def write(module: tir.Module, found: Found) -> tir.Module:
    """The module with the collectives as columns and tables. O(events + communication)."""
    kind, instance = np.full(len(module), -1, np.int16), np.full(len(module), -1, np.int32)
    kind[found.rows], instance[found.rows] = found.kind, found.instance
    module = module.with_columns({"coll.kind": kind, "coll.instance": instance})
    return _write_instances(module, found.instances)


def _write_instances(module: tir.Module, instances: Sequence[Instance]) -> tir.Module:
    columns: dict[str, Any] = {"coll.event": np.array([item.row for item in instances], np.int32)}
    for name in _TEXTS:
        strings, columns[f"coll.{name}"] = module.strings.encode(list(map(operator.attrgetter(name), instances)))
        module = module.with_strings(strings)
    for name in _NUMBERS:
        values = map(operator.attrgetter(name), instances)
        columns[f"coll.{name}"] = np.array([tir.NULL_I64 if v is None else v for v in values], np.int64)
    columns["coll.source"] = _codes(instances, lambda item: item.source, SOURCES)
    columns["coll.basis"] = _codes(instances, lambda item: item.basis, BASES)
    columns["coll.backward"] = np.array([item.backward for item in instances], bool)
    return module.with_table("collectives", columns)


def _codes(items: Sequence[Instance], value: Callable[[Instance], str | None], values: tuple[str, ...]) -> Any:
    texts = [value(item) for item in items]
    return np.array([-1 if text is None else values.index(text) for text in texts], np.int16)
