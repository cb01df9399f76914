"""The instruments that come with traceir. They compose; each does one thing.

Names are loaded when first used, as a run has few of them.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from traceir.passing.instruments.culprit import Culprit as Culprit
    from traceir.passing.instruments.diff import Diff as Diff
    from traceir.passing.instruments.printing import Print as Print
    from traceir.passing.instruments.progress import Progress as Progress
    from traceir.passing.instruments.remarks import Remarks as Remarks
    from traceir.passing.instruments.reproducer import Reproducer as Reproducer
    from traceir.passing.instruments.statistics import Statistics as Statistics
    from traceir.passing.instruments.timing import TimingTree as TimingTree
    from traceir.passing.instruments.verifying import Verify as Verify


INSTRUMENTS = {
    "culprit": (
        f"{__name__}.culprit:Culprit",
        "When a pass fails at an event, print the event with what lies around it.",
    ),
    "diff": (f"{__name__}.diff:Diff", "Print what each pass changed."),
    "print": (f"{__name__}.printing:Print", "Print the module around passes, as text: a page of it, or a window."),
    "progress": (f"{__name__}.progress:Progress", "Say on a terminal which pass runs."),
    "remarks": (f"{__name__}.remarks:Remarks", "Print what passes have to say of what they did or did not do."),
    "reproducer": (
        f"{__name__}.reproducer:Reproducer",
        "When a pass fails, write a small text that fails the same way.",
    ),
    "statistics": (
        f"{__name__}.statistics:Statistics",
        "Print the figures that each pass reports, and what it counted.",
    ),
    "timing-tree": (
        f"{__name__}.timing:TimingTree",
        "Print what each pass cost, and below it each analysis that it got.",
    ),
    "verify": (f"{__name__}.verifying:Verify", "Check the rules of the IR on the input and after each pass."),
}
"""What `--instrument` knows, as the entry point group `traceir.instruments` has it."""
_HOME = {target.partition(":")[2]: target.partition(":")[0] for target, _ in INSTRUMENTS.values()}

__all__ = [
    "INSTRUMENTS",
    "Culprit",
    "Diff",
    "Print",
    "Progress",
    "Remarks",
    "Reproducer",
    "Statistics",
    "TimingTree",
    "Verify",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value
    return value
