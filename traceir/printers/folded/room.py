"""How much of each part a page shows."""

from __future__ import annotations

import attrs

SCREEN = 60
"""Lines of a page: what a large terminal shows at once. A page that is longer has its smaller parts summed."""


@attrs.frozen
class Room:
    """How much of each part is shown; what is left out is summed in a line that says so."""

    steps: int
    ops: int
    layer_ops: int
    rows: int
    findings: int
    causes: int
    details: bool = False
    everything: bool = False


ALL = Room(10**6, 10**6, 10**6, 10**6, 10**6, 10**6, details=True, everything=True)
ROOMS = (
    Room(steps=6, ops=14, layer_ops=24, rows=6, findings=5, causes=3, details=True),
    Room(steps=6, ops=14, layer_ops=24, rows=6, findings=5, causes=3),
    Room(steps=5, ops=9, layer_ops=20, rows=5, findings=4, causes=2),
    Room(steps=4, ops=7, layer_ops=16, rows=4, findings=3, causes=2),
    Room(steps=3, ops=5, layer_ops=12, rows=3, findings=3, causes=1),
    Room(steps=3, ops=3, layer_ops=14, rows=2, findings=3, causes=1),
    Room(steps=3, ops=3, layer_ops=12, rows=2, findings=2, causes=1),
    Room(steps=3, ops=3, layer_ops=10, rows=2, findings=2, causes=0),
    Room(steps=2, ops=3, layer_ops=10, rows=2, findings=2, causes=0),
    Room(steps=2, ops=4, layer_ops=8, rows=2, findings=2, causes=0),
    Room(steps=2, ops=3, layer_ops=6, rows=1, findings=1, causes=0),
    Room(steps=1, ops=3, layer_ops=5, rows=1, findings=1, causes=0),
)
"""From generous to tight: the first with which the page fits a screen is taken."""
