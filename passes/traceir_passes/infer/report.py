"""What infer found: time by role and class, and what stayed unknown."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import numpy as np
import numpy.typing as npt

import traceir as tir
from traceir import units
from traceir_passes.infer import symbols
from traceir_passes.infer.classes import CLASSES
from traceir_passes.infer.rules import UNKNOWN

MOST_UNKNOWN = 10
_BASES = ("measured", "derived", "guessed")
Mask = npt.NDArray[np.bool_]


@attrs.frozen
class RoleRow:
    """One role: how many kernels, Σ of their durations, and the union of their intervals per device."""

    role: str
    count: int
    time_ns: int
    union_ns: int


@attrs.frozen
class UnknownName:
    """A name that no source gave a role."""

    name: str
    count: int
    time_ns: int


@attrs.frozen
class InferReport(tir.Report):
    """Times are Σ of durations over kernels (and graphs recorded as one row), `union_ns` their union per device.

    `memory` has the copies and memsets that engines made, which are no kernels. `unknown_share` is null where
    there is no kernel time.
    """

    kernel_time_ns: int
    unknown_time_ns: int
    unknown_share: float | None
    union_ns: int
    kernels: int
    roles: tuple[RoleRow, ...]
    memory: tuple[RoleRow, ...]
    classes: dict[str, int]
    basis: dict[str, int]
    unknown_names: tuple[UnknownName, ...]

    def headline(self) -> Sequence[tir.Fact]:
        """How much of the kernel time is of unknown role: always told, since classes rest on it."""
        if not self.kernels:
            return ()
        return (tir.Fact("unknown roles", self.unknown_share, "share", of="kernel time"),)

    def blocks(self) -> Sequence[tir.Block]:
        """Time by role, and the largest unknown names if there are any."""
        if not self.kernels:
            return ()
        rows = tuple(
            (row.role, units.count(row.count), units.time(row.time_ns), units.share(row.time_ns, self.kernel_time_ns))
            for row in self.roles
        )
        out = [tir.Block("time by role", ("role", "kernels", "time", "of kernel time"), rows, detail=True)]
        if self.unknown_names:
            names = tuple(
                (symbols.symbol(item.name), units.count(item.count), units.time(item.time_ns))
                for item in self.unknown_names
            )
            out.append(tir.Block("largest unknown names", ("name", "kernels", "time"), names))
        return out


def report(module: tir.Module) -> InferReport:
    """The report of a module that `infer` has annotated. O(n log n)."""
    work = module.work
    mine = kernels(module)
    unknown = mine & module.is_in("infer.role", [UNKNOWN])
    total, lost = _time(module, mine), _time(module, unknown)
    return InferReport(
        kernel_time_ns=total,
        unknown_time_ns=lost,
        unknown_share=lost / total if total else None,
        union_ns=union(module, mine),
        kernels=int(mine.sum()),
        roles=by_role(module, mine),
        memory=by_role(module, work & ~mine),
        classes={name: _time(module, mine & module.is_in("infer.class", [name])) for name in CLASSES},
        basis={name: _time(module, mine & module.is_in("infer.basis", [name])) for name in _BASES},
        unknown_names=unknown_names(module, unknown),
    )


def kernels(module: tir.Module) -> Mask:
    """What kernel time is summed over: kernels, collectives among them, and graphs recorded as one row."""
    return module.work & module.is_kind("dev.kernel", "dev.graph")


def by_role(module: tir.Module, rows: Mask) -> tuple[RoleRow, ...]:
    """The roles of some rows, most time first."""
    codes, counts, times = _totals(module, "infer.role", rows)
    out = [
        RoleRow(module.strings[code], count, time, union(module, rows & (module["infer.role"] == code)))
        for code, count, time in zip(codes, counts, times, strict=True)
    ]
    return tuple(sorted(out, key=lambda row: (-row.time_ns, row.role)))


def unknown_names(module: tir.Module, rows: Mask) -> tuple[UnknownName, ...]:
    """The names of unknown rows, most time first."""
    codes, counts, times = _totals(module, "name", rows)
    out = [
        UnknownName(module.strings[code], count, time) for code, count, time in zip(codes, counts, times, strict=True)
    ]
    return tuple(sorted(out, key=lambda item: (-item.time_ns, item.name))[:MOST_UNKNOWN])


def union(module: tir.Module, rows: Mask) -> int:
    """The time in which at least one of the rows runs, summed over devices (never one union over several)."""
    device = module.device
    total = 0
    for number in np.unique(device[rows]).tolist():
        on = rows & (device == number)
        total += tir.Spans.of(module["ts"][on], module.end[on]).length
    return total


def _time(module: tir.Module, rows: Mask) -> int:
    return int(module["dur"][rows].sum())


def _totals(module: tir.Module, column: str, rows: Mask) -> tuple[list[int], list[int], list[int]]:
    """The codes of a column among some rows, how many rows each has, and Σ of their durations."""
    codes, inverse = np.unique(module[column][rows], return_inverse=True)
    counts = np.bincount(inverse, minlength=len(codes))
    times = np.zeros(len(codes), np.int64)
    np.add.at(times, inverse, module["dur"][rows])
    known = codes >= 0
    return codes[known].tolist(), counts[known].tolist(), times[known].tolist()
