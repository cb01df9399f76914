"""One instance in full: the device events of a region or of an op, beside the median of its like."""

from __future__ import annotations

import difflib
from collections.abc import Iterator

import attrs
import numpy as np

from traceir.errors import UsageError
from traceir.folding.gaps import GapTable
from traceir.folding.model import Sum
from traceir.folding.steps import alike, stack_places
from traceir.folding.templates import slotted
from traceir.folding.work import OneStep, Work, gather
from traceir.ir import Array, Ints, Module, Spans

_OP = "op"
"""In place of a region's kind and tree: the events of one label."""
_NAMES_MOST = 20_000
"""Names among which the nearest is looked for: comparing texts is slow, and more would not be read."""


@attrs.frozen
class Event:
    """One device event of an instance. `start_ns` counts from the instance's start; `like_ns` is the median of
    what stands in its place in like instances, None if there is none; `exposed_ns` is None if it is not known,
    and `sums` has its values of the other columns that passes declared to be summed.
    """

    id: int
    start_ns: int
    dur_ns: int
    lane: str
    label: str
    symbol: str
    like_ns: int | None
    exposed_ns: int | None
    sums: tuple[Sum, ...] = ()


@attrs.frozen
class Idle:
    """A stretch within an instance in which its device did nothing; `cause` is None if no pass has judged it.

    `blame` is the (name, id) of the event that it is due to, None if none is known.
    """

    start_ns: int
    dur_ns: int
    device: int
    cause: str | None
    blame: tuple[str, int] | None


@attrs.frozen
class Instance:
    """One instance of what repeats: `name` in full, and in `others` what else the asked name fits, in order of time.

    `span_ns` is its extent, `work_ns` the sum of its events' durations, and `like_work_ns` the median of that over
    the `like` instances of its kind, itself among them. `foreign` counts device events of others within its extent.
    `idle` lies within the extent; `lead` is the idle stretch that ends where the instance begins, if there is one.
    """

    asked: str
    name: str
    step: str
    others: tuple[str, ...]
    fits: int
    start_ns: int
    span_ns: int
    work_ns: int
    like: int
    like_work_ns: int
    foreign: int
    events: tuple[Event, ...]
    idle: tuple[Idle, ...]
    lead: Idle | None
    left_out: int


@attrs.frozen(eq=False)
class _Found:
    """What a name means: the positions of the work of each region (or op) that it fits, in order of time."""

    names: tuple[str, ...]
    at: Array
    kind: str
    tree: str


def open_instance(module: Module, name: str, most: int) -> Instance:
    """The first instance in time that a name fits; UsageError if it fits none.

    A name is a region's (`step.2`, `stack.0.layer.3`, `stack.0.layer.3.mlp`), the end of one (`layer.3`), an op's
    label (`attention`), or one within the other (`step.2.layer.3`, `layer.3.qkv_proj`). Regions go before labels.
    At most `most` events are listed. O(n log n) in device events.
    """
    work = gather(module)
    everything = np.ones(len(work.rows), bool)
    found = _find(work, name, everything)
    if found is None:
        raise UsageError(_unknown(work, name))
    return _describe(work, name, found, most)


def _trees(module: Module) -> list[str]:
    """The trees of a module: steps and layers first, since they are what people mean."""
    names = [table.partition(":")[2] for table in module.tables if table.startswith("region:")]
    return sorted(names, key=lambda tree: (tree != "steps", tree != "layers", tree))


def _find(work: Work, name: str, scope: Array) -> _Found | None:
    found = _region(work, name, scope)
    if found is not None:
        return found
    # The longest beginning that is a region, with the rest inside it: `step.2.layer.3`, `layer.3.qkv_proj`.
    parts = name.split(".")
    for cut in range(len(parts) - 1, 0, -1):
        outer = _region(work, ".".join(parts[:cut]), scope)
        if outer is None:
            continue
        inside = np.zeros(len(work.rows), bool)
        inside[outer.at] = True
        inner = _find(work, ".".join(parts[cut:]), inside & scope)
        if inner is not None:
            return inner
    return _op(work, name, scope)


def _region(work: Work, name: str, scope: Array) -> _Found | None:
    """The regions called `name`, or whose names end with it, that have work within `scope`."""
    for tree_name in _trees(work.module):
        tree = work.module.tree(tree_name)
        names = [work.name(code) for code in tree.regions["name"].tolist()]
        fits = [i for i, text in enumerate(names) if text == name] or [
            i for i, text in enumerate(names) if text.endswith("." + name)
        ]
        for kind in dict.fromkeys(tree.kind(region) for region in fits):
            owner = tree.at(kind)[work.rows]
            inside = np.flatnonzero(np.isin(owner, [i for i in fits if tree.kind(i) == kind]) & scope)
            if len(inside):
                regions, first = np.unique(owner[inside], return_index=True)
                ordered = regions[np.argsort(first, kind="stable")].tolist()
                at = inside[owner[inside] == ordered[0]]
                return _Found(tuple(names[i] for i in ordered), at, kind, tree_name)
    return None


