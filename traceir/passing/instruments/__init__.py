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
