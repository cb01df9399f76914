"""Laws: what folding must not lose."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

import traceir as tir


def broken(module: tir.Module) -> Iterator[str]:
    """The laws that do not hold, a sentence each. O(n)."""
    op, instance = module["fold.op"], module["fold.instance"]
    if ((op >= 0) != module.work).any():
        yield "Every device event has an op of a template, and nothing else has; here it is not so."
        return
    rows = np.flatnonzero(op >= 0)
    parent, count = module.tables["region:fold"]["parent"], len(module.tables["region:fold"])
    if (parent[op[rows]] != module["fold.template"][instance[rows]]).any():
        yield "An event's op is one of the template of its instance; here an event has another template's."
    dur = module["dur"][rows]
    by_op = np.bincount(op[rows], weights=dur, minlength=count)
    of_op = module.is_in("fold.label", [text for text in dict.fromkeys(module.text("fold.label")) if text])
    if (by_op[of_op] != module["fold.total"][of_op]).any():
        yield "The total of an op is the sum of its events' durations; here it is not."
    work = np.bincount(instance[rows], weights=dur, minlength=len(module["fold.work"]))
    layer = module["fold.layer"] >= 0
    if (work != module["fold.work"])[layer].any():
        yield "The work of a layer is the sum of its events' durations; here it is not."
    if int(module["fold.work"][~layer].sum()) != int(dur.sum()):
        yield "The work of all steps, with what lies outside of them, is all device work; here it is not."
