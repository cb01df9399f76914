"""What collectives found, as a pure function of the module."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import attrs
import numpy as np

import traceir as tir
from traceir import units
from traceir_passes.collectives.laws import Counted, Law, laws
from traceir_passes.collectives.vocabulary import KINDS


@attrs.frozen(kw_only=True)
class InstanceRow:
    """One collective: its first event's id, what it is, what it moves, when it runs. Null where nothing says so."""

    event: int
    kind: str
    role: str | None
    library: str | None
    algorithm: str | None
    protocol: str | None
    group: str | None
    group_size: int | None
    in_elements: int | None
    out_elements: int | None
    bytes: int | None
    dtype: str | None
    start_ns: int
    dur_ns: int
    kernels: int
    source: str | None
    basis: str | None


@attrs.frozen
class CompositeRow:
    """One composite: its members' ids in order, Σ of their durations, and the part that is no communication."""

    form: str
    kind: str
    members: tuple[int, ...]
    time_ns: int
    extra_ns: int
    note: str | None


@attrs.frozen
class FormRow:
    """All composites of one form and kind: how many, of how many collectives of that kind, and what they cost."""

    form: str
    kind: str
    count: int
    of: int
    extra_members: int
    time_ns: int
    extra_ns: int


@attrs.frozen
class CollectivesReport(tir.Report):
    """All collectives, composites made of them, and count laws.

    `count` and `by_kind` count instances, unknown ones too. `time_ns` is Σ of durations of communication on
    devices, of it `meta_ns` notifications that move no data. `statement` says it in words where there are none.
    """

    count: int
    by_kind: dict[str, int]
    by_library: dict[str, int]
    time_ns: int
    meta_ns: int
    statement: str | None
    instances: tuple[InstanceRow, ...]
    composites: tuple[CompositeRow, ...]
    forms: tuple[FormRow, ...]
    laws: tuple[Law, ...]

    def headline(self) -> Sequence[tir.Fact]:
        """How many collectives there are and of what kinds, and each law that is broken."""
        if not self.count:
            return (tir.Fact("collectives", "none", "text"),)
        kinds = ", ".join(f"{count} {kind}" for kind, count in self.by_kind.items())
        broken = [law for law in self.laws if law.holds is False]
        facts = [tir.Fact("collectives", self.count, "count", note=kinds)]
        return facts + [
            tir.Fact("law broken", law.law, "text", note=f"expected {law.expected}, found {law.found}")
            for law in broken
        ]

    def blocks(self) -> Sequence[tir.Block]:
        """Composites by form, and the laws."""
        out = []
        if self.forms:
            rows = tuple(
                (
                    form.form,
                    form.kind,
                    f"{form.count} of {form.of}",
                    units.time(form.time_ns),
                    units.time(form.extra_ns),
                )
                for form in self.forms
            )
            out.append(tir.Block("composites", ("form", "kind", "count", "time", "of it no communication"), rows))
        if self.count and self.laws:
            columns = ("law", "steps", "expected", "found", "holds")
            out.append(tir.Block("count laws", columns, tuple(_told(self.laws))))
        return out


def _told(laws: Sequence[Law]) -> Iterator[tuple[str, ...]]:
    """A row per law and outcome, the broken ones first; steps in which it came out the same share a row."""
    alike: dict[tuple[str, str, str, str], list[Law]] = {}
    for law in sorted(laws, key=lambda law: law.holds is not False):
        alike.setdefault((law.law, str(law.expected), str(law.found), _verdict(law)), []).append(law)
    for (name, expected, found, verdict), same in alike.items():
        steps = same[0].step or "all"
        yield name, steps + (f" and {len(same) - 1} more" if len(same) > 1 else ""), expected, found, verdict


def _verdict(law: Law) -> str:
    return {True: "yes", False: "no", None: "cannot be said"}[law.holds] + (f" ({law.note})" if law.note else "")


def counted(module: tir.Module) -> Counted:
    """The collectives as laws count them. O(instances)."""
    rows = module["coll.event"]
    elements = module["coll.in_elements"].tolist()
    roles = module.strings.decode(module["infer.role"][rows])
    return Counted(
        rows=rows,
        kinds=[KINDS[code] for code in module["coll.kind"][rows].tolist()],
        roles=[role or "" for role in roles],
        elements=[None if value == tir.NULL_I64 else value for value in elements],
        groups=module.text("coll.group"),
        backward=module["coll.backward"],
    )


