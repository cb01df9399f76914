"""Folding: like steps and like layers become one template with statistics over its instances.

A trace of fifty steps with thirty-six layers each is, for a person, one step and one layer. `fold` finds what
repeats from the trees and labels of a module and gives it as plain data; `fold_lanes` and `fold_roles` sum the same
work by lane and by role, and `open_instance` shows one instance of what was folded. They change nothing.
"""

from __future__ import annotations

from traceir.folding.instances import Event, Idle, Instance, open_instance
from traceir.folding.lanes import LaneFold, LaneOp, Lanes, fold_lanes
from traceir.folding.model import (
    Cause,
    Difference,
    Gaps,
    Instances,
    Op,
    Outlier,
    Place,
    Stack,
    Step,
    Sum,
    Template,
)
from traceir.folding.outliers import OUTLIER, why
from traceir.folding.roles import RoleFold, Roles, Symbol, fold_roles
from traceir.folding.steps import fold

__all__ = [
    "OUTLIER",
    "Cause",
    "Difference",
    "Event",
    "Gaps",
    "Idle",
    "Instance",
    "Instances",
    "LaneFold",
    "LaneOp",
    "Lanes",
    "Op",
    "Outlier",
    "Place",
    "RoleFold",
    "Roles",
    "Stack",
    "Step",
    "Sum",
    "Symbol",
    "Template",
    "fold",
    "fold_lanes",
    "fold_roles",
    "open_instance",
    "why",
]
