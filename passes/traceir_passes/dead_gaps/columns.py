"""What `dead-gaps` writes down: the original times, the intervals it removed, and what it took each gap for."""

from __future__ import annotations

from typing import Final

import numpy as np

import traceir as tir
from traceir.ir import Annotation, Array

INTERVALS: Final = "dead-gaps"
"""The table of removed intervals, which is the map from the source's times to the new ones."""
GAPS: Final = "dead-gaps.gaps"
"""The table of the devices' gaps as they were judged in the source's times."""

REMOVABLE: Final = ("host_late", "launch_latency", "host_sync", "after_sync", "graph_internal", "queue_latency")
"""Classes of gaps that may be removed on request."""
KEPT: Final = ("other_stream", "unknown_no_launch", "unexplained")
"""Classes of gaps that never are: there, work waited for work, or may not have been recorded."""
CLASSES: Final = (*REMOVABLE, *KEPT)
DOUBTS: Final = ("health", "counter")

SOURCE: Final = (
    Annotation("src.ts", unit="ns", doc="Start as the source recorded it.", basis="measured"),
    Annotation("src.dur", unit="ns", doc="Duration as the source recorded it.", basis="measured"),
)
_INTERVALS: Final = f"table:{INTERVALS}"
_GAPS: Final = f"table:{GAPS}"
WRITES: Final = (
    *SOURCE,
    Annotation("dead-gaps.start", _INTERVALS, unit="ns", doc="Where the removed time begins, in the source's times."),
    Annotation("dead-gaps.dur", _INTERVALS, unit="ns", doc="How long it is, at least 1."),
    Annotation(
        "dead-gaps.class", _INTERVALS, "enum", doc="Cause of the gap that ends first after it.", values=REMOVABLE
    ),
    Annotation("dead-gaps.gap_device", _GAPS, doc="Number of the device.", null="the device has no number"),
    Annotation("dead-gaps.gap_start", _GAPS, unit="ns", doc="Where the gap begins, in the source's times."),
    Annotation("dead-gaps.gap_dur", _GAPS, unit="ns", doc="How long it is, in the source's times."),
    Annotation("dead-gaps.gap_class", _GAPS, "enum", doc="Its cause, judged in the source's times.", values=CLASSES),
    Annotation("dead-gaps.gap_prev", _GAPS, "id", doc="Event whose end begins the gap."),
    Annotation("dead-gaps.gap_next", _GAPS, "id", doc="Event whose start ends the gap."),
    Annotation(
        "dead-gaps.gap_doubt", _GAPS, "enum", doc="What speaks against its being dead.", values=DOUBTS,
        null="nothing does",
    ),
    Annotation("dead-gaps.gap_dead", _GAPS, "bool", doc="Whether the gap is proved dead on its device."),
)  # fmt: skip


def written(module: tir.Module) -> bool:
    """Whether a module holds all that the pass writes down."""
    return all(one.name in module for one in WRITES)


def empty(domain: str) -> dict[str, Array]:
    """The columns of one of the two tables without rows."""
    return {one.name: np.empty(0, one.numpy_type) for one in WRITES if one.domain == f"table:{domain}"}
