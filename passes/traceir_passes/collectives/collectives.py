"""The pass `collectives`: collective operations, what they move, and the laws that they obey."""

from __future__ import annotations

from typing import ClassVar, Literal

import attrs
import numpy as np

import traceir as tir
from traceir_passes.collectives import columns, report, timing, verdicts
from traceir_passes.collectives.composites import Setting, recognisers
from traceir_passes.collectives.composites import columns as forms
from traceir_passes.collectives.instances import Found, find
from traceir_passes.collectives.laws import laws

CONFLICT, BROKEN = "kind_conflict", "law_broken"
LONGEST = 60
"""Characters of a kernel's name that a finding quotes."""


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

    pair_share: tir.Share = tir.option(
        0.5,
        help="share of a group's gathers that must follow a scatter before any pair counts as one all-reduce; where "
        "parameters are gathered too, fewer may be chance",
    )
    small: int = tir.option(
        1 << 20,
        least=0,
        help="bytes below which the median reduction of gradients is called per_tensor: of less, a link's latency is "
        "a large part",
    )
    few: int = tir.option(
        8, least=1, help="reductions of gradients that may all be small and still be buckets, as a small model has"
    )
    expect: Literal["auto", "fused", "decomposed", "async_tp"] = tir.option(
        "auto",
        help="the rewrite of reductions that each layer is held to: the one most layers of a stack show (auto; fused "
        "if none), or fused with the norm that follows, decomposed into a scatter and a gather, or chunk-wise",
    )
    min_alike: int = tir.option(
        3,
        least=2,
        help="like collectives it takes before the shortest bounds the transfer of all; of one or two all may have "
        "waited",
    )

    reads: ClassVar[tuple[str, ...]] = (
        "infer.role", "infer.class", "infer.op_kind", "id", "kind", "name", "ts", "dur", "lane", "parent", "live",
        "edges",
    )  # fmt: skip
    uses: ClassVar[tuple[str, ...]] = (
        "tree.steps", "tree.layers", "tree.microbatches", "group.partial", "group.direction", "group.microbatch",
        "args",
    )  # fmt: skip
    writes: ClassVar[tuple[tir.Annotation, ...]] = (*columns.WRITES, *forms.WRITES, *verdicts.WRITES, *timing.WRITES)

    def run(self, module: tir.Module, context: tir.PassContext) -> tir.Module:
        """The module with kinds, instances and composites, and findings on conflicts and broken laws."""
        found = find(module)
        module = columns.write(module, found)
        setting = Setting.of(module, found, columns.WRITES)
        asked = recognisers(self.staged_share, self.pair_share, self.small, self.few)
        composites = [item for recogniser in asked for item in recogniser.find(setting)]
        module = verdicts.write(forms.write(module, composites), verdicts.verdicts(setting, composites, self.expected))
        module = timing.write(module, self.min_alike)
        return _laws(_conflicts(module, found, context), context)

    @property
    def expected(self) -> verdicts.Rewrite | None:
        """The rewrite that layers are held to, None for what most of them show."""
        return None if self.expect == "auto" else self.expect

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
        where = f" in {', '.join(law.where)}" if law.where else ""
        step = f" ({law.step})" if law.step else ""
        context.remark("collectives", f"{law.law}{step}: expected {law.expected}, found {law.found}{where}{names}")
    first = broken[0]
    step = f" in {first.step}" if first.step else ""
    where = f" It breaks in {report.places(first)}." if first.where else ""
    suspects = f" {_first(first.suspects)}" if first.suspects else "s whose role is compute or unknown"
    return module.with_health(
        tir.Finding(
            BROKEN,
            "warning",
            len(broken),
            f"Expected {first.expected} by the law '{first.law}'{step} and found {first.found}.{where} First suspect "
            f"the name{suspects}.",
            None,
            ("collectives.laws",),
        )
    )


def _first(names: tuple[str, ...]) -> str:
    """The first of some names, cut to a line, and how many more there are."""
    head = names[0] if len(names[0]) <= LONGEST else f"{names[0][:LONGEST]}…"
    return f"{head} (or {len(names) - 1} more that occur as often)" if len(names) > 1 else head
