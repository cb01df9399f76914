"""The report of `critical-path`, made from the columns and tables of a module that it has run over."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Final

import attrs
import numpy as np

import traceir as tir
from traceir import units
from traceir.ir import Array, Ints, Module
from traceir_passes.replay import CLASSES, CODE, KINDS, in_doubt, signed

TOP: Final = 10
"""Entries of the lists of host events and of unexplained parts."""
UNEXPLAINED: Final = "path_unexplained"
IN_DOUBT: Final = "path_in_doubt"
_FEW: Final = 3
"""Names in a cell of the page, and classes in its head."""
WORK: Final = ("compute", "comm", "comm_wait", "fused", "memory")


@attrs.frozen(kw_only=True)
class RoleTime:
    """Time on the path in device work of one role; `time_share` is of the span."""

    role: str
    cls: str
    time_ns: int
    time_share: float | None
    events: int


@attrs.frozen(kw_only=True)
class HostTime:
    """Time on the path in host events of one name, where they were innermost; `example` has most of it.

    `cls` is `call` for runtime calls, else `host`.
    """

    name: str
    cls: str
    time_ns: int
    events: int
    example: int


@attrs.frozen(kw_only=True)
class LayerTime:
    """Time on the path in device work of one layer; null for the work that no layer owns."""

    name: str | None
    index: int | None
    step: str | None
    time_ns: int


@attrs.frozen(kw_only=True)
class Unexplained:
    """A part of the path that no lag explains: the event that came late by it, and what it came late after."""

    start_ns: int
    dur_ns: int
    edge: str | None
    event: int | None
    name: str | None


@attrs.frozen(kw_only=True)
class Contradiction:
    """Edges of a kind that go back in time, so that they cannot hold; they are left out of the graph."""

    edge: str
    count: int
    worst_ns: int
    event: int | None


@attrs.frozen(kw_only=True)
class Replay:
    """The unchanged graph replayed without what is unexplained: `error_share` of the span is what it misses by."""

    span_ns: int
    error_ns: int
    error_share: float | None
    unexplained_ns: int
    unexplained_share: float | None
    reliable: bool
    reason: str | None


@attrs.frozen(kw_only=True)
class Slack:
    """How much device work could begin later: events, those that could not at all, and the quartiles of the rest."""

    events: int
    critical: int
    quarter_ns: int | None
    median_ns: int | None
    three_quarters_ns: int | None


@attrs.frozen(kw_only=True)
class CriticalPathReport(tir.Report):
    """The critical path: `classes` sum to `span_ns`; `edges` say of the unexplained what it came after.

    `comm_wait_ns` is the class `comm_wait`, what of the communication on it is known to be waiting for other ranks, at
    least (see `collectives`); null where nothing is known of that.
    """

    span_ns: int
    start_ns: int
    parts: int
    classes: dict[str, int]
    counts: dict[str, int]
    edges: dict[str, int]
    comm_wait_ns: int | None
    roles: tuple[RoleTime, ...]
    host: tuple[HostTime, ...]
    layers: tuple[LayerTime, ...]
    unexplained: tuple[Unexplained, ...]
    contradictions: tuple[Contradiction, ...]
    replay: Replay
    slack: Slack

    def headline(self) -> Sequence[tir.Fact]:
        """The largest classes, and how well the edges alone explain the span."""
        if not self.span_ns:
            return ()
        named = sorted(self.classes.items(), key=lambda item: -item[1])
        some = [f"{name} {units.share(ns, self.span_ns)}" for name, ns in named if ns][:_FEW]
        more = sum(1 for _, ns in named if ns) - len(some)
        text = ", ".join(some) + (f", {more} more" if more > 0 else "")
        note = "" if self.replay.reliable else "unreliable"
        return (
            tir.Fact("critical path", text, "text", note=note),
            tir.Fact("replay without the unexplained", signed(self.replay.error_share), "text", of="span"),
        )

    def blocks(self) -> Sequence[tir.Block]:
        """The path by class, with what most of each class was."""
        if not self.span_ns:
            return ()
        rows = tuple(
            (
                name,
                units.time(ns),
                units.share(ns, self.span_ns),
                units.count(self.counts[name]),
                self._most(name),
            )
            for name, ns in sorted(self.classes.items(), key=lambda item: -item[1])
            if ns
        )
        out = [tir.Block("critical path", ("part", "time", "of span", "parts", "most of it"), rows, self._note())]
        if self.layers and self.layers[0].name is not None:
            shown = self.layers[:_FEW]
            text = tuple(
                (item.name or "in no layer", item.step or "–", units.time(item.time_ns)) for item in shown
            )  # fmt: skip
            out.append(tir.Block("layers with most of the critical path", ("layer", "step", "time"), text, detail=True))
        return out

    def _note(self) -> str:
        replay = f"replay without the unexplained: {signed(self.replay.error_share)} of the span"
        if self.contradictions:
            some = [f"{units.count(item.count)} of kind {item.edge}" for item in self.contradictions]
            worst = units.time(max(item.worst_ns for item in self.contradictions))
            replay += f"; left out, since they go back in time by up to {worst}: edges, {', '.join(some)}"
        return f"unreliable: {self.replay.reason}; {replay}" if self.replay.reason else replay

    def _most(self, name: str) -> str:
        whole = self.classes[name]
        if name in WORK:
            some = [(item.role, item.time_ns) for item in self.roles if item.cls == name]
        elif name in ("host", "call"):
            some = [(item.name, item.time_ns) for item in self.host if item.cls == name]
        elif name == "unexplained":
            some = [(f"after {edge}", ns) for edge, ns in self.edges.items()]
        else:
            return ""
        some = [item for item in some if item[1] * 100 >= whole][:_FEW]
        text = ", ".join(f"{label} {units.share(min(ns, whole), whole)}" for label, ns in some)
        return f"{text}; for other ranks, at least" if name == "comm_wait" else text


def build(module: Module, limit: float) -> CriticalPathReport:
    """The report of a module that `critical-path` has run over."""
    dur, kind = module["critical-path.lane_dur"], module["critical-path.lane_label"]
    sums = np.zeros(len(CLASSES), np.int64)
    np.add.at(sums, kind, dur)
    counts = np.bincount(kind, minlength=len(CLASSES)).tolist()
    rest = np.flatnonzero(kind == CLASSES.index("unexplained"))
    edges = {
        (KINDS[code] if code >= 0 else "begin"): int(dur[rest][module["critical-path.edge"][rest] == code].sum())
        for code in np.unique(module["critical-path.edge"][rest]).tolist()
    }
    span = int(module["critical-path.span"][0])
    return CriticalPathReport(
        span_ns=span,
        start_ns=int(module["critical-path.begin"][0]),
        parts=len(dur),
        classes={name: int(sums[code]) for code, name in enumerate(CLASSES)},
        counts={name: counts[code] for code, name in enumerate(CLASSES)},
        edges=dict(sorted(edges.items(), key=lambda item: -item[1])),
        comm_wait_ns=_comm_wait(module),
        roles=tuple(_roles(module, span)),
        host=tuple(_host(module)),
        layers=tuple(_layers(module)),
        unexplained=tuple(_unexplained(module, rest[np.argsort(-dur[rest], kind="stable")][:TOP])),
        contradictions=tuple(_contradictions(module)),
        replay=_replay(module, span, limit),
        slack=_slack(module),
    )


def _time(module: Module) -> Ints:
    """The time on the path of each event, 0 for none."""
    return np.maximum(module["critical-path.time"], 0)


def _summed(key: Array, time: Ints) -> Iterator[tuple[int, int, int, int]]:
    """For each key its sum, the number of entries, and the position of the largest; the largest sums first."""
    codes, at = np.unique(key, return_inverse=True)
    total = np.zeros(len(codes), np.int64)
    np.add.at(total, at, time)
    order = np.lexsort((np.arange(len(key))[::-1], time))
    largest = np.zeros(len(codes), np.int64)
    largest[at[order]] = order
    counts = np.bincount(at, minlength=len(codes))
    for one in np.argsort(-total, kind="stable").tolist():
        yield int(codes[one]), int(total[one]), int(counts[one]), int(largest[one])


def _roles(module: Module, span: int) -> Iterator[RoleTime]:
    """By role and class of the parts that are device work."""
    kind, edge = module["critical-path.lane_label"], module["critical-path.edge"]
    event = module["critical-path.event"]
    work = np.isin(kind, [CLASSES.index(name) for name in WORK]) & (event >= 0)
    at = np.flatnonzero(work & np.isin(edge, [CODE["work"], CODE["beside"], CODE["collective"]]))
    role = module["infer.role"][event[at]].astype(np.int64)
    for key, total, count, _ in _summed(role * len(CLASSES) + kind[at], module["critical-path.lane_dur"][at]):
        code, cls = divmod(key, len(CLASSES))
        name = module.strings[code] if code >= 0 else "unknown"
        yield RoleTime(
            role=name, cls=CLASSES[cls], time_ns=total, time_share=total / span if span else None, events=count
        )


def _comm_wait(module: Module) -> int | None:
    """What of the path waits for other ranks; None if of no collective on it that is known."""
    if any(name not in module for name in ("coll.instance", "coll.wait")):
        return None
    event, kind = module["critical-path.event"], module["critical-path.lane_label"]
    waits = kind == CLASSES.index("comm_wait")
    comm = event[(waits | (kind == CLASSES.index("comm"))) & (event >= 0)]
    instance = module["coll.instance"][comm]
    if not (module["coll.wait"][instance[instance >= 0]] != tir.NULL_I64).any():
        return None
    return int(module["critical-path.lane_dur"][waits].sum())


def _host(module: Module) -> Iterator[HostTime]:
    time = _time(module)
    calls = module.is_kind("rt")
    for cls, chosen in (("host", ~calls), ("call", calls)):
        rows = np.flatnonzero((time > 0) & ~module.work & chosen)
        for code, total, count, largest in islice(_summed(module["name"][rows], time[rows]), TOP):
            example = int(module["id"][rows[largest]])
            yield HostTime(name=module.strings[code], cls=cls, time_ns=total, events=count, example=example)


def _layers(module: Module) -> Iterator[LayerTime]:
    if not module.has_tree("layers"):
        return
    tree, time = module.tree("layers"), _time(module)
    rows = np.flatnonzero((time > 0) & module.work)
    layer = tree.at("layer")[rows]
    steps = module.tree("steps") if module.has_tree("steps") else None
    for region, total, _, largest in _summed(layer, time[rows]):
        step = int(steps.at("step")[rows[largest]]) if steps is not None else -1
        name = tree.region_name(region) if region >= 0 else None
        index = int(tree.regions["index"][region]) if region >= 0 else None
        owner = steps.region_name(step) if steps is not None and step >= 0 and region >= 0 else None
        yield LayerTime(name=name, index=index, step=owner, time_ns=total)


def _unexplained(module: Module, parts: Array) -> Iterator[Unexplained]:
    for part in parts.tolist():
        row, edge = int(module["critical-path.event"][part]), int(module["critical-path.edge"][part])
        yield Unexplained(
            start_ns=int(module["critical-path.lane_start"][part]),
            dur_ns=int(module["critical-path.lane_dur"][part]),
            edge=KINDS[edge] if edge >= 0 else None,
            event=int(module["id"][row]) if row >= 0 else None,
            name=module.strings[int(module["name"][row])] if row >= 0 else None,
        )


def _contradictions(module: Module) -> Iterator[Contradiction]:
    columns = (module[f"critical-path.{name}"].tolist() for name in ("wrong", "wrong_count", "wrong_ns", "wrong_event"))
    for kind, count, worst, row in zip(*columns, strict=True):
        event = int(module["id"][row]) if row >= 0 else None
        yield Contradiction(edge=KINDS[kind], count=count, worst_ns=worst, event=event)


def _replay(module: Module, span: int, limit: float) -> Replay:
    replayed = int(module["critical-path.replayed"][0])
    rest = module["critical-path.lane_label"] == CLASSES.index("unexplained")
    lost = int(module["critical-path.lane_dur"][rest].sum())
    doubts = [text for _, text, _ in _doubts(module, limit)]
    return Replay(
        span_ns=replayed,
        error_ns=replayed - span,
        error_share=(replayed - span) / span if span else None,
        unexplained_ns=lost,
        unexplained_share=lost / span if span else None,
        reliable=not doubts,
        reason="; ".join(doubts) or None,
    )


def _slack(module: Module) -> Slack:
    slack = module["critical-path.slack"][module.work]
    slack = slack[slack != tir.NULL_I64]
    quartiles = [int(np.percentile(slack, q)) if len(slack) else None for q in (25, 50, 75)]
    return Slack(
        events=len(slack),
        critical=int((slack == 0).sum()),
        quarter_ns=quartiles[0],
        median_ns=quartiles[1],
        three_quarters_ns=quartiles[2],
    )


def _doubts(module: Module, limit: float) -> Iterator[tuple[str, str, int]]:
    """Why the path is unreliable, if it is: code, words, and the id of the event to look at (-1 none)."""
    dur, span = module["critical-path.lane_dur"], int(module["critical-path.span"][0])
    rest = np.flatnonzero(module["critical-path.lane_label"] == CLASSES.index("unexplained"))
    lost = int(dur[rest].sum())
    if not span:
        return
    if lost > limit * span:
        part = int(rest[np.argmax(dur[rest])])
        row = int(module["critical-path.event"][part])
        id = int(module["id"][row]) if row >= 0 else -1
        before = f" before %{id}" if row >= 0 else ""
        yield (
            UNEXPLAINED,
            f"nothing in the trace explains {units.time(lost)} of the critical path ({units.share(lost, span)} of the "
            f"span), {units.time(int(dur[part]))} of it{before}",
            id,
        )
    if (damage := in_doubt(module)) is not None:
        yield IN_DOUBT, damage, -1


_MENDS: Final = {UNEXPLAINED: "record what holds the work back", IN_DOUBT: "record again as described there"}


def findings(module: Module, limit: float) -> Iterator[tir.Finding]:
    """The doubts as findings; none if there are none."""
    for code, text, id in _doubts(module, limit):
        message = f"{text[0].upper()}{text[1:]}: {_MENDS[code]}."
        yield tir.Finding(code, "warning", 1, message, id if id >= 0 else None, ("critical-path",))
