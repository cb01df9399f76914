"""Steps: from marks, else from separators, else from repeating stacks, else from graph launches."""

from __future__ import annotations

import re
from collections import Counter
from typing import Final

import attrs
import numpy as np

import traceir as tir
from traceir.ir import Array, Ints, Mask
from traceir_passes.gaps.host import processes
from traceir_passes.group.hosts import enclosing
from traceir_passes.group.similarity import periods
from traceir_passes.group.stack import Stack
from traceir_passes.group.tokens import LaneWork

PHASES: Final = ("prefill", "decode", "mixed", "train")
_FAMILIES: Final = (
    ("profiler", re.compile(r"^ProfilerStep\b")),
    ("execute", re.compile(r"^execute_\w*context")),
    ("engine", re.compile(r"^step\s*\[")),
    ("step", re.compile(r"^(train(ing)?|engine|decode|prefill|generation|eval|model)?[\s_.]*step[\s_#:.]*\d+$", re.I)),
    ("iteration", re.compile(r"^(iter(ation)?|batch)[\s_#:.]*\d+$", re.I)),
)
_EXECUTE: Final = re.compile(r"context_(\d+).*?generation_(\d+)")
_WORDS: Final = (
    ("mixed", re.compile(r"\bmixed\b", re.I)),
    ("prefill", re.compile(r"\b(prefill|extend)\b", re.I)),
    ("decode", re.compile(r"\b(decode|generation)\b", re.I)),
    ("train", re.compile(r"\btrain", re.I)),
)


@attrs.frozen
class Step:
    """One step: its text, what it does (null where nothing says so), and the row of its mark (-1 none)."""

    label: str
    phase: str | None
    mark: int


def phase_of(text: str) -> str | None:
    """What a mark says its step does: context without generation is prefill, the reverse decode, both mixed."""
    found = _EXECUTE.search(text)
    if found:
        context, generation = int(found[1]) > 0, int(found[2]) > 0
        return {(1, 0): "prefill", (0, 1): "decode", (1, 1): "mixed"}.get((int(context), int(generation)))
    return next((phase for phase, pattern in _WORDS if pattern.search(text)), None)


def marks(module: tir.Module) -> Array:
    """The rows of the ranges that mark steps, in order of time.

    Of nested marks the outermost family that repeats is taken; if none repeats, the outermost one.
    """
    family = _families(module)
    rows = np.flatnonzero((family >= 0) & module.live)
    if not len(rows):
        return rows
    depth = _depth(enclosing(module, family >= 0), rows)
    kinds = family[rows]
    order = sorted({int(kind) for kind in kinds}, key=lambda kind: (int(depth[kinds == kind].min()), kind))
    counts = Counter(kinds.tolist())
    chosen = next((kind for kind in order if counts[kind] > 1), order[0])
    mine = (kinds == chosen) & (depth == depth[kinds == chosen].min())
    out: Array = rows[mine]
    return out


def _families(module: tir.Module) -> Array:
    """For each event the family of step marks that its name belongs to, or -1."""
    ranges = module.is_kind("host.range", "mark.step")
    table = np.full(len(module.strings), -1, np.int64)
    for code in np.unique(module["name"][ranges]).tolist():
        text = module.strings[code]
        table[code] = next((i for i, (_, pattern) in enumerate(_FAMILIES) if pattern.search(text)), -1)
    family = np.where(ranges, table[module["name"]] if len(table) else -1, -1)
    family[module.is_kind("mark.step") & (family < 0)] = len(_FAMILIES)
    return family


def _depth(above: Array, rows: Array) -> Array:
    """How many step marks enclose each of `rows`."""
    depth = np.zeros(len(rows), np.int64)
    here = above[rows]
    while (here >= 0).any():
        depth += here >= 0
        here = np.where(here >= 0, above[here], -1)
    return depth


