"""The comparison as a table: our figures, what changes them one reason after the other, and the tool's figures."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final, Literal

import attrs
import numpy as np

import traceir as tir
from traceir.ir import Array, Mask, Module
from traceir_passes.overlap.account import fits
from traceir_passes.overlap.classes import Work
from traceir_passes.overlap.compat import hta, tracelens
from traceir_passes.overlap.compat.elements import Seen, see
from traceir_passes.overlap.compat.figures import (
    CLASSES,
    COMM,
    COMPUTE,
    FUSED,
    KEYS,
    MEMORY,
    NOT_COUNTED,
    Counted,
    figures,
)

Tool = Literal["hta", "hta_main", "tracelens"]
TOOLS: Final = ("hta", "hta_main", "tracelens")
PARTS: Final = ("ours", "reason", "theirs")
TABLE: Final = "overlap.compat"
_DOMAIN: Final = f"table:{TABLE}"
_COUNTS: Final[dict[str, Callable[[Module, Seen, str], Counted]]] = {
    "hta": hta.count, "hta_main": hta.count, "tracelens": tracelens.count,
}  # fmt: skip
_DOCS: Final = {
    "span_ns": "First start to last end.",
    "busy_ns": "Union of all that is counted.",
    "compute_ns": "Union of compute.",
    "comm_ns": "Union of communication.",
    "memory_ns": "Union of memory operations.",
    "overlap_ns": "Communication beside compute.",
    "exposed_ns": "Communication without compute beside it.",
    "memory_exposed_ns": "Memory operations without compute or communication beside them.",
    "idle_ns": "The part of the span in which nothing that is counted runs.",
}

WRITES: Final = (
    tir.Annotation("overlap.compat_tool", _DOMAIN, "enum", values=TOOLS, doc="The tool that is compared with."),
    tir.Annotation("overlap.compat_part", _DOMAIN, "enum", values=PARTS, doc="Whose figures, or what changes them."),
    tir.Annotation(
        "overlap.compat_reason", _DOMAIN, "str", doc="Why the figures change.", null="no reason but the figures"
    ),
    tir.Annotation("overlap.compat_events", _DOMAIN, "i64", doc="Events that are counted, or that the reason is of."),
    *(
        tir.Annotation(
            f"overlap.compat_{key}", _DOMAIN, "i64", "ns", f"{doc} Of a reason, by how much it changes that."
        )
        for key, doc in _DOCS.items()
    ),
)


@attrs.frozen
class _Row:
    """A row of the table; figures of a reason are changes."""

    tool: str
    part: str
    reason: str | None
    events: int
    figures: dict[str, int]


def compared(module: Module, work: Work, tools: tuple[str, ...]) -> Module:
    """The module with the comparison with each tool as the table `overlap.compat`. O(n log n) for each reason.

    There is none of a module whose times no 64 bit span in whole us holds.
    """
    seen = see(module) if tools and _fits(module) else None
    rows = [row for tool in tools if seen is not None for row in _compared(module, work, seen, tool)]
    strings, reasons = module.strings.encode([row.reason for row in rows])
    columns: dict[str, Any] = {
        "overlap.compat_tool": np.array([TOOLS.index(row.tool) for row in rows], np.int16),
        "overlap.compat_part": np.array([PARTS.index(row.part) for row in rows], np.int16),
        "overlap.compat_reason": reasons,
        "overlap.compat_events": np.array([row.events for row in rows], np.int64),
    }
    columns |= {f"overlap.compat_{key}": np.array([row.figures[key] for row in rows], np.int64) for key in KEYS}
    return module.with_strings(strings).with_table(TABLE, columns)


def _fits(module: Module) -> bool:
    """Whether the tools' arithmetic has room: events end within 2^62 ns (146 years) of the first, and of instant 0."""
    if not len(module):
        return True
    low, high = int(module["ts"].min()), int(module.end.max())
    return fits(module["ts"], module.end) and max(abs(low), abs(high), high - low) < 1 << 62


