"""The pass `collectives`: collective operations, what they move, and the laws that they obey."""

from __future__ import annotations

from typing import ClassVar

import attrs
import numpy as np

import traceir as tir
from traceir_passes.collectives import columns, report
from traceir_passes.collectives.composites import Setting, recognisers
from traceir_passes.collectives.instances import Found, find
from traceir_passes.collectives.laws import laws

CONFLICT, BROKEN = "kind_conflict", "law_broken"


@attrs.frozen
class Collectives(tir.Pass):
    """Find collective operations and what they move.

    What is communication is known from the roles; what kind it is, from the first of: metadata on the event or
    its communication record, the operator around its launch, its name. A bare SendRecv is unknown, since an
    all-to-all is made of it too. Sources that contradict each other are a finding, and the higher one is kept as
    a guess. Notifications of dispatch and combine are communication but no instance of their own. The kind that
    the source recorded for the event (a kernel) is left alone.
    """

    staged_share: tir.Share = tir.option(
        0.5,
        help="share of like collectives that must be copied in and out before any counts; fewer may be chance",
    )

    reads: ClassVar[tuple[str, ...]] = (
        "infer.role", "infer.class", "infer.op_kind", "id", "kind", "name", "ts", "dur", "lane", "parent", "live",
        "edges",
    )  # fmt: skip
    uses: ClassVar[tuple[str, ...]] = ("tree.steps", "tree.layers", "group.partial", "group.direction", "args")
    writes: ClassVar[tuple[tir.Annotation, ...]] = columns.WRITES

    def run(self, module: tir.Module, context: tir.PassContext) -> tir.Module:
        """The module with kinds, instances and composites, and findings on conflicts and broken laws."""
        found = find(module)
        setting = Setting.of(module, found)
        composites = [item for recogniser in recognisers(self.staged_share) for item in recogniser.find(setting)]
        module = columns.write(module, found, composites)
        return _laws(_conflicts(module, found, context), context)

    def report(self, module: tir.Module) -> report.CollectivesReport:
        """The collectives, composites and laws."""
        return report.report(module)

    def check(self, module: tir.Module) -> list[str]:
        """All communication has a kind, and each instance has its events."""
        out = []
        communication = module.work & module.is_in("infer.class", ["comm", "fused"])
        if (communication & (module["coll.kind"] < 0)).any():
            out.append("Some communication has no kind.")
        if (module["coll.instance"][module["coll.event"]] != np.arange(len(module["coll.event"]))).any():
            out.append("The first event of an instance does not belong to it.")
        return out


def _conflicts(module: tir.Module, found: Found, context: tir.PassContext) -> tir.Module:
    """The module with a finding where sources of the kind contradict each other, and a remark for each case."""
    told = [item for item in found.instances if item.conflict]
    if not told:
        return module
    for item in told:
        context.remark("collectives", f"{item.conflict}; kept {item.kind}", event=int(module["id"][item.row]))
    return module.with_health(
        tir.Finding(
            CONFLICT,
            "warning",
            len(told),
            f"The kind of {len(told)} collectives is contradicted ({told[0].conflict}); the first source is kept as a "
            "guess.",
            int(module["id"][told[0].row]),
            ("collectives.by_kind",),
        )
    )


def _laws(module: tir.Module, context: tir.PassContext) -> tir.Module:
    """The module with a finding for the laws that are broken."""
    broken = [law for law in laws(module, report.counted(module)) if law.holds is False]
    if not broken:
        return module
    for law in broken:
        names = f"; as often as is missing: {', '.join(law.suspects)}" if law.suspects else ""
        context.remark("collectives", f"{law.law}: expected {law.expected}, found {law.found}{names}")
    first = broken[0]
    return module.with_health(
        tir.Finding(
            BROKEN,
            "warning",
            len(broken),
            f"Expected {first.expected} by the law '{first.law}' and found {first.found}; first suspect the names "
            "whose role is compute or unknown.",
            None,
            ("collectives.laws",),
        )
    )
