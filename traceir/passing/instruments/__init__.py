"""The instruments that come with traceir. They compose; each does one thing."""

from __future__ import annotations

from traceir.passing.instruments.culprit import Culprit
from traceir.passing.instruments.diff import Diff
from traceir.passing.instruments.printing import Print
from traceir.passing.instruments.progress import Progress
from traceir.passing.instruments.remarks import Remarks
from traceir.passing.instruments.reproducer import Reproducer
from traceir.passing.instruments.statistics import Statistics
from traceir.passing.instruments.timing import TimingTree
from traceir.passing.instruments.verifying import Verify

INSTRUMENTS = {
    "culprit": ("traceir.passing.instruments.culprit:Culprit", "Print the event at which a pass failed."),
    "diff": ("traceir.passing.instruments.diff:Diff", "Print what each pass changed."),
    "print": ("traceir.passing.instruments.printing:Print", "Print the module before or after passes."),
    "remarks": ("traceir.passing.instruments.remarks:Remarks", "Print what passes have to say of what they did."),
    "reproducer": (
        "traceir.passing.instruments.reproducer:Reproducer",
        "Write a small text that fails the same way when a pass fails.",
    ),
    "statistics": ("traceir.passing.instruments.statistics:Statistics", "Print the figures that each pass reports."),
    "timing-tree": ("traceir.passing.instruments.timing:TimingTree", "Print what each pass and analysis cost."),
    "verify": ("traceir.passing.instruments.verifying:Verify", "Check the rules of the IR around each pass."),
}
"""What `--instrument` knows, as the entry point group `traceir.instruments` has it."""

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
