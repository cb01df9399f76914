"""What the report says of rewrites: composites, their forms, and the verdict on each layer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import attrs
import numpy as np

import traceir as tir
from traceir import units


@attrs.frozen
class CompositeRow:
    """One composite: its members' ids in order, Σ of their durations, and the part that is no communication.

    `moved_ops` and `moved_ns` are the work between the halves of a decomposed collective, null for other forms.
    `basis` is guessed where metadata that the form compares is missing.
    """

    form: str
    kind: str
    members: tuple[int, ...]
    time_ns: int
    extra_ns: int
    note: str | None
    moved_ops: int | None
    moved_ns: int | None
    basis: str


@attrs.frozen
class FormRow:
    """All composites of one form and kind: how many, of how many collectives of that kind, and what they cost.

    `guessed` counts those of which the basis is guessed, `moved_ns` sums the work between halves (null: no form
    that moves any), `note` is what most of them say.
    """

    form: str
    kind: str
    count: int
    of: int
    extra_members: int
    time_ns: int
    extra_ns: int
    guessed: int
    moved_ns: int | None
    note: str | None


@attrs.frozen
class VerdictRow:
    """Whether a layer's reductions show the rewrite that is looked for: `state` is fired, partly or not.

    `layer` is its region, `fired` of its `sites` are rewritten; `blocked_by` says what stands in the way at the
    others, null where nothing does.
    """

    layer: str
    expected: str
    sites: int
    fired: int
    state: str
    blocked_by: str | None


def composites(module: tir.Module) -> tuple[CompositeRow, ...]:
    """All composites, in the order of the table. O(members)."""
    members = module["id"][module["coll.member"]]
    texts = [module.text(f"coll.{name}") for name in ("form", "of_kind", "note", "form_basis")]
    numbers = [
        [None if value == tir.NULL_I64 else value for value in module[f"coll.{name}"].tolist()]
        for name in ("moved_ops", "moved")
    ]
    times, extras = module["coll.time"].tolist(), module["coll.extra"].tolist()
    bounds = np.searchsorted(module["coll.composite"], np.arange(len(times) + 1))
    return tuple(
        CompositeRow(
            form or "", kind or "", tuple(members[bounds[at] : bounds[at + 1]].tolist()), times[at], extras[at], note,
            ops, moved, basis or "",
        )
        for at, (form, kind, note, basis, ops, moved) in enumerate(zip(*texts, *numbers, strict=True))
    )  # fmt: skip


def forms(module: tir.Module, items: Sequence[CompositeRow], by_kind: Mapping[str, int]) -> tuple[FormRow, ...]:
    """The composites by form and kind, in order of the table. O(composites)."""
    extra = Counter(module["coll.composite"][module["coll.is_extra"]].tolist())
    groups: dict[tuple[str, str], list[int]] = {}
    for at, item in enumerate(items):
        groups.setdefault((item.form, item.kind), []).append(at)
    out = []
    for (form, kind), which in groups.items():
        own = [items[at] for at in which]
        moved = [item.moved_ns for item in own if item.moved_ns is not None]
        notes = Counter(item.note for item in own if item.note)
        out.append(
            FormRow(
                form=form,
                kind=kind,
                count=len(own),
                of=by_kind.get(kind, 0),
                extra_members=sum(extra[at] for at in which),
                time_ns=sum(item.time_ns for item in own),
                extra_ns=sum(item.extra_ns for item in own),
                guessed=sum(item.basis == "guessed" for item in own),
                moved_ns=sum(moved) if moved else None,
                note=notes.most_common(1)[0][0] if notes else None,
            )
        )
    return tuple(out)


def verdicts(module: tir.Module) -> tuple[VerdictRow, ...]:
    """The verdict on each layer that reduces. O(layers)."""
    if not module.has_tree("layers"):
        return ()
    tree = module.tree("layers")
    texts = [module.text(f"coll.{name}") for name in ("expected", "state", "blocked_by")]
    numbers = [module[f"coll.{name}"].tolist() for name in ("layer", "sites", "fired")]
    return tuple(
        VerdictRow(tree.region_name(layer), expected or "", sites, fired, state or "", blocked)
        for expected, state, blocked, layer, sites, fired in zip(*texts, *numbers, strict=True)
    )


def form_block(rows: Sequence[FormRow]) -> tir.Block:
    """The forms as a table of the page."""
    told = tuple(
        (
            row.form,
            row.kind,
            units.count(row.count) if _is_whole(row) else f"{row.count} of {row.of}",
            units.time(row.time_ns),
            units.time(row.extra_ns),
            _remark(row),
        )
        for row in rows
    )
    return tir.Block(
        "composites", ("form", "kind", "count", "time", "of it no communication", "note"), told, detail=True
    )


def _is_whole(row: FormRow) -> bool:
    """Whether a composite amounts to a collective of its own and is not one of those counted by kind."""
    return row.form.startswith("decomposed") or row.count > row.of


def _remark(row: FormRow) -> str:
    parts = [] if row.moved_ns is None else [f"{units.time(row.moved_ns)} of work between the halves"]
    if row.guessed:
        parts.append("guessed" if row.guessed == row.count else f"{row.guessed} guessed")
    return "; ".join([*parts, *([row.note] if row.note else [])])


def verdict_block(rows: Sequence[VerdictRow]) -> tir.Block:
    """The verdicts as a table of the page: layers of one verdict share a row, the frequent ones first."""
    alike = Counter((row.expected, row.state, f"{row.fired} of {row.sites}", row.blocked_by) for row in rows)
    told = tuple(
        (expected, f"{count} of {len(rows)}", state, sites, _why(state, blocked))
        for (expected, state, sites, blocked), count in alike.most_common()
    )
    return tir.Block(
        "rewrites of reductions", ("rewrite", "layers", "fired", "reductions", "what blocks it"), told, detail=True
    )


def _why(state: str, blocked: str | None) -> str:
    return blocked or ("" if state == "fired" else "nothing")
