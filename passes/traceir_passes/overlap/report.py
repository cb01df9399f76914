"""The report of `overlap`: accounts as rows, and what the communication consisted of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import attrs
import numpy as np

import traceir as tir
from traceir import units
from traceir.ir import Array, Module
from traceir_passes.overlap import scopes
from traceir_passes.overlap.account import KEYS
from traceir_passes.overlap.classes import Work


@attrs.frozen
class Account:
    """The account of a device, or of its events that a step or a layer owns; times in ns.

    `overlap_ratio` is overlap over communication, null without any. `unreliable` lists why the figures may be
    wrong.
    """

    device: int | None
    events: int
    time_ns: int
    start_ns: int
    end_ns: int
    span_ns: int
    busy_ns: int
    compute_ns: int
    comm_ns: int
    memory_ns: int
    fused_ns: int
    overlap_ns: int
    exposed_ns: int
    exposed_any_ns: int
    memory_exposed_ns: int
    fused_exposed_ns: int
    comm_meta_ns: int
    idle_ns: int
    foreign_ns: int
    unknown_ns: int
    overlap_ratio: float | None
    unreliable: tuple[str, ...]


@attrs.frozen
class DeviceAccount(Account):
    """A device. `same_stream`: all its communication lies on lanes that also compute, so that it cannot hide
    behind their own compute (null without communication)."""

    same_stream: bool | None


@attrs.frozen
class StepAccount(Account):
    """A step on one device; `label` is its mark's text, else its name. Both are null for work that no step owns."""

    index: int | None
    label: str | None


@attrs.frozen
class LayerAccount(Account):
    """A layer on one device; `stack`, `index` and `name` are null for the work that no layer owns.

    `step` is the step of all its events there, null if there is none or they are of several.
    """

    step: int | None
    stack: int | None
    index: int | None
    name: str | None


@attrs.frozen
class Communication:
    """Communication of one kind on one device: `time_ns` sums durations, `union_ns` counts concurrent time once,
    `exposed_ns` is the part of the union during which the device does not compute."""

    device: int | None
    role: str | None
    kind: str | None
    library: str | None
    count: int
    time_ns: int
    union_ns: int
    exposed_ns: int


@attrs.frozen
class Hider:
    """How long compute of one role ran beside the device's communication (roles may run at the same time)."""

    device: int | None
    role: str | None
    beside_ns: int


@attrs.frozen
class OverlapReport(tir.Report):
    """Accounts of devices, steps and layers; the communication by role, kind and library; what hid it."""

    devices: tuple[DeviceAccount, ...]
    steps: tuple[StepAccount, ...]
    layers: tuple[LayerAccount, ...]
    communication: tuple[Communication, ...]
    hidden_by: tuple[Hider, ...]

    def headline(self) -> Sequence[tir.Fact]:
        """Busy time and communication of each device, or of the least and most exposed one of many."""
        shown = self.devices
        if len(shown) > 2:
            talking = [device for device in shown if device.comm_ns] or list(shown)
            ends = (min(talking, key=_exposed_share), max(talking, key=_exposed_share))
            shown = tuple(device for device in shown if device in ends)
        return [
            fact
            for device in shown
            for fact in _facts(
                device, "" if len(self.devices) < 2 else f" gpu{'?' if device.device is None else device.device}"
            )
        ]

    def blocks(self) -> Sequence[tir.Block]:
        """A row per device where there are several, and communication by kind, where there is any."""
        out = [_devices(self.devices)] if len(self.devices) > 1 else []
        if not self.communication:
            return out
        rows = tuple(
            (
                "?" if item.device is None else str(item.device),
                item.kind or item.role or "unknown",
                item.library or "unknown",
                str(item.count),
                units.time(item.union_ns),
                units.time(item.exposed_ns),
            )
            for item in sorted(self.communication, key=lambda item: -item.exposed_ns)
        )
        columns = ("device", "kind", "library", "count", "time (union)", "exposed")
        return [*out, tir.Block("communication by kind", columns, rows, detail=True)]