def _op(work: Work, name: str, scope: Array) -> _Found | None:
    """The events of a label in the first layer (else the first step) that has it."""
    codes = {work.module.strings.code(text) for text in (name, name.replace("_", "-"))} - {-1}
    fits = np.flatnonzero(np.isin(work.label, list(codes)) & scope) if codes else np.empty(0, np.int64)
    if not len(fits):
        return None
    place = _place_of(work)
    places, first = np.unique(place[fits], return_index=True)
    ordered = places[np.argsort(first, kind="stable")].tolist()
    at = fits[place[fits] == ordered[0]]
    return _Found(tuple(_name_of(work, item) + name for item in ordered), at, _OP, _OP)


def _place_of(work: Work) -> Ints:
    """For each event its layer, or its step where it lies in no layer, as one code."""
    return np.where(work.layer >= 0, 2 * work.layer.astype(np.int64), 2 * work.step.astype(np.int64) + 1)


def _name_of(work: Work, place: int) -> str:
    region, tree = place // 2, (work.layers, work.steps)[place % 2]
    return f"{tree.name(region)}." if region >= 0 else ""


def _unknown(work: Work, name: str) -> str:
    trees = _trees(work.module)
    names: dict[str, None] = {}
    for tree_name in trees:
        tree = work.module.tree(tree_name)
        for code in tree.regions["name"].tolist()[:_NAMES_MOST]:
            text = work.name(code)
            names[text] = None
            if "layer." in text:
                names[text[text.index("layer.") :]] = None
    for code in np.unique(work.label[work.label >= 0]).tolist():
        names[work.name(code).replace("-", "_")] = None
    near = difflib.get_close_matches(name, list(names)[:_NAMES_MOST], n=3, cutoff=0.3)
    text = f"There is no step, layer or op named {name!r} with device work"
    if near:
        text += f"; the nearest {'name is' if len(near) == 1 else 'names are'} {_listed(near)}"
    if not any(len(work.module.tree(tree)) for tree in trees):
        text += "; the trace has no steps or layers here: the pass group looks for them"
    return text + "."


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _describe(work: Work, asked: str, found: _Found, most: int) -> Instance:
    module, at = work.module, found.at
    rows = work.rows[at]
    low, high = int(module["ts"][rows].min()), int(module.end[rows].max())
    all_like, instance = _like(work, found)
    sums = np.bincount(instance, weights=work.dur[all_like])
    shown = at[:most]
    like = _medians(work, all_like, instance, shown)
    devices = np.unique(module.device[rows])
    others = np.isin(module.device[work.rows], devices)
    others &= (module["ts"][work.rows] < high) & (module.end[work.rows] > low)
    others[at] = False
    idle = _idle(work, devices.tolist(), low, min(high, int(module.end[work.rows[shown[-1]]])))
    return Instance(
        asked=asked,
        name=found.names[0],
        step=work.steps.name(int(work.step[at[0]])),
        others=found.names[1:4],
        fits=len(found.names),
        start_ns=low,
        span_ns=high - low,
        work_ns=int(work.dur[at].sum()),
        like=len(sums),
        like_work_ns=int(np.median(sums)),
        foreign=int(others.sum()),
        events=tuple(_events(work, shown, low, like)),
        idle=tuple(gap for gap in idle if gap.start_ns >= 0),
        lead=next((gap for gap in idle if gap.start_ns + gap.dur_ns == 0), None),
        left_out=len(at) - len(shown),
    )


def _events(work: Work, at: Array, low: int, like: list[int | None]) -> Iterator[Event]:
    module = work.module
    for number, position in enumerate(at.tolist()):
        row = int(work.rows[position])
        here = np.array([position])
        yield Event(
            id=int(module["id"][row]),
            start_ns=int(module["ts"][row]) - low,
            dur_ns=int(work.dur[position]),
            lane=module.lanes[int(work.lane[position])].name,
            label=work.label_of(position),
            symbol=work.name(int(work.symbol[position])),
            like_ns=like[number],
            exposed_ns=work.exposed_of(here),
            sums=work.sums_of(here),
        )


