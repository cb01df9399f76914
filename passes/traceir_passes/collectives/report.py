"""What collectives found, as a pure function of the module."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Final

import attrs
import numpy as np

import traceir as tir
from traceir import units
from traceir_passes.collectives import rewrites
from traceir_passes.collectives.instances import BASES
from traceir_passes.collectives.laws import Counted, Law, laws
from traceir_passes.collectives.timing import extents
from traceir_passes.collectives.vocabulary import KINDS, UNKNOWN

MOST_PLACES: Final = 3
MOST_SIZES: Final = 5
DECOMPOSED: Final = ("decomposed_adjacent", "decomposed_moved")
"""Forms of composites whose parts are one collective, cut in two."""


@attrs.frozen
class InstanceRow:
    """One collective: its first event's id, what it is, what it moves, when it runs. Null where nothing says so.

    `dur_ns` is from the first start to the last end, `active_ns` without the gaps between its events. `wait_ns` is
    exact where `wait_basis` is measured, else a lower bound (guessed: from the shortest of its like), and
    `transfer_ns` an upper bound; `bandwidth_exact` says the same of the bandwidths, which are lower bounds if false.
    `members` are operations that one coalesced call joins, `hook_ns` the receiving half of a split one.
    """

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
    members: int | None
    active_ns: int
    notify_ns: int | None
    hook_ns: int | None
    wait_ns: int | None
    transfer_ns: int | None
    wait_basis: str | None
    algbw_gb_s: float | None
    busbw_gb_s: float | None
    bandwidth_exact: bool


@attrs.frozen(kw_only=True)
class SizeRow:
    """All collectives of one kind, library, size and group size: their times, waits and best bandwidths.

    `wait_ns` sums the `waited` of the `count` whose wait is known, of which `wait_basis` is the weakest. `exact` is
    whether all are measured: if not, waits and bandwidths are lower bounds. Bandwidths are the best of any, since a
    wait hides in the others.
    """

    kind: str
    library: str | None
    bytes: int
    group_size: int | None
    count: int
    time_ns: int
    shortest_ns: int
    median_ns: int
    waited: int
    wait_ns: int | None
    wait_basis: str | None
    algbw_gb_s: float | None
    busbw_gb_s: float | None
    exact: bool


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
    composites: tuple[rewrites.CompositeRow, ...]
    forms: tuple[rewrites.FormRow, ...]
    verdicts: tuple[rewrites.VerdictRow, ...]
    laws: tuple[Law, ...]
    sizes: tuple[SizeRow, ...]

    def headline(self) -> Sequence[tir.Fact]:
        """How many collectives there are and of what kinds, and each law that is broken."""
        if not self.count:
            return (tir.Fact("collectives", "none", "text"),)
        kinds = ", ".join(f"{count} {kind}" for kind, count in self.by_kind.items())
        facts = [tir.Fact("collectives", self.count, "count", note=kinds)]
        broken: dict[str, list[Law]] = {}
        for law in self.laws:
            if law.holds is False:
                broken.setdefault(law.law, []).append(law)
        return facts + [tir.Fact("law broken", name, "text", note=_worst(same)) for name, same in broken.items()]

    def blocks(self) -> Sequence[tir.Block]:
        """Composites by form, and the laws."""
        out = []
        if self.forms:
            out.append(rewrites.form_block(self.forms))
        if self.verdicts:
            out.append(rewrites.verdict_block(self.verdicts))
        if self.count and self.laws:
            columns = ("law", "steps", "expected", "found", "holds")
            out.append(tir.Block("count laws", columns, tuple(_told(self.laws))))
        if self.sizes:
            out.append(_bandwidths(self.sizes))
        return out


def _bandwidths(sizes: Sequence[SizeRow]) -> tir.Block:
    """The sizes that take most time, and what is known of their waits and bandwidths."""
    rows = tuple(
        (
            f"{row.kind} {units.size(row.bytes)}",
            row.library or "unknown",
            units.count(row.count),
            units.time(row.median_ns),
            units.time(row.shortest_ns),
            "unknown" if row.wait_ns is None else f"{'' if row.exact else '≥ '}{units.time(row.wait_ns)}",
            _rate(row.algbw_gb_s, exact=row.exact),
            _rate(row.busbw_gb_s, exact=row.exact),
        )
        for row in sizes[:MOST_SIZES]
    )
    more = len(sizes) - len(rows)
    notes = [] if all(row.exact for row in sizes) else ["≥: at least, as one rank does not show when others come"]
    if any(row.wait_basis == "guessed" for row in sizes):
        notes.append("waits are estimates: what is longer than the shortest of its like")
    if more > 0:
        notes.append(f"{more} more sizes take less time")
    columns = ("size of a collective", "library", "count", "median", "shortest", "wait in all", "algbw", "busbw")
    return tir.Block("sizes", columns, rows, note="; ".join(notes), detail=True)


def _rate(value: float | None, *, exact: bool) -> str:
    if value is None:
        return "unknown"
    return ("" if exact else "≥ ") + (f"{value:.2f} GB/s" if value >= 0.1 else f"{1000 * value:.3g} MB/s")


def _told(laws: Sequence[Law]) -> Iterator[tuple[str, ...]]:
    """A row per law and outcome, the broken ones first; steps in which it came out the same share a row."""
    alike: dict[tuple[str, str, str, str], list[Law]] = {}
    for law in sorted(laws, key=lambda law: law.holds is not False):
        alike.setdefault((law.law, str(law.expected), str(law.found), _verdict(law)), []).append(law)
    for (name, expected, found, verdict), same in alike.items():
        steps = same[0].step or "all"
        yield name, steps + (f" and {len(same) - 1} more" if len(same) > 1 else ""), expected, found, verdict


def _worst(broken: Sequence[Law]) -> str:
    """What is said of a law at the head of a page, however many steps break it."""
    law = broken[0]
    where = places(law)
    several = f", and in {len(broken) - 1} more steps" if len(broken) > 1 else ""
    return f"expected {law.expected}, found {law.found}{f' in {where}' if where else ''}{several}"


def _verdict(law: Law) -> str:
    notes = [law.note] if law.note else []
    where = places(law)
    if where:
        notes.insert(0, f"in {where}")
    verdict = {True: "yes", False: "no", None: "cannot be said"}[law.holds]
    return verdict + (f" ({'; '.join(notes)})" if notes else "")


def places(law: Law) -> str:
    """Where a law breaks, for a line of text: the first few, and how many more."""
    more = len(law.where) - MOST_PLACES
    return ", ".join(law.where[:MOST_PLACES]) + (f" and {more} more" if more > 0 else "")


def counted(module: tir.Module) -> Counted:
    """The collectives as laws count them. O(instances)."""
    rows = module["coll.event"]
    elements = module["coll.in_elements"].tolist()
    roles = module.strings.decode(module["infer.role"][rows])
    kinds = [KINDS[code] for code in module["coll.kind"][rows].tolist()]
    return Counted(
        rows=rows,
        kinds=kinds,
        roles=[role or "" for role in roles],
        elements=[None if value == tir.NULL_I64 else value for value in elements],
        groups=module.text("coll.group"),
        backward=module["coll.backward"],
        ranks=module.text("coll.ranks"),
        devices=module.device[rows],
        counts_as=_as_counted(module, kinds),
    )


def _as_counted(module: tir.Module, kinds: list[str]) -> list[str]:
    """The kinds, in which the parts of each decomposed collective count as the one that they amount to."""
    out = list(kinds)
    split = np.flatnonzero(module.is_in("coll.form", DECOMPOSED))
    owners, members = module["coll.composite"], module["coll.member"]
    instance, amounts = module["coll.instance"], module["coll.of_kind"].tolist()
    begins, ends = np.searchsorted(owners, split), np.searchsorted(owners, split + 1)
    for at, begin, end in zip(split.tolist(), begins.tolist(), ends.tolist(), strict=True):
        parts = [number for number in dict.fromkeys(instance[members[begin:end]].tolist()) if number >= 0]
        for place, number in enumerate(parts):
            out[number] = KINDS[amounts[at]] if place == 0 else ""
    return out


def report(module: tir.Module) -> CollectivesReport:
    """The report of a module that `collectives` has annotated. O(n)."""
    told = counted(module)
    on_device = module.work & (module["coll.kind"] >= 0)
    meta = on_device & module.is_in("infer.role", ["comm-meta"])
    composites, instances = rewrites.composites(module), _instances(module, told)
    return CollectivesReport(
        count=len(told.kinds),
        by_kind=_ranked(told.kinds),
        by_library=_ranked(name or "unknown" for name in module.text("coll.library")),
        time_ns=int(module["dur"][on_device].sum()),
        meta_ns=int(module["dur"][meta].sum()),
        statement=None if told.kinds else "no collectives",
        instances=tuple(instances),
        composites=composites,
        forms=rewrites.forms(module, composites, Counter(told.kinds)),
        verdicts=rewrites.verdicts(module),
        laws=tuple(laws(module, told)),
        sizes=tuple(_sizes(instances)),
    )


def _sizes(instances: Sequence[InstanceRow]) -> list[SizeRow]:
    """The instances of known kind and size by what they move, those that take most time first."""
    alike: dict[tuple[str, str | None, int, int | None], list[InstanceRow]] = {}
    for row in instances:
        if row.bytes is not None and row.kind != UNKNOWN:
            alike.setdefault((row.kind, row.library, row.bytes, row.group_size), []).append(row)
    out = []
    for (kind, library, size, ranks), same in alike.items():
        times = [row.active_ns for row in same]
        waits = [row.wait_ns for row in same if row.wait_ns is not None]
        out.append(
            SizeRow(
                kind=kind,
                library=library,
                bytes=size,
                group_size=ranks,
                count=len(same),
                time_ns=sum(times),
                shortest_ns=min(times),
                median_ns=int(statistics.median(times)),
                waited=len(waits),
                wait_ns=sum(waits) if waits else None,
                wait_basis=max((row.wait_basis for row in same if row.wait_basis), key=BASES.index, default=None),
                algbw_gb_s=max((row.algbw_gb_s for row in same if row.algbw_gb_s is not None), default=None),
                busbw_gb_s=max((row.busbw_gb_s for row in same if row.busbw_gb_s is not None), default=None),
                exact=all(row.bandwidth_exact for row in same),
            )
        )
    return sorted(out, key=lambda row: (-row.time_ns, row.kind, row.bytes))


def _ranked(words: Any) -> dict[str, int]:
    return dict(sorted(Counter(words).items(), key=lambda pair: (-pair[1], pair[0])))


def _instances(module: tir.Module, told: Counted) -> list[InstanceRow]:
    start, end = (values.tolist() for values in extents(module))
    numbers = {
        name: [None if value == tir.NULL_I64 else value for value in module[f"coll.{name}"].tolist()]
        for name in ("group_size", "in_elements", "out_elements", "bytes", "kernels", "members")
    }
    times = {
        f"{name}_ns": [None if value == tir.NULL_I64 else value for value in module[f"coll.{name}"].tolist()]
        for name in ("active", "notify", "hook", "wait", "transfer")
    }
    rates = {
        f"{name}_gb_s": [None if math.isnan(value) else value for value in module[f"coll.{name}"].tolist()]
        for name in ("algbw", "busbw")
    }
    texts = {
        name: module.text(f"coll.{name}")
        for name in ("library", "algorithm", "protocol", "group", "dtype", "source", "basis", "wait_basis")
    }
    ids, exact = module["id"][told.rows].tolist(), module["coll.bandwidth_exact"].tolist()
    own = {
        "event": ids,
        "kind": told.kinds,
        "role": [role or None for role in told.roles],
        "start_ns": start,
        "dur_ns": [after - before for before, after in zip(start, end, strict=True)],
        "bandwidth_exact": exact,
    }
    fields: dict[str, list[Any]] = own | numbers | times | rates | texts
    # In the order of the class, since there may be very many, and naming each field of each takes longer than the rest.
    return [InstanceRow(*row) for row in zip(*(fields[field.name] for field in attrs.fields(InstanceRow)), strict=True)]