def marked_steps(module: tir.Module) -> tuple[list[Step], Array]:
    """The steps that marks give, and for each event its step (-1 none; device work only).

    An event belongs to the step whose host range, on any thread of the same process, contains its *launch*, or
    what had that made on another thread.
    Device work without a launch takes the step of both its neighbours on the stream if they agree.
    """
    rows = marks(module)
    member = np.full(len(module), -1, np.int64)
    steps = [_step(module.strings[int(module["name"][row])], int(row)) for row in rows.tolist()]
    if not steps:
        return [], member
    process = np.append(processes(module)[0], -1)  # the last one is that of rows without a lane
    work = np.flatnonzero(module.work)
    launch = module.launch[work]
    launched, asked = work[launch >= 0], module.origin[launch[launch >= 0]]
    times, pids = module["ts"][asked], process[module["lane"][asked]]
    for pid in np.unique(process[module["lane"][rows]]).tolist():
        here = np.flatnonzero(process[module["lane"][rows]] == pid)
        begin, end = module["ts"][rows[here]], module.end[rows[here]]
        mine = pids == pid
        at = np.searchsorted(begin, times[mine], side="right") - 1
        inside = (at >= 0) & (times[mine] < end[np.maximum(at, 0)])
        member[launched[mine]] = np.where(inside, here[np.maximum(at, 0)], -1)
    return steps, member


def _step(text: str, row: int) -> Step:
    return Step(text, phase_of(text), row)


def with_orphans(works: list[LaneWork], member: Array, unlaunched: Mask) -> Array:
    """Steps with device work that has no launch joined to the step of both neighbours, if that is one."""
    out = member.copy()
    for work in works:
        mine = out[work.rows]
        lost = unlaunched[work.rows]
        if not lost.any() or lost.all():
            continue
        known = np.flatnonzero(~lost)
        after = np.searchsorted(known, np.flatnonzero(lost))
        left = np.where(after > 0, mine[known[np.maximum(after - 1, 0)]], -2)
        right = np.where(after < len(known), mine[known[np.minimum(after, len(known) - 1)]], -3)
        mine[lost] = np.where(left == right, left, -1)
        out[work.rows] = mine
    return out


def found_steps(module: tir.Module, works: list[LaneWork], stacks: list[Stack]) -> tuple[list[Step], Array]:
    """Steps without marks: separators, else repeats of the sequence of stacks, else graph launches.

    The device with most work in stacks says how many steps there are; other devices take part if theirs are as many.
    """
    member = np.full(len(module), -1, np.int64)
    lane = _main(works, stacks)
    borders = _borders(lane, stacks) if lane is not None else []
    if lane is None or not borders:
        return _by_graphs(module, works, member)
    home = module.lanes[lane.lane].device
    for device in dict.fromkeys(module.lanes[work.lane].device for work in works):
        mine = [work for work in works if module.lanes[work.lane].device == device]
        main = lane if device == home else _main(mine, [one for one in stacks if one.lane in {w.lane for w in mine}])
        own = borders if device == home else _borders(main, stacks) if main is not None else []
        if main is not None and len(own) == len(borders):
            _place(module, main, own, mine, member)
    return [Step(f"step {k}", None, -1) for k in range(len(borders))], member


def _borders(lane: LaneWork, stacks: list[Stack]) -> list[tuple[int, int]]:
    """The steps of a lane as position ranges, by separators or else by repeats."""
    mine = [stack for stack in stacks if stack.lane == lane.lane]
    return _separated(lane, [stack for stack in mine if stack.direction == "forward"]) or _repeated(lane, mine)


def _place(
    module: tir.Module, lane: LaneWork, borders: list[tuple[int, int]], works: list[LaneWork], member: Array
) -> None:
    """Give all work of a device its step: the one of its main lane in whose time it starts."""
    begin = module["ts"][lane.rows][[a for a, _ in borders]]
    end = np.array([int(module.end[lane.rows[b - 1]]) for _, b in borders])
    for work in works:
        ts = module["ts"][work.rows]
        at = np.searchsorted(begin, ts, side="right") - 1
        member[work.rows] = np.where((at >= 0) & (ts < end[np.maximum(at, 0)]), at, -1)


def _main(works: list[LaneWork], stacks: list[Stack]) -> LaneWork | None:
    """The lane with most rows in stacks."""
    size: Counter[int] = Counter()
    for stack in stacks:
        size[stack.lane] += len(stack.rows)
    return next((work for work in works if size and work.lane == size.most_common(1)[0][0]), None)


