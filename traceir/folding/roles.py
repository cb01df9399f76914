"""Roles: what kinds of work the kernels do, with their time, and the kernels that take it."""

from __future__ import annotations

import attrs
import numpy as np

from traceir.folding.model import Sum
from traceir.folding.work import UNKNOWN, Work, gather
from traceir.ir import Array, Module

_TOP = 6


@attrs.frozen
class Symbol:
    """One kernel name of a role: `count` events of `time_ns` summed durations."""

    name: str
    count: int
    time_ns: int


@attrs.frozen
class RoleFold:
    """One role: `role` is None where nothing is known of its events, which no pass or only rules can mend.

    Times are ns: per event `median_ns`, `p90_ns` and `max_ns`, `total_ns` their sum and `exposed_ns` the sum of
    communication that nothing hides, None if no pass told. `symbols` are those with most time, and `sums` the totals
    of the other columns that passes declared to be summed.
    """

    role: str | None
    count: int
    total_ns: int
    median_ns: int
    p90_ns: int
    max_ns: int
    exposed_ns: int | None
    symbols: tuple[Symbol, ...]
    more_symbols: int
    sums: tuple[Sum, ...] = ()


@attrs.frozen
class Roles:
    """Roles of kernels, most time first; `copies` are those of other device work, which is no kernel.

    `kernel_ns` is the sum of durations of kernels (graphs recorded as one row among them) and `work_ns` that of
    all device work. `told` is false where no pass has told roles.
    """

    kernels: tuple[RoleFold, ...]
    copies: tuple[RoleFold, ...]
    kernel_ns: int
    work_ns: int
    told: bool


def fold_roles(module: Module) -> Roles | None:
    """The device work of a module by role; None without any. O(n log n) in device events."""
    work = gather(module)
    if not len(work.rows):
        return None
    kernel = module.is_kind("dev.kernel", "dev.graph")[work.rows]
    parts = [_roles(work, np.flatnonzero(chosen)) for chosen in (kernel, ~kernel)]
    return Roles(parts[0], parts[1], int(work.dur[kernel].sum()), int(work.dur.sum()), work.told)


def _roles(work: Work, at: Array) -> tuple[RoleFold, ...]:
    role = np.where(work.role[at] == work.module.strings.code(UNKNOWN), -1, work.role[at])
    out = [_role(work, int(code), at[role == code]) for code in np.unique(role)]
    return tuple(sorted(out, key=lambda item: (-item.total_ns, item.role or "")))


def _role(work: Work, code: int, at: Array) -> RoleFold:
    dur = work.dur[at]
    names, inverse, counts = np.unique(work.symbol[at], return_inverse=True, return_counts=True)
    time = np.bincount(inverse, weights=dur)
    best = np.argsort(-time, kind="stable")[:_TOP].tolist()
    middle, high = np.percentile(dur, [50, 90])
    return RoleFold(
        role=work.name(code).replace("-", "_") if code >= 0 else None,
        count=len(at),
        total_ns=int(dur.sum()),
        median_ns=int(middle),
        p90_ns=int(high),
        max_ns=int(dur.max()),
        exposed_ns=work.exposed_of(at),
        symbols=tuple(Symbol(work.name(int(names[i])), int(counts[i]), int(time[i])) for i in best),
        more_symbols=len(names) - len(best),
        sums=work.sums_of(at),
    )
