"""The columns that `collectives` writes, and how the findings become columns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np

import traceir as tir
from traceir_passes.collectives.composites import Composite
from traceir_passes.collectives.instances import BASES, SOURCES, Found, Instance
from traceir_passes.collectives.vocabulary import KINDS

INSTANCES: Final = "table:collectives"
COMPOSITES: Final = "table:composites"
MEMBERS: Final = "table:composite_members"
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
    )


_COMPOSITE: Final = (
    tir.Annotation("coll.form", COMPOSITES, "str", doc="What the composite is, such as staged."),
    tir.Annotation("coll.of_kind", COMPOSITES, "enum", values=KINDS, doc="The kind that it amounts to."),
    tir.Annotation("coll.time", COMPOSITES, "i64", "ns", "Sum of its members' durations."),
    tir.Annotation("coll.extra", COMPOSITES, "i64", "ns", "The part of it that is no communication, such as copies."),
    tir.Annotation("coll.note", COMPOSITES, "str", doc="What else is known of it.", null="nothing"),
)
_MEMBER: Final = (
    tir.Annotation("coll.composite", MEMBERS, "id", unit=COMPOSITES, doc="The composite."),
    tir.Annotation("coll.member", MEMBERS, "id", doc="An event of it, in order."),
    tir.Annotation("coll.is_extra", MEMBERS, "bool", doc="The event is no communication."),
)
WRITES: Final = (*_EVENT, *_instance_columns(), *_COMPOSITE, *_MEMBER)


def write(module: tir.Module, found: Found, composites: Sequence[Composite]) -> tir.Module:
    """The module with the collectives as columns and tables. O(events + communication)."""
    kind, instance = np.full(len(module), -1, np.int16), np.full(len(module), -1, np.int32)
    kind[found.rows], instance[found.rows] = found.kind, found.instance
    module = module.with_columns({"coll.kind": kind, "coll.instance": instance})
    return _write_composites(_write_instances(module, found.instances), composites)


def _write_instances(module: tir.Module, instances: Sequence[Instance]) -> tir.Module:
    columns: dict[str, Any] = {"coll.event": np.array([item.row for item in instances], np.int32)}
    for name in _TEXTS:
        strings, columns[f"coll.{name}"] = module.strings.encode([getattr(item, name) for item in instances])
        module = module.with_strings(strings)
    for name in _NUMBERS:
        values = (getattr(item, name) for item in instances)
        columns[f"coll.{name}"] = np.array([tir.NULL_I64 if v is None else v for v in values], np.int64)
    columns["coll.source"] = _codes(instances, lambda item: item.source, SOURCES)
    columns["coll.basis"] = _codes(instances, lambda item: item.basis, BASES)
    columns["coll.backward"] = np.array([item.backward for item in instances], bool)
    return module.with_table("collectives", columns)


def _codes(items: Sequence[Instance], value: Callable[[Instance], str | None], values: tuple[str, ...]) -> Any:
    texts = [value(item) for item in items]
    return np.array([-1 if text is None else values.index(text) for text in texts], np.int16)


def _write_composites(module: tir.Module, composites: Sequence[Composite]) -> tir.Module:
    dur = module["dur"]
    strings, forms = module.strings.encode([item.form for item in composites])
    strings, notes = strings.encode([item.note or None for item in composites])
    module = module.with_strings(strings).with_table(
        "composites",
        {
            "coll.form": forms,
            "coll.of_kind": np.array([KINDS.index(item.kind) for item in composites], np.int16),
            "coll.time": np.array([int(dur[list(item.members)].sum()) for item in composites], np.int64),
            "coll.extra": np.array([int(dur[list(item.extra)].sum()) for item in composites], np.int64),
            "coll.note": notes,
        },
    )
    pairs = [(at, row, row in item.extra) for at, item in enumerate(composites) for row in item.members]
    owner, member, extra = zip(*pairs, strict=True) if pairs else ((), (), ())
    return module.with_table(
        "composite_members",
        {
            "coll.composite": np.array(owner, np.int32),
            "coll.member": np.array(member, np.int32),
            "coll.is_extra": np.array(extra, bool),
        },
    )