def build(module: Module, work: Work, unknown_warn: float) -> OverlapReport:
    """The report of a module that `overlap` has run over."""
    found = scopes.devices(module, work)
    same = {device.number: _same_stream(module, device) for device in found}
    rows, _ = _accounts(module, "device", unknown_warn)
    whole = [DeviceAccount(*(*values, same[-1 if values[0] is None else values[0]])) for values in rows]
    return OverlapReport(
        tuple(whole),
        tuple(_steps(module, unknown_warn)),
        tuple(_layers(module, work, unknown_warn)),
        tuple(item for device in found for item in _communication(module, device)),
        tuple(item for device in found for item in _hiders(module, device)),
    )


def _devices(devices: Sequence[DeviceAccount]) -> tir.Block:
    """The devices side by side, the most exposed first."""
    rows = tuple(
        (
            f"gpu{'?' if item.device is None else item.device}",
            units.time(item.span_ns),
            f"{units.time(item.busy_ns)} {units.share(item.busy_ns, item.span_ns)}",
            units.time(item.comm_ns) if item.comm_ns else "none",
            f"{units.time(item.exposed_ns)} {units.share(item.exposed_ns, item.comm_ns)}" if item.comm_ns else "none",
            f"{units.time(item.idle_ns)} {units.share(item.idle_ns, item.span_ns)}",
        )
        for item in sorted(devices, key=lambda item: -item.exposed_ns)
    )
    columns = ("device", "span", "busy, of span", "communication", "exposed, of it", "idle, of span")
    return tir.Block("devices", columns, rows)


def _accounts(module: Module, kind: str, unknown_warn: float) -> tuple[Iterator[tuple[Any, ...]], list[int | None]]:
    """The rows of `table:overlap` of one scope as the fields of an `Account`, and their regions.

    Built by columns, since a trace may have a hundred thousand layers.
    """
    chosen = np.flatnonzero(module["overlap.scope"] == scopes.SCOPES.index(kind))
    column = {name: module[f"overlap.{name}"][chosen] for name in ("device", "region", *KEYS)}
    comm = column["comm_ns"]
    ratio = np.divide(column["overlap_ns"], comm, out=np.zeros(len(comm)), where=comm > 0)
    doubtful = column["unknown_ns"] > unknown_warn * column["busy_ns"]
    fields = [
        _or_none(column["device"]),
        *(column[name].tolist() for name in KEYS),
        [value if known else None for value, known in zip(ratio.tolist(), (comm > 0).tolist(), strict=True)],
        [("unknown_roles",) if doubt else () for doubt in doubtful.tolist()],
    ]
    return zip(*fields, strict=True), _or_none(column["region"])


def _or_none(values: Array) -> list[int | None]:
    return [None if value == tir.NULL_I64 else value for value in values.tolist()]


def _steps(module: Module, unknown_warn: float) -> Iterator[StepAccount]:
    marks = module.text("group.mark_text") if "group.mark_text" in module else None
    for values, region in zip(*_accounts(module, "step", unknown_warn), strict=True):
        if region is None:
            yield StepAccount(*(*values, None, None))
            continue
        tree = module.tree("steps")
        label = (marks[region] if marks else None) or tree.region_name(region)
        yield StepAccount(*(*values, int(tree.regions["index"][region]), label))


def _layers(module: Module, work: Work, unknown_warn: float) -> Iterator[LayerAccount]:
    rows, regions = _accounts(module, "layer", unknown_warn)
    if not module.has_tree("layers"):
        yield from (LayerAccount(*(*values, None, None, None, None)) for values in rows)
        return
    tree = module.tree("layers")
    stacks, number, names = (
        tree.ancestor("stack").tolist(),
        tree.regions["index"].tolist(),
        tree.regions["name"].tolist(),
    )
    step_of = _step_of_layers(module, work)
    for values, region in zip(rows, regions, strict=True):
        if region is None:
            yield LayerAccount(*(*values, None, None, None, None))
            continue
        stack = stacks[region]
        place = step_of.get((values[0], region)), number[stack] if stack >= 0 else None, number[region]
        yield LayerAccount(*(*values, *place, module.strings[names[region]]))


