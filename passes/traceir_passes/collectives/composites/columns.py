"""The tables of composites and of their members."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

import traceir as tir
from traceir.ir import Array
from traceir_passes.collectives.composites.base import Composite
from traceir_passes.collectives.instances import BASES
from traceir_passes.collectives.vocabulary import KINDS

COMPOSITES: Final = "table:composites"
MEMBERS: Final = "table:composite_members"

WRITES: Final = (
    tir.Annotation("coll.form", COMPOSITES, "str", doc="What the composite is, such as staged."),
    tir.Annotation("coll.of_kind", COMPOSITES, "enum", values=KINDS, doc="The kind that it amounts to."),
    tir.Annotation("coll.time", COMPOSITES, "i64", "ns", "Sum of its members' durations."),
    tir.Annotation("coll.extra", COMPOSITES, "i64", "ns", "The part of it that is no communication, such as copies."),
    tir.Annotation(
        "coll.moved_ops", COMPOSITES, "i64", "events", "Work between its halves.", "its form moves nothing"
    ),
    tir.Annotation(
        "coll.moved", COMPOSITES, "i64", "ns", "Sum of the durations of the work between its halves.",
        "its form moves nothing",
    ),
    tir.Annotation(
        "coll.form_basis", COMPOSITES, "enum", values=BASES,
        doc="How sure the form is: guessed where metadata that it compares is missing.",
    ),
    tir.Annotation("coll.note", COMPOSITES, "str", doc="What else is known of it.", null="nothing"),
    tir.Annotation("coll.composite", MEMBERS, "id", unit=COMPOSITES, doc="The composite."),
    tir.Annotation("coll.member", MEMBERS, "id", doc="An event of it, in order."),
    tir.Annotation("coll.is_extra", MEMBERS, "bool", doc="The event is no communication."),
)  # fmt: skip


def write(module: tir.Module, composites: Sequence[Composite]) -> tir.Module:
    """The module with the composites as two tables. O(members)."""
    dur = module["dur"]

    def total(rows: tuple[int, ...]) -> int:
        return int(dur[list(rows)].sum())

    strings, forms = module.strings.encode([item.form for item in composites])
    strings, notes = strings.encode([item.note or None for item in composites])
    moved = [item.moved for item in composites]
    module = module.with_strings(strings).with_table(
        "composites",
        {
            "coll.form": forms,
            "coll.of_kind": np.array([KINDS.index(item.kind) for item in composites], np.int16),
            "coll.time": np.array([total(item.members) for item in composites], np.int64),
            "coll.extra": np.array([total(item.extra) for item in composites], np.int64),
            "coll.moved_ops": np.array([tir.NULL_I64 if rows is None else len(rows) for rows in moved], np.int64),
            "coll.moved": np.array([tir.NULL_I64 if rows is None else total(rows) for rows in moved], np.int64),
            "coll.form_basis": np.array(
                [BASES.index("guessed" if item.guessed else "derived") for item in composites], np.int16
            ),
            "coll.note": notes,
        },
    )
    return module.with_table("composite_members", _members(composites))


def _members(composites: Sequence[Composite]) -> dict[str, Array]:
    pairs = [(at, row, row in item.extra) for at, item in enumerate(composites) for row in item.members]
    owner, member, extra = zip(*pairs, strict=True) if pairs else ((), (), ())
    return {
        "coll.composite": np.array(owner, np.int32),
        "coll.member": np.array(member, np.int32),
        "coll.is_extra": np.array(extra, bool),
    }
