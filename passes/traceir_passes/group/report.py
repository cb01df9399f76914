"""What the group pass reports: steps, stacks, and with `detail=events` the layers with their events."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import numpy as np

import traceir as tir
from traceir.ir import Array, Ints, Mask
from traceir_passes.group.backward import LINKS
from traceir_passes.group.stack import DIRECTIONS, EVIDENCE
from traceir_passes.group.steps import PHASES


@attrs.frozen
class StackReport:
    """One stack: where it lies, how many layers, how we know, and its template."""

    lane: str
    step: int | None
    layers: int
    partial: bool
    evidence: str
    confidence: float
    kernels: int
    template: str
    kernels_per_layer: int
    direction: str
    start_ns: int
    end_ns: int
    checks: str
    guessed: bool


@attrs.frozen
class StepReport:
    """One step: extents of its device work, or of its mark where it has none."""

    index: int
    label: str
    start_ns: int
    end_ns: int
    kernels: int
    phase: str | None


@attrs.frozen
class LayerReport:
    """One layer of a stack: first and last event id and all of them, in order of time."""

    stack: int
    index: int
    first: int
    last: int
    events: tuple[int, ...]


@attrs.frozen
class BackwardReport:
    """What the threads of backward passes launched: kernels, and those whose forward op or its module is not known.

    Times are sums of durations; the share is of that of all.
    """

    kernels: int
    time_ns: int
    unlinked: int
    unlinked_time_ns: int
    unlinked_share: float | None


@attrs.frozen
class GroupReport(tir.Report):
    """Steps and stacks of a module."""

    evidence: str
    confidence: float
    reason: str | None
    stacks: tuple[StackReport, ...]
    steps: tuple[StepReport, ...]
    backward: BackwardReport | None

    def headline(self) -> Sequence[tir.Fact]:
        """The layers, or why there are none; and how much backward work has no module, if there is such work."""
        return (*self._layers(), *self._unlinked())

    def _unlinked(self) -> Sequence[tir.Fact]:
        if self.backward is None:
            return ()
        note = f"{self.backward.unlinked} of {self.backward.kernels} kernels"
        share = self.backward.unlinked_share
        return (tir.Fact("backward work of no known forward op", share, "share", of="its kernel time", note=note),)

    def _layers(self) -> Sequence[tir.Fact]:
        if not self.stacks:
            reason = (self.reason or "not asked for").replace("_", " ")
            return (tir.Fact("layers", "none", "text", note=reason),)
        shapes = dict.fromkeys((stack.layers, stack.template, stack.partial) for stack in self.stacks)
        text = ", ".join(f"{n} × {template}{' (partial)' * partial}" for n, template, partial in list(shapes)[:3])
        if len(shapes) > 3:
            text += f" and {len(shapes) - 3} more"
        return (tir.Fact("layers", text, "text", note=f"{self.evidence}, confidence {self.confidence:.2f}"),)

    def blocks(self) -> Sequence[tir.Block]:
        """No table: the page's body is made of the steps and layers themselves."""
        return ()


@attrs.frozen
class GroupDetail(GroupReport):
    """The same with every layer's events."""

    layers: tuple[LayerReport, ...]


def build_report(module: tir.Module, *, events: bool) -> GroupReport:
    """The report of a grouped module, from its trees and columns alone."""
    kernel = module.is_kind("dev.kernel") & module.work
    steps = _steps(module, kernel)
    stacks = _stacks(module)
    kinds = {stack.evidence for stack in stacks}
    evidence = kinds.pop() if len(kinds) == 1 else "mixed" if kinds else "none"
    total = sum(stack.kernels for stack in stacks)
    confidence = sum(stack.confidence * stack.kernels for stack in stacks) / total if total else 0.0
    reason = module.text("group.reason")[0]
    common = (evidence, round(confidence, 4), reason, stacks, steps, _backward(module, kernel))
    return GroupDetail(*common, _layers(module)) if events else GroupReport(*common)


def _backward(module: tir.Module, kernel: Mask) -> BackwardReport | None:
    """The share of backward work without a module, or None if the trace tells of no backward pass."""
    links = module["group.backward"]
    mine = kernel & (links >= 0)
    if not mine.any():
        return None
    lost = mine & (links == LINKS.index("unlinked"))
    time, unlinked = (int(module["dur"][chosen].sum()) for chosen in (mine, lost))
    share = round(unlinked / time, 6) if time else None
    return BackwardReport(int(mine.sum()), time, int(lost.sum()), unlinked, share)