def _like(work: Work, found: _Found) -> tuple[Array, Array]:
    """The work of all like instances, this one among them, and the number of each event's instance.

    Like is what folds together: layers of one template at the same place of like steps, stacks at the same place, like
    steps. Blocks are like those of their name, ops those of their label, in such layers (or, outside layers, in such
    steps).
    """
    first = found.at[0]
    steps = next(group for group in alike(work) if any(one.region == work.step[first] for one in group))
    at = np.sort(np.concatenate([one.at for one in steps]))
    if found.tree in ("layers", _OP):
        place = _places(work, steps)
        at = at[place[at] == place[first]]
        if work.layer[first] >= 0 and found.kind != "stack":
            at = _of_template(work, at, int(work.layer[first]))
    if found.tree == _OP:
        at = at[np.isin(work.label[at], np.unique(work.label[found.at]))]
        owner = _place_of(work)[at]
    else:
        tree = work.module.tree(found.tree)
        owner = tree.at(found.kind)[work.rows[at]]
        wanted = np.ones(len(tree), bool)
        if found.kind == "block":
            own = found.names[0].rpartition(".")[2]
            wanted[:] = [work.name(code).rpartition(".")[2] == own for code in tree.regions["name"].tolist()]
        keep = np.append(wanted, False)[owner]
        at, owner = at[keep], owner[keep]
    return at, np.unique(owner, return_inverse=True)[1]


def _of_template(work: Work, at: Array, layer: int) -> Array:
    """The work of those layers that are of the template of one of them."""
    at = at[work.layer[at] >= 0]
    layers, instance = np.unique(work.layer[at], return_inverse=True)
    template = slotted(work, at, instance, work.module.tree("layers").regions["index"][layers]).template
    return np.asarray(at[(template == template[np.searchsorted(layers, layer)])[instance]])


def _places(work: Work, steps: list[OneStep]) -> Ints:
    """For each event where the stack that it lies in folds in its step; -1 outside stacks."""
    place = np.full(int(work.stack.max(initial=-1)) + 2, -1, np.int64)
    found = stack_places(work, steps)
    place[list(found)] = list(found.values())
    return place[work.stack]


def _medians(work: Work, at: Array, instance: Array, shown: Array) -> list[int | None]:
    """For each event of the instance the median of what stands in its place in its like: the k-th of its op there."""
    if len(np.unique(instance)) < 2:
        return [None] * len(shown)
    order = np.lexsort((np.arange(len(at)), work.key[at], instance))
    key, owner = work.key[at][order], instance[order]
    new = np.append(True, (key[1:] != key[:-1]) | (owner[1:] != owner[:-1]))
    begin = np.maximum.accumulate(np.where(new, np.arange(len(at)), 0))
    rank = np.empty(len(at), np.int64)
    rank[order] = np.arange(len(at)) - begin
    slot = work.key[at].astype(np.int64) * (int(rank.max(initial=0)) + 1) + rank
    wanted = slot[np.searchsorted(at, shown)]  # both stand in order of positions
    by_slot = np.argsort(slot, kind="stable")
    first = np.searchsorted(slot[by_slot], wanted, side="left")
    last = np.searchsorted(slot[by_slot], wanted, side="right")
    dur = work.dur[at][by_slot]
    return [int(np.median(dur[a:b])) if b - a > 1 else None for a, b in zip(first.tolist(), last.tolist(), strict=True)]


def _idle(work: Work, devices: list[int], low: int, high: int) -> list[Idle]:
    """The idle stretches of some devices that end after `low` and begin before `high`, in order of time."""
    module, table = work.module, GapTable.of(work)
    out = []
    for device in devices:
        if table is None:
            rows = work.rows[module.device[work.rows] == device]
            busy = Spans.of(module["ts"][rows], module.end[rows])
            idle = busy.gaps(int(busy.starts[0]), int(busy.ends[-1]))
            inside = np.flatnonzero((idle.ends >= low) & (idle.starts < high))
            pairs = zip(idle.starts[inside].tolist(), idle.ends[inside].tolist(), strict=True)
            out += [Idle(a - low, b - a, device, None, None) for a, b in pairs]
            continue
        gaps = table.on_device(device)
        for gap in gaps[(table.end[gaps] >= low) & (table.start[gaps] < high)].tolist():
            blame, start = int(table.blame[gap]), int(table.start[gap])
            name = (module.strings[int(module["name"][blame])], int(module["id"][blame])) if blame >= 0 else None
            cause = table.cause_name(int(table.cause[gap]))
            out.append(Idle(start - low, int(table.end[gap]) - start, device, cause, name))
    return sorted(out, key=lambda item: item.start_ns)
