"""What each row of device work counts as: compute, communication, memory or fused."""

from __future__ import annotations

from typing import Literal

import attrs
import numpy as np

from traceir.errors import SchemaError
from traceir.ir import Array, Mask, Module

Fused = Literal["third", "compute", "comm"]


@attrs.frozen(eq=False)
class Work:
    """The rows of device work and, for each of them, its class: four masks that part the rows.

    `rows` are event rows (int64, ascending, so by time), the masks have one entry per row. `unknown` marks
    compute whose role nobody knows, `meta` communication that waits or plans and moves no data.
    """

    rows: Array
    device: Array
    compute: Mask
    comm: Mask
    memory: Mask
    fused: Mask
    unknown: Mask
    meta: Mask


def classify(module: Module, fused: Fused) -> Work:
    """Part the device work into classes.

    Communication is what `infer` says is of that class or `collectives` gives a kind, unless it is fused with
    compute. Copies and memsets that `infer` does not place are memory, everything else is compute, since a
    kernel that nobody knows certainly occupies the device. SchemaError if a column of that name is none of events.
    O(n).
    """
    for name in ("infer.role", "infer.class", "coll.kind"):
        _must_be_of_events(module, name)
    rows = np.flatnonzero(module.work)
    comm = module.is_in("infer.class", ["comm"])[rows]
    both = module.is_in("infer.class", ["fused"])[rows]
    memory = module.is_in("infer.class", ["memory"])[rows]
    classed = (module["infer.class"] >= 0)[rows]
    memory |= ~classed & module.is_kind("dev.memcpy", "dev.memset")[rows]
    comm |= (module["coll.kind"] >= 0)[rows] & ~both
    memory &= ~comm
    if fused != "third":
        comm, both = (comm | both if fused == "comm" else comm), np.zeros(len(rows), bool)
    compute = ~(comm | both | memory)
    role = module["infer.role"][rows]
    unknown = compute & ((role < 0) | module.is_in("infer.role", ["unknown"])[rows])
    meta = comm & module.is_in("infer.role", ["comm-meta"])[rows]
    return Work(rows, module.device[rows], compute, comm, memory, both, unknown, meta)


def has_column(module: Module, name: str, domain: str) -> bool:
    """Whether a column is there and of the table in which `overlap` knows it; one of that name elsewhere is not it."""
    return name in module and module.domain(name) == domain


def _must_be_of_events(module: Module, name: str) -> None:
    found = module.domain(name)
    if found != "event":
        raise SchemaError(
            f"The column {name} belongs to {found}, and overlap needs it for events; rename that column, and the pass "
            f"that writes {name} runs by itself."
        )