def report(module: tir.Module) -> CollectivesReport:
    """The report of a module that `collectives` has annotated. O(n)."""
    told = counted(module)
    on_device = module.work & (module["coll.kind"] >= 0)
    meta = on_device & module.is_in("infer.role", ["comm-meta"])
    composites = _composites(module)
    return CollectivesReport(
        count=len(told.kinds),
        by_kind=_ranked(told.kinds),
        by_library=_ranked(name or "unknown" for name in module.text("coll.library")),
        time_ns=int(module["dur"][on_device].sum()),
        meta_ns=int(module["dur"][meta].sum()),
        statement=None if told.kinds else "no collectives",
        instances=tuple(_instances(module, told)),
        composites=composites,
        forms=_forms(composites, module, told),
        laws=tuple(laws(module, told)),
    )


def _ranked(words: Any) -> dict[str, int]:
    return dict(sorted(Counter(words).items(), key=lambda pair: (-pair[1], pair[0])))


def _instances(module: tir.Module, told: Counted) -> list[InstanceRow]:
    start, end = _extents(module, len(told.kinds))
    numbers = {
        name: [None if value == tir.NULL_I64 else value for value in module[f"coll.{name}"].tolist()]
        for name in ("group_size", "in_elements", "out_elements", "bytes", "kernels")
    }
    texts = {
        name: module.text(f"coll.{name}")
        for name in ("library", "algorithm", "protocol", "group", "dtype", "source", "basis")
    }
    ids = module["id"][told.rows].tolist()
    return [
        InstanceRow(
            event=ids[at],
            kind=told.kinds[at],
            role=told.roles[at] or None,
            start_ns=start[at],
            dur_ns=end[at] - start[at],
            **{name: values[at] for name, values in (numbers | texts).items()},  # type: ignore[arg-type]
        )
        for at in range(len(told.kinds))
    ]


def _extents(module: tir.Module, count: int) -> tuple[list[int], list[int]]:
    """First start and last end of each instance; notifications that were joined to it do not count."""
    number = module["coll.instance"]
    rows = np.flatnonzero((number >= 0) & ~module.is_in("infer.role", ["comm-meta"]))
    start = np.full(count, np.iinfo(np.int64).max)
    end = np.full(count, np.iinfo(np.int64).min)
    np.minimum.at(start, number[rows], module["ts"][rows])
    np.maximum.at(end, number[rows], module.end[rows])
    return start.tolist(), end.tolist()


def _composites(module: tir.Module) -> tuple[CompositeRow, ...]:
    forms, kinds, notes = module.text("coll.form"), module.text("coll.of_kind"), module.text("coll.note")
    times, extras = module["coll.time"].tolist(), module["coll.extra"].tolist()
    members = module["id"][module["coll.member"]]
    bounds = np.searchsorted(module["coll.composite"], np.arange(len(forms) + 1))
    return tuple(
        CompositeRow(
            forms[at] or "", kinds[at] or "", tuple(members[bounds[at] : bounds[at + 1]].tolist()),
            times[at], extras[at], notes[at],
        )
        for at in range(len(forms))
    )  # fmt: skip


def _forms(composites: Sequence[CompositeRow], module: tir.Module, told: Counted) -> tuple[FormRow, ...]:
    total = Counter(told.kinds)
    groups: dict[tuple[str, str], list[CompositeRow]] = {}
    for item in composites:
        groups.setdefault((item.form, item.kind), []).append(item)
    counts = Counter(module["coll.composite"][module["coll.is_extra"]].tolist())
    numbers: dict[tuple[str, str], int] = Counter()
    for at, item in enumerate(composites):
        numbers[item.form, item.kind] += counts[at]
    return tuple(
        FormRow(
            form, kind, len(items), total[kind], numbers[form, kind],
            sum(item.time_ns for item in items), sum(item.extra_ns for item in items),
        )
        for (form, kind), items in groups.items()
    )  # fmt: skip
