"""Folding: like steps and like layers become one template with statistics over its instances.

A trace of fifty steps with thirty-six layers each is, for a person, one step and one layer. `fold` finds what
repeats from the trees and labels of a module and gives it as plain data; it changes nothing.
"""

from __future__ import annotations

from traceir.folding.model import Op, Outlier, Stack, Step
from traceir.folding.steps import fold

__all__ = ["Op", "Outlier", "Stack", "Step", "fold"]