def _compared(module: Module, work: Work, seen: Seen, tool: str) -> Iterator[_Row]:
    """Our figures of all devices as one, a row for each reason with what it changes, and the tool's figures.

    Reasons are applied one after the other, so that their changes add up: first what the tool drops, then what it
    counts besides, then what it takes for something else, and at last its times.
    """
    theirs = _COUNTS[tool](module, seen, tool)
    start, end = module["ts"], module.end
    now = _ours(module, work)
    found = figures(now, start, end)
    yield _Row(tool, "ours", None, int((now != NOT_COUNTED).sum()), found)
    for reason, chosen in _reasons(module, now, theirs):
        now = np.where(chosen, theirs.cls, now)
        before, found = found, figures(now, start, end)
        yield _Row(tool, "reason", reason, int(chosen.sum()), _change(before, found))
    counted = now != NOT_COUNTED
    moved = counted & ((theirs.start != start) | (theirs.end != end))
    if moved.any():
        before, found = found, figures(now, theirs.start, theirs.end)
        yield _Row(tool, "reason", "times rounded inward to whole us", int(moved.sum()), _change(before, found))
    yield _Row(tool, "theirs", None, int(counted.sum()), found)


def _ours(module: Module, work: Work) -> Array:
    cls = np.full(len(module), NOT_COUNTED, np.int64)
    for code, mask in ((COMPUTE, work.compute), (COMM, work.comm), (MEMORY, work.memory), (FUSED, work.fused)):
        cls[work.rows[mask]] = code
    return cls


def _change(before: dict[str, int], after: dict[str, int]) -> dict[str, int]:
    return {key: after[key] - before[key] for key in KEYS}


def _reasons(module: Module, ours: Array, theirs: Counted) -> Iterator[tuple[str, Mask]]:
    """What the tool counts in another way, as a text and the rows that it is true of; no row is in two of them."""
    dropped = (ours != NOT_COUNTED) & (theirs.cls == NOT_COUNTED)
    for code in np.unique(theirs.dropped[dropped]).tolist():
        chosen = dropped & (theirs.dropped == code)
        for cls in np.unique(ours[chosen]).tolist():
            yield f"{CLASSES[cls]} {theirs.reasons[code]}", chosen & (ours == cls)
    added = (ours == NOT_COUNTED) & (theirs.cls != NOT_COUNTED)
    for kind in np.unique(module["kind"][added]).tolist():
        chosen = added & (module["kind"] == kind)
        for cls in np.unique(theirs.cls[chosen]).tolist():
            yield (
                f"{module.kinds[kind]}, which is no device work, counts as {CLASSES[cls]}",
                chosen & (theirs.cls == cls),
            )
    role = module["infer.role"]
    other = (ours != NOT_COUNTED) & (theirs.cls != NOT_COUNTED) & (ours != theirs.cls)
    for mine, code, cls in np.unique(np.stack([ours[other], role[other], theirs.cls[other]]), axis=1).T.tolist():
        name = module.strings[code] if code >= 0 else "work of no role"
        chosen = other & (ours == mine) & (role == code) & (theirs.cls == cls)
        yield f"{name} is {CLASSES[mine]} and counts as {CLASSES[cls]} by its name", chosen


def broken(module: Module) -> list[str]:
    """The tools whose reasons do not add up to the difference between our figures and theirs, a sentence each."""
    out = []
    tool, part = module["overlap.compat_tool"], module["overlap.compat_part"]
    for code in np.unique(tool).tolist():
        for key in KEYS:
            values = module[f"overlap.compat_{key}"][tool == code]
            which = part[tool == code]
            mine, changes, theirs = (int(values[which == number].sum()) for number in range(len(PARTS)))
            if mine + changes != theirs:
                out.append(f"The reasons do not explain the {key} of {TOOLS[code]}.")
    return out