def _steps(module: tir.Module, kernel: Mask) -> tuple[StepReport, ...]:
    tree = module.tree("steps")
    count = len(tree)
    first, last = _extents(module, tree.leaf, count)
    kernels = np.bincount(tree.leaf[kernel & (tree.leaf >= 0)], minlength=count)
    marks, phases = module["group.mark"], module["group.phase"]
    labels = module.text("group.mark_text")
    out = []
    for k in range(count):
        mark = int(marks[k])
        if first[k] > last[k]:
            begin, end = (int(module["ts"][mark]), int(module.end[mark])) if mark >= 0 else (0, 0)
        else:
            begin, end = int(first[k]), int(last[k])
        phase = PHASES[phases[k]] if phases[k] >= 0 else None
        out.append(StepReport(k, labels[k] or "", begin, end, int(kernels[k]), phase))
    return tuple(out)


def _extents(module: tir.Module, leaf: Array, count: int) -> tuple[Ints, Ints]:
    """First start and last end of the live events of each region; start above end where there are none."""
    first = np.full(count, np.iinfo(np.int64).max)
    last = np.full(count, np.iinfo(np.int64).min)
    rows = np.flatnonzero((leaf >= 0) & module.live)
    owner = leaf[rows]
    order = np.argsort(owner, kind="stable")  # nearly sorted already, since both go by time
    rows, owner = rows[order], owner[order]
    starts = np.flatnonzero(np.diff(owner, prepend=-1))
    if len(starts):
        first[owner[starts]] = np.minimum.reduceat(module["ts"][rows], starts)
        last[owner[starts]] = np.maximum.reduceat(module.end[rows], starts)
    return first, last


def _stacks(module: tir.Module) -> tuple[StackReport, ...]:
    tree = module.tree("layers")
    regions = tree.of_kind("stack")
    number = np.full(len(tree) + 1, -1, np.int64)
    number[regions] = np.arange(len(regions))
    leaf = number[tree.at("stack")]
    first, last = _extents(module, leaf, len(regions))
    layers = np.bincount(number[tree.parent[tree.of_kind("layer")]], minlength=len(regions))
    kernel = module.is_kind("dev.kernel") & module.work & (leaf >= 0)
    kernels = np.bincount(leaf[kernel], minlength=len(regions))
    templates, checks = (module.strings.decode(module[f"group.{name}"][regions]) for name in ("template", "checks"))
    directions = [DIRECTIONS[code] if code >= 0 else None for code in module["group.direction"][regions].tolist()]
    columns = {
        name: module[f"group.{name}"][regions].tolist()
        for name in ("step", "lane", "partial", "guessed", "evidence", "confidence", "kernels_per_layer")
    }
    lanes = [lane.name for lane in module.lanes]
    return tuple(
        StackReport(
            lane=lanes[columns["lane"][k]],
            step=columns["step"][k] if columns["step"][k] >= 0 else None,
            layers=int(layers[k]),
            partial=columns["partial"][k],
            evidence=EVIDENCE[columns["evidence"][k]],
            confidence=columns["confidence"][k],
            kernels=int(kernels[k]),
            template=templates[k] or "",
            kernels_per_layer=columns["kernels_per_layer"][k],
            direction=directions[k] or "forward",
            start_ns=int(first[k]),
            end_ns=int(last[k]),
            checks=checks[k] or "",
            guessed=columns["guessed"][k],
        )
        for k in range(len(regions))
    )


def _layers(module: tir.Module) -> tuple[LayerReport, ...]:
    """Every layer with its events' ids in order of time. O(n log n)."""
    tree = module.tree("layers")
    owner = tree.at("layer")
    rows = np.flatnonzero((owner >= 0) & module.live)
    rows = rows[np.argsort(owner[rows], kind="stable")]
    bounds = [*np.searchsorted(owner[rows], tree.of_kind("layer"), side="left").tolist(), len(rows)]
    ids = module["id"][rows].tolist()
    index, parent = tree.regions["index"], tree.parent
    out = []
    for k, region in enumerate(tree.of_kind("layer").tolist()):
        mine = tuple(ids[bounds[k] : bounds[k + 1]])
        if mine:
            stack = int(index[parent[region]])
            out.append(LayerReport(stack, int(index[region]), mine[0], mine[-1], mine))
    return tuple(out)