def _step_of_layers(module: Module, work: Work) -> dict[tuple[int | None, int], int]:
    """The index of the one step that all events of a layer on a device belong to; layers of several are left out."""
    if not module.has_tree("steps"):
        return {}
    layer, step = (module.tree(name).at(kind)[work.rows] for name, kind in (("layers", "layer"), ("steps", "step")))
    inside = np.flatnonzero(layer >= 0)
    if not len(inside):
        return {}
    order = inside[np.lexsort((layer[inside], work.device[inside]))]
    device, region = work.device[order], layer[order]
    begins = np.flatnonzero(np.append(True, (device[1:] != device[:-1]) | (region[1:] != region[:-1])))
    least, most = np.minimum.reduceat(step[order], begins), np.maximum.reduceat(step[order], begins)
    index = module.tree("steps").regions["index"]
    one = begins[(least == most) & (least >= 0)]
    return {
        (None if number < 0 else number, own): owner
        for number, own, owner in zip(
            device[one].tolist(), region[one].tolist(), index[step[order[one]]].tolist(), strict=True
        )
    }


def _same_stream(module: Module, device: scopes.Device) -> bool | None:
    lane = module["lane"][device.rows]
    talking, computing = np.unique(lane[device.work.comm]), np.unique(lane[device.work.compute])
    if not len(talking):
        return None
    return len(talking) == 1 and set(talking.tolist()) == set(computing.tolist())


def _communication(module: Module, device: scopes.Device) -> Iterator[Communication]:
    """The communication of a device by role, kind and library, in order of first appearance."""
    rows = device.rows[device.work.comm]
    roles, kinds, libraries = module["infer.role"][rows], module["coll.kind"][rows], _libraries(module, rows)
    keys = np.stack([roles, kinds, libraries]).astype(np.int64)
    _, first, group = np.unique(keys, axis=1, return_index=True, return_inverse=True)
    named = module.annotations["coll.kind"].annotation.values
    starts, ends = module["ts"][rows], module.end[rows]
    for which in np.argsort(first, kind="stable").tolist():
        chosen, example = group.ravel() == which, int(first[which])
        spans = tir.Spans.of(starts[chosen], ends[chosen])
        yield Communication(
            device=None if device.number < 0 else device.number,
            role=_text(module, roles[example]),
            kind=None if kinds[example] < 0 else named[kinds[example]],
            library=_text(module, libraries[example]),
            count=int(chosen.sum()),
            time_ns=int((ends - starts)[chosen].sum()),
            union_ns=spans.length,
            exposed_ns=(spans - device.sets.compute).length,
        )


def _libraries(module: Module, rows: Array) -> Array:
    """The library of each row's collective, as a code of the string pool; -1 where it is not known."""
    if "coll.library" not in module or "coll.instance" not in module:
        return np.full(len(rows), -1, np.int64)
    return np.append(module["coll.library"], -1)[module["coll.instance"][rows]]


def _hiders(module: Module, device: scopes.Device) -> Iterator[Hider]:
    role, compute = module["infer.role"][device.rows], device.work.compute
    for code in np.unique(role[compute]).tolist() if len(device.sets.comm) else ():
        chosen = compute & (role == code)
        spans = tir.Spans.of(device.work.start[chosen], device.work.end[chosen])
        if beside := (spans & device.sets.comm).length:
            yield Hider(None if device.number < 0 else device.number, _text(module, code), beside)


def _text(module: Module, code: int) -> str | None:
    return None if code < 0 else module.strings[code]


def _exposed_share(device: DeviceAccount) -> float:
    return device.exposed_ns / device.busy_ns if device.busy_ns else 0.0


def _facts(device: DeviceAccount, tag: str) -> Iterator[tir.Fact]:
    """The figures of one device's head line."""
    yield tir.Fact(f"span{tag}", device.span_ns, "ns")
    yield tir.Fact(f"busy{tag}", device.busy_ns, "ns", of="span", whole=device.span_ns)
    if not device.comm_ns:
        yield tir.Fact(f"communication{tag}", "none", "ns")
    else:
        yield tir.Fact(f"communication{tag}", device.comm_ns, "ns", of="busy", whole=device.busy_ns)
        note = "same stream as the compute, so it cannot hide" if device.same_stream else ", ".join(device.unreliable)
        yield tir.Fact(f"exposed{tag}", device.exposed_ns, "ns", "communication", note, device.comm_ns)
    if device.fused_ns:
        yield tir.Fact(f"fused communication{tag}", device.fused_ns, "ns", of="busy", whole=device.busy_ns)
    yield tir.Fact(f"idle{tag}", device.idle_ns, "ns", of="span", whole=device.span_ns)
