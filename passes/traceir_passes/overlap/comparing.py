"""The comparisons with other tools, read from the table of figures and reasons."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

import numpy as np

from traceir.ir import Module
from traceir_passes.overlap.compat import TOOLS, hta, tracelens
from traceir_passes.overlap.compat.figures import KEYS
from traceir_passes.overlap.compat.table import PARTS
from traceir_passes.overlap.report import Comparison, Reason

_VERSIONS: Final = {"hta": hta.VERSION, "hta_main": "main", "tracelens": tracelens.VERSION}
_REPORTED: Final[dict[str, Callable[[Mapping[str, int], int], dict[str, float | None]]]] = {
    "hta": hta.reported, "hta_main": hta.reported, "tracelens": tracelens.reported,
}  # fmt: skip


def comparisons(module: Module, devices: int) -> Iterator[Comparison]:
    """A comparison for each tool of the table, in the order of its rows."""
    tool, part = module["overlap.compat_tool"], module["overlap.compat_part"]
    events, reasons = module["overlap.compat_events"].tolist(), module.text("overlap.compat_reason")
    columns = {key: module[f"overlap.compat_{key}"].tolist() for key in KEYS}

    def figures(row: int) -> dict[str, int]:
        return {key: values[row] for key, values in columns.items()}

    _, first = np.unique(tool, return_index=True)
    for code in tool[np.sort(first)].tolist():
        ours, between, theirs = (
            np.flatnonzero((tool == code) & (part == number)).tolist() for number in range(len(PARTS))
        )
        mine, other = figures(ours[0]), figures(theirs[0])
        yield Comparison(
            TOOLS[code],
            _VERSIONS[TOOLS[code]],
            devices,
            mine,
            other,
            {key: other[key] - mine[key] for key in KEYS},
            _ratio(mine),
            _ratio(other),
            tuple(Reason(reasons[row] or "", events[row], figures(row)) for row in between),
            _REPORTED[TOOLS[code]](other, events[theirs[0]]),
        )


def _ratio(figures: Mapping[str, int]) -> float | None:
    return figures["overlap_ns"] / figures["comm_ns"] if figures["comm_ns"] else None
