"""What speaks against a gap being dead: a counter that read something else than 0 in it, or damage of the trace."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import Final

import attrs
import numpy as np

from traceir.ir import Array, Finding, Ints, Mask, Module, Selection, Spans
from traceir_passes.dead_gaps.columns import CLASSES, DOUBTS

_OWN: Final = frozenset({"orphan_launch", "ambiguous_launch"})
"""Findings of events without a launch: the gaps that such events end are classed so, and no other is in doubt."""
_HOLE: Final = "hole"


@attrs.frozen(eq=False)
class Candidates:
    """Gaps of devices in the times of the module, one entry each; `kind` is a position in `CLASSES`."""

    device: Ints
    start: Ints
    end: Ints
    kind: Array
    host: Ints
    next: Array


def doubts(module: Module, gaps: Candidates, despite: Collection[str], utilisation: str) -> Array:
    """For each gap a position in `DOUBTS`, -1 where nothing speaks against it. O((gaps + samples) log)."""
    out = np.full(len(gaps.start), -1, np.int16)
    out[_contradicted(module, gaps, utilisation)] = DOUBTS.index("counter")
    out[_damaged(module, gaps, despite)] = DOUBTS.index("health")
    return out


# --- health ----------------------------------------------------------------------------------------------


def covering(module: Module, despite: Collection[str]) -> Iterator[Finding]:
    """The findings that leave all gaps in doubt, since they do not say where the damage is.

    Those are the ones that make `gaps` or `dead-gaps` as a whole unreliable.
    """
    for finding in module.health:
        if finding.code in despite or finding.code in _OWN:
            continue
        if {"gaps", "dead-gaps"} & set(finding.poisons):
            yield finding


def _damaged(module: Module, gaps: Candidates, despite: Collection[str]) -> Mask:
    """Which gaps a finding covers: all for damage that may lie anywhere, else the holes."""
    if any(True for _ in covering(module, despite)):
        return np.ones(len(gaps.start), bool)
    out = np.zeros(len(gaps.start), bool)
    if _HOLE not in despite:
        for finding in module.health:
            if finding.code == _HOLE:
                out |= _holes(module, gaps, finding)
    return out


def _holes(module: Module, gaps: Candidates, finding: Finding) -> Mask:
    """The gaps that a finding of `count` holes speaks of: it counts the longest of those that may be holes.

    Such are gaps without a cause on the host, and those that it sat blocked through. What is as long as the shortest
    of these, and of their classes, is taken for one too: rather a gap too many is left than a hole closed.
    """
    size = gaps.end - gaps.start
    sync = gaps.kind == CLASSES.index("host_sync")
    odd = np.isin(gaps.kind, [CLASSES.index(name) for name in ("unexplained", "unknown_no_launch")])
    sure = np.sort(size[odd | (sync & (2 * gaps.host >= size))])[::-1]
    if not len(sure):
        return np.zeros(len(size), bool)
    least = int(sure[min(finding.count, len(sure)) - 1])
    first = np.flatnonzero(module["id"][gaps.next] == (-1 if finding.first is None else finding.first))
    if len(first):
        least = min(least, int(size[first].min()))
    return np.asarray((odd | sync) & (size >= least))


# --- counters --------------------------------------------------------------------------------------------


def _contradicted(module: Module, gaps: Candidates, utilisation: str) -> Mask:
    """Which gaps meet an instant at which a utilisation counter of their device read something else than 0."""
    out = np.zeros(len(gaps.start), bool)
    samples = np.flatnonzero(module.is_kind("ctr.sample") & module.live)
    if not len(samples):
        return out
    named = re.compile(utilisation, re.IGNORECASE)
    texts = np.array([bool(named.search(text)) for text in module.strings.texts] + [False])
    lanes = np.array([bool(named.search(f"{lane.name} {lane.label}")) for lane in module.lanes] + [False])
    device = np.array([-2 if lane.device is None else lane.device for lane in module.lanes] + [-2])
    samples = samples[texts[module["name"][samples]] | lanes[module["lane"][samples]]]
    for number in np.unique(gaps.device).tolist():
        mine, rows = gaps.device == number, samples[device[module["lane"][samples]] == number]
        out[mine] = _busy(module, rows).covered(gaps.start[mine], gaps.end[mine]) > 0
    return out


def _busy(module: Module, rows: Array) -> Spans:
    """When one of the counters that `rows` are samples of read something else than 0.

    A sample holds until the next one of its counter; the last says nothing of what follows.
    """
    order = np.lexsort((rows, module["name"][rows], module["lane"][rows]))
    rows = rows[order]
    same = (np.diff(module["lane"][rows]) == 0) & (np.diff(module["name"][rows]) == 0)
    at = module["ts"][rows]
    read = np.array([_reads(dict(args)) for args in Selection(module, rows).args()], bool)
    holds = same & read[:-1]
    return Spans.of(at[:-1][holds], at[1:][holds])


def _reads(args: dict[str, object]) -> bool:
    """Whether a sample carries a number other than 0; `value` alone counts where a table's columns stand beside it."""
    values = [args["value"]] if "value" in args else args.values()
    return any(isinstance(value, int | float) and not isinstance(value, bool) and value != 0 for value in values)