def _separated(work: LaneWork, stacks: list[Stack]) -> list[tuple[int, int]]:
    """Steps as position ranges: from the embedding before a forward stack to the sample after it, or to the next."""
    embeds = np.flatnonzero(work.tokens == ord("E"))
    samples = np.flatnonzero(work.tokens == ord("Z"))
    if not stacks or not len(embeds):
        return []
    firsts = np.searchsorted(work.rows, [int(stack.rows[0]) for stack in stacks])
    lasts = np.searchsorted(work.rows, [int(stack.rows[-1]) for stack in stacks])
    begins: list[int] = []
    for k, first in enumerate(firsts.tolist()):
        mine = _between(embeds, int(lasts[k - 1]) if k else -1, first)
        if len(mine):
            begins.append(_first_of_group(mine))
    order = np.argsort(lasts, kind="stable")
    out: list[tuple[int, int]] = []
    for k, begin in enumerate(begins):
        limit = begins[k + 1] if k + 1 < len(begins) else len(work)
        inside = order[slice(*np.searchsorted(lasts, [begin + 1, limit], sorter=order).tolist())]
        ends = _between(samples, int(lasts[inside.min()]), limit) if len(inside) else samples[:0]
        out.append((begin, int(ends[-1]) + 1 if len(ends) else limit))
    return _with_towers(out, np.sort(firsts), samples)


def _with_towers(steps: list[tuple[int, int]], firsts: Ints, samples: Ints) -> list[tuple[int, int]]:
    """Steps with the towers before their embedding: stacks between what was sampled last and a step's beginning."""
    out: list[tuple[int, int]] = []
    for begin, end in steps:
        sampled = _between(samples, -1, begin)
        floor = max(int(sampled[-1]) + 1 if len(sampled) else 0, out[-1][1] if out else 0)
        out.append((floor if len(samples) and len(_between(firsts, floor - 1, begin)) else begin, end))
    return out


def _between(positions: Ints, after: int, before: int) -> Ints:
    """The sorted positions that lie strictly between two."""
    first, stop = np.searchsorted(positions, [after + 1, before]).tolist()
    return positions[first:stop]


def _first_of_group(embeds: Array, near: int = 16) -> int:
    """The first of the embeddings that stand close together before a stack (token, position, type)."""
    first = int(embeds[-1])
    for at in embeds[::-1][1:].tolist():
        if first - at > near:
            break
        first = at
    return first


def _repeated(work: LaneWork, stacks: list[Stack]) -> list[tuple[int, int]]:
    """Steps as position ranges, one for each period of a sequence of stacks that repeats.

    Stacks that overlap (micro-batches take turns) follow no other, so together they are one member of the sequence.
    """
    begins: list[int] = []
    signs: list[tuple[tuple[int, str, str, int], ...]] = []
    last = -1
    for first, end, stack in sorted(((*_span(work, stack), stack) for stack in stacks), key=lambda item: item[:2]):
        sign = stack.layers, stack.direction, stack.title, len(stack.rows) // stack.layers
        if first > last:
            begins.append(first)
            signs.append((sign,))
        else:
            signs[-1] = *signs[-1], sign
        last = max(last, end)
    period = next((p for p in periods(signs) if 2 * p <= len(signs)), None)
    if period is None:
        return []
    begins = begins[::period]
    return list(zip(begins, [*begins[1:], len(work)], strict=True))


def _span(work: LaneWork, stack: Stack) -> tuple[int, int]:
    """Where on its lane a stack begins and ends, but for a tenth of its work that may straggle behind."""
    at = np.minimum(np.searchsorted(work.rows, stack.rows), len(work) - 1)
    own = at[work.rows[at] == stack.rows] if (work.rows[at] == stack.rows).any() else at
    return int(own[0]), int(own[9 * (len(own) - 1) // 10])


def _by_graphs(module: tir.Module, works: list[LaneWork], member: Array) -> tuple[list[Step], Array]:
    """One step for each graph launch that started device work."""
    is_graph = np.append(module.is_kind("rt.graph_launch"), False)
    launches: list[Array] = [work.launch[is_graph[work.launch]] for work in works]
    rows = np.unique(np.concatenate([np.empty(0, np.int64), *launches])).astype(np.int64)
    if not len(rows):
        return [], member
    index = np.full(len(module) + 1, -1, np.int64)
    index[rows] = np.arange(len(rows))
    for work in works:
        member[work.rows] = index[work.launch]
    return [Step(f"step {k}", None, -1) for k in range(len(rows))], member
