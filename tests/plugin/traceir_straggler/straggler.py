"""Kernels that stand out among those of their name."""

import attrs
import numpy as np

import traceir as tir


@attrs.frozen
class StragglerReport(tir.Report):
    """What was found."""

    kernels: int
    excess_ns: int


@attrs.frozen
class Straggler(tir.Pass):
    """Find kernels that took much longer than most of their name."""

    factor: float = tir.option(2.0, help="How many times the median of its name a straggler takes at least.")
    writes = (tir.Annotation("straggler.excess", unit="ns", null="no straggler", doc="Time above the name's median."),)

    def run(self, module: tir.Module, context: tir.PassContext) -> tir.Module:
        """Compare each kernel with the median of its name. O(n log n)."""
        rows = module.kernels.rows
        rows = rows[np.lexsort((module["dur"][rows], module["name"][rows]))]
        dur = module["dur"][rows]
        _, first, count = np.unique(module["name"][rows], return_index=True, return_counts=True)
        median = np.repeat(dur[first + count // 2], count)
        excess = np.full(len(module), tir.NULL_I64)
        excess[rows] = np.where(dur >= self.factor * median, dur - median, tir.NULL_I64)
        return module.with_columns({"straggler.excess": excess})

    def report(self, module: tir.Module) -> StragglerReport:
        """Count the stragglers and add up what they cost."""
        found = module["straggler.excess"][module["straggler.excess"] != tir.NULL_I64]
        return StragglerReport(len(found), int(found.sum()))
