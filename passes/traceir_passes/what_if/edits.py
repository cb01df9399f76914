"""What each edit does to the edges of the event graph."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from traceir import units
from traceir.errors import UsageError
from traceir.ir import Array, Mask, Spans
from traceir_passes.replay import waits_of
from traceir_passes.what_if.capture import Costs, remove
from traceir_passes.what_if.edited import Edited
from traceir_passes.what_if.grammar import Edit
from traceir_passes.what_if.select import HOST, select
from traceir_passes.what_if.streams import move, split


def apply(edited: Edited, edit: Edit, text: str, costs: Costs) -> None:
    """Change the edges as one edit says; UsageError if it means nothing of the trace."""
    before = len(edited.touched)
    _DO[edit.verb](edited, edit, text, costs)
    assert len(edited.touched) == before + 1  # every edit says how many events it changed


def _scale(edited: Edited, edit: Edit, text: str, costs: Costs) -> None:
    """Durations of device work, or time of host threads, times a factor."""
    word = edit.what[0]
    if word.text in HOST and not word.quoted:
        at = np.flatnonzero(edited.is_kind(word.text))
        edited.scale(at, edit.factor)
        edited.touched.append(len(at))
        return
    chosen = select(edited.graph.module, word, text)
    _scale_rows(edited, chosen, edit.factor)


def _scale_rows(edited: Edited, chosen: Mask, factor: float) -> None:
    module = edited.graph.module
    _scale_work(edited, chosen & module.work, factor)
    waits = int(waits_of(module, np.flatnonzero(chosen & module.work)).sum())
    if waits and factor:
        edited.notes.append(f"{units.time(waits)} of it, which wait for other ranks, are scaled as well")
    host = np.flatnonzero(chosen & ~module.work & (module["dur"] > 0))
    for lane in np.flatnonzero(~module.device_lane).tolist():
        rows = host[module["lane"][host] == lane]
        edited.scale_host(lane, Spans.of(module["ts"][rows], module.end[rows]), factor)
    edited.touched.append(int((chosen & module.work).sum()) + len(host))


def _scale_work(edited: Edited, chosen: Mask, factor: float | Array) -> None:
    """Multiply durations of work; a factor for each row of the module, or one for all."""
    at = np.flatnonzero(edited.is_kind("work", "beside", "collective") & np.append(chosen, False)[edited.of])
    factors = np.asarray(factor, np.float64)
    edited.scale(at, factors[edited.of[at]] if factors.ndim else float(factors))


def _drop(edited: Edited, edit: Edit, text: str, costs: Costs) -> None:
    """Work is gone with the gap before it and its launch, host events with the time and the waits in them."""
    graph = edited.graph
    module = graph.module
    chosen = select(module, edit.what[0], text)
    rows = np.flatnonzero(chosen & module.work & (graph.begin >= 0))
    waits = edited.is_kind("sync") & np.append(_inside(edited, chosen & ~module.work), False)[edited.of]
    edited.residual[edited.dst[waits]] = 0
    edited.keep(~waits)
    _scale_rows(edited, chosen, 0.0)
    _launched_in_time(edited, rows)
    starts = np.isin(edited.dst, graph.begin[rows])
    edited.lag[starts & edited.is_kind("queue", "graph")] = 0
    edited.lag[edited.is_kind("call") & _mask(len(module) + 1, _lonely(edited, rows))[edited.of]] = 0
    if len(rows):
        edited.notes.append("host code around the launches that are gone is kept")
    elif len(edited.into("launch")) and chosen.any():
        edited.notes.append("what is launched in it is kept")


def _drop_gaps(edited: Edited, edit: Edit, text: str, costs: Costs) -> None:
    """Work begins as soon as its stream and what else it waits for on the device allow."""
    module = edited.graph.module
    chosen = select(module, edit.what[0], text) if edit.what else module.live
    rows = np.flatnonzero(chosen & module.work & (edited.graph.begin >= 0))
    if edit.what and not len(rows):
        word = edit.what[0]
        raise UsageError(f"The edit {text!r} of what-if means no device work by {word.text!r} at column {word.column}.")
    edited.touched.append(_launched_in_time(edited, rows))
    edited.notes.append("all but the first work of a stream is taken to be launched in time")


def _launched_in_time(edited: Edited, rows: Array) -> int:
    """Let work that follows or awaits other work wait for no launch, and for nothing unexplained; how much does."""
    graph = edited.graph
    behind = edited.into("queue", "graph", "beside", "wait", "wait_guessed")[graph.begin[rows]] >= 0
    starts = graph.begin[rows[behind]]
    edited.residual[starts] = 0
    edited.keep(~(edited.is_kind("launch") & np.isin(edited.dst, starts)))
    return len(starts)


def _drop_sync(edited: Edited, edit: Edit, text: str, costs: Costs) -> None:
    """Blocking calls no longer wait; synchronisations, which do nothing else, are gone."""
    graph = edited.graph
    module = graph.module
    sync = edited.is_kind("sync")
    calls = np.zeros(len(module), bool)
    calls[edited.of[sync]] = True
    calls |= module.is_kind("rt.sync") & module.live & (graph.begin >= 0)
    if edit.what:
        calls &= _inside(edited, select(module, edit.what[0], text))
        if not calls.any():
            word = edit.what[0]
            raise UsageError(
                f"The edit {text!r} of what-if means no call that waits for the device by {word.text!r} at column "
                f"{word.column}; leave it out to drop all there are."
            )
    edited.touched.append(int(calls.sum()))
    chosen = np.append(calls, False)
    edited.keep(~(edited.is_kind("sync") & chosen[edited.of]))
    pure = np.append(calls & module.is_kind("rt.sync"), False)
    edited.lag[edited.is_kind("call") & pure[edited.of]] = 0
    edited.residual[graph.finish[np.flatnonzero(calls)]] = 0
    if calls.any():
        edited.notes.append("what the dropped calls waited for is taken to be needed by nobody on the host")
    else:
        edited.notes.append("no call waits for the device")


def _inside(edited: Edited, chosen: Mask) -> Mask:
    """Rows that are chosen or lie within a chosen host event."""
    module = edited.graph.module
    parent, out = np.append(module.parent, -1), np.append(chosen, False)
    at = np.arange(len(module))
    inside = chosen.copy()
    while (at >= 0).any():
        inside |= out[at]
        at = parent[at]
    return inside


def _fuse(edited: Edited, edit: Edit, text: str, costs: Costs) -> None:
    """Chains of work that follow each other on a stream become one: one launch, no gaps, less memory traffic."""
    graph = edited.graph
    module = graph.module
    masks = [select(module, word, text) & module.work for word in edit.what]
    size, chains = len(masks), []
    for rows in edited.streams():
        fits = np.ones(max(len(rows) - size + 1, 0), bool)
        for number, mask in enumerate(masks):
            fits &= mask[rows[number : number + len(fits)]]
        taken = -1
        for at in np.flatnonzero(fits).tolist():
            if at > taken:
                chains.append(rows[at : at + size])
                taken = at + size - 1
    if not chains:
        words = " ".join(word.text for word in edit.what)
        raise UsageError(f"The edit {text!r} of what-if fuses nothing: no stream has {words} one after the other.")
    found = np.array(chains)
    edited.touched.append(found.size)
    _scale_work(edited, _mask(len(module), found.ravel()), 1 - edit.saving)
    later = found[:, 1:].ravel()
    starts = np.isin(edited.dst, graph.begin[later])
    edited.lag[starts & edited.is_kind("queue", "graph")] = 0
    edited.residual[graph.begin[later]] = 0
    edited.keep(~(starts & edited.is_kind("launch")))
    edited.lag[edited.is_kind("call") & _mask(len(module) + 1, _lonely(edited, later))[edited.of]] = 0
    edited.notes.append("host code around the launches that are gone is kept")


def _lonely(edited: Edited, rows: Array) -> Array:
    """The launch calls of some work that launched nothing else."""
    module = edited.graph.module
    launch = module.launch
    work = np.flatnonzero(module.work)
    counts = np.bincount(launch[work][launch[work] >= 0], minlength=len(module))
    calls = launch[rows]
    calls = calls[calls >= 0]
    return np.asarray(calls[counts[calls] == 1])


def _mask(size: int, rows: Array) -> Mask:
    out = np.zeros(size, bool)
    out[rows] = True
    return out


def _bandwidth(edited: Edited, edit: Edit, text: str, costs: Costs) -> None:
    """The transfers of a process group are faster; what does not depend on their bytes stays."""
    module, word = edited.graph.module, edit.what[0]
    if "coll.instance" not in module or "coll.group" not in module:
        raise UsageError(
            f"The edit {text!r} of what-if needs to know the collectives: write collectives before what-if in the "
            "pipeline."
        )
    instance = module["coll.instance"]
    groups = module.text("coll.group")
    wanted = np.array([word.text in ("all", group) for group in groups] + [False])
    chosen = module.work & (instance >= 0) & wanted[instance]
    if not chosen.any():
        known = ", ".join(sorted({group for group in groups if group})) or "no named groups"
        raise UsageError(
            f"The edit {text!r} of what-if means no group by {word.text!r} at column {word.column}; there are {known}, "
            "and all."
        )
    fixed = _fixed(edited, chosen)
    dur = np.maximum(module["dur"], 1)
    _scale_work(edited, chosen, (fixed + (dur - fixed) * edit.factor) / dur)
    edited.touched.append(int(chosen.sum()))


def _fixed(edited: Edited, chosen: Mask) -> Array:
    """The part of each collective that does not depend on its bytes: where its kind's line through two sizes starts.

    The line goes through the shortest of the fewest bytes and of the most. 0, with a note, where all are of one size.
    What is known, and not only guessed, to be waiting for other ranks comes on top.
    """
    module = edited.graph.module
    fixed = np.zeros(len(module), np.float64)
    instance, unsure = module["coll.instance"], False
    moved = np.append(module["coll.bytes"], -1)[instance] if "coll.bytes" in module else np.full(len(module), -1)
    for kind in np.unique(module["coll.kind"][chosen]).tolist():
        rows = np.flatnonzero(chosen & (module["coll.kind"] == kind) & (moved > 0))
        least, most = (int(moved[rows].min()), int(moved[rows].max())) if len(rows) else (0, 0)
        if least == most:
            unsure = True
            continue
        low, high = (int(module["dur"][rows[moved[rows] == size]].min()) for size in (least, most))
        start = low - (high - low) * least / (most - least)
        rows = np.flatnonzero(chosen & (module["coll.kind"] == kind))
        fixed[rows] = np.clip(start, 0, module["dur"][rows])
    if unsure:
        edited.notes.append("of collectives of one size the whole time but for known waits counts as transfer")
    rows = np.flatnonzero(chosen)
    fixed[rows] = np.minimum(fixed[rows] + waits_of(module, rows, guesses=False), module["dur"][rows])
    return fixed


def _move(edited: Edited, edit: Edit, text: str, costs: Costs) -> None:
    """Work moves to a stream of its own, joined again before its first reader."""
    _onto(edited, edit, text, move)


def _split(edited: Edited, edit: Edit, text: str, costs: Costs) -> None:
    """An all-reduce becomes a reduce-scatter in its place and an all-gather, later, on a stream of its own."""
    _onto(edited, edit, text, split)


def _onto(edited: Edited, edit: Edit, text: str, change: Callable[[Edited, Mask, Mask | None, int], int]) -> None:
    module = edited.graph.module
    chosen = select(module, edit.what[0], text) & module.work
    reader = select(module, edit.what[1], text) if len(edit.what) > 1 else None
    if not chosen.any():
        word = edit.what[0]
        raise UsageError(f"The edit {text!r} of what-if means no device work by {word.text!r} at column {word.column}.")
    unread = change(edited, chosen, reader, edit.past or 0)
    edited.touched.append(int(chosen.sum()))
    if unread:
        edited.notes.append(f"{unread} have no reader behind them, so nothing waits for these")


def _remove(edited: Edited, edit: Edit, text: str, costs: Costs) -> None:
    """Launches between two waits become one graph launch."""
    calls, regions = remove(edited, costs)
    edited.touched.append(calls)
    if calls:
        graphs = "1 graph launch" if regions == 1 else f"{regions} graph launches"
        edited.notes.append(f"{calls} launches as {graphs}; the graphs' inputs are taken to need no further copies")


_DO: Final[dict[str, Callable[[Edited, Edit, str, Costs], None]]] = {
    "scale": _scale, "drop": _drop, "drop gaps": _drop_gaps, "drop sync": _drop_sync,
    "remove": _remove, "move": _move, "split": _split, "fuse": _fuse,
    "bandwidth": _bandwidth,
}  # fmt: skip

__all__ = ["Costs", "apply"]
