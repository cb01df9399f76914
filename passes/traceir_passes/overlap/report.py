"""The report of `overlap`: accounts as rows, and what the communication consisted of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import attrs

import traceir as tir
from traceir import units
from traceir_passes.overlap.vendor import Difference

_MOST: Final = 20
"""Collectives on the page; JSON has them all."""
_FIGURES: Final = {
    "comm_ns": "communication", "overlap_ns": "hidden", "compute_ns": "compute", "busy_ns": "busy", "idle_ns": "idle",
}  # fmt: skip
"""The figures of a comparison on the page; JSON has more."""


@attrs.frozen
class Account:
    """The account of a device, or of its events that a region or a collective owns; times in ns.

    `overlap_ratio` is overlap over communication, null without any. `unknown_share` is the share of the busy time that
    is of unknown role, null without any, and `overlap_unknown_ns` the part of the overlap that hangs on such work.
    `hidden_by` is the role of compute that ran longest beside the communication, for `hidden_by_ns`. `unreliable` lists
    why the figures may be wrong.
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
    overlap_unknown_ns: int
    hidden_by_ns: int
    overlap_ratio: float | None
    unknown_share: float | None
    hidden_by: str | None
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
class BlockAccount(Account):
    """A block (attention, mlp, moe) on one device; `index` and `name` are null for the work that no block owns.

    `layer` is the name of the layer that it is in, null if it is in none.
    """

    layer: str | None
    index: int | None
    name: str | None


@attrs.frozen
class MicrobatchAccount(Account):
    """A micro-batch on one device; `index` and `name` are null for the work that no micro-batch owns."""

    index: int | None
    name: str | None


@attrs.frozen
class CollectiveAccount:
    """A collective on one device: `event` is the id of its first event. What the trace does not say is null.

    Keys are those of `Account` without what a single collective has no use for, since there may be very many. Of a
    kernel that fuses it with compute, `fused_ns` is its time and `comm_ns` is 0. `unknown_share` is the share of its
    communication that only kernels of unknown role hide, null without any.
    """

    device: int | None
    event: int | None
    kind: str | None
    library: str | None
    group: str | None
    bytes: int | None
    start_ns: int
    span_ns: int
    comm_ns: int
    fused_ns: int
    overlap_ns: int
    exposed_ns: int
    exposed_any_ns: int
    overlap_unknown_ns: int
    hidden_by_ns: int
    overlap_ratio: float | None
    unknown_share: float | None
    hidden_by: str | None


@attrs.frozen
class Reason:
    """One reason for a difference: what is counted otherwise, how many events, and by how much that changes figures."""

    reason: str
    events: int
    change: Mapping[str, int]


@attrs.frozen
class Comparison:
    """What another tool says of all devices as one, beside what we say, by its own definitions; times in ns.

    `ours`, `theirs` and `difference` have the same figures. `reasons` are applied one after the other, so that the
    `change` of each adds up to the difference, to the ns. `reported` are the figures as the tool prints them, by its
    own names; null where it prints NaN or stops.
    """

    tool: str
    version: str
    devices: int
    ours: Mapping[str, int]
    theirs: Mapping[str, int]
    difference: Mapping[str, int]
    ours_overlap_ratio: float | None
    theirs_overlap_ratio: float | None
    reasons: tuple[Reason, ...]
    reported: Mapping[str, float | None]


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
    """Accounts of all scopes; the communication by role, kind and library; what hid it; and comparisons.

    `layer_blocks` are the accounts of blocks. `compat` compares with the tools that were asked for, `vendor` with the
    analysis lanes that the trace has.
    """

    devices: tuple[DeviceAccount, ...]
    steps: tuple[StepAccount, ...]
    layers: tuple[LayerAccount, ...]
    communication: tuple[Communication, ...]
    hidden_by: tuple[Hider, ...]
    layer_blocks: tuple[BlockAccount, ...] = ()
    microbatches: tuple[MicrobatchAccount, ...] = ()
    collectives: tuple[CollectiveAccount, ...] = ()
    compat: tuple[Comparison, ...] = ()
    vendor: tuple[Difference, ...] = ()

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
        """The devices where there are several, comparisons, and communication by kind and by collective."""
        out = [_devices(self.devices)] if len(self.devices) > 1 else []
        out += [_comparison(item) for item in self.compat]
        out += [_vendor(self.vendor)] if self.vendor else []
        out += [_communication(self.communication)] if self.communication else []
        return [*out, *_collectives(self.collectives)]


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
            units.share(item.unknown_ns, item.busy_ns),
        )
        for item in sorted(devices, key=lambda item: -item.exposed_ns)
    )
    columns = (
        "device",
        "span",
        "busy, of span",
        "communication",
        "exposed, of it",
        "idle, of span",
        "unknown, of busy",
    )
    return tir.Block("devices", columns, rows)


def _communication(items: Sequence[Communication]) -> tir.Block:
    """The communication of each kind and library, the most exposed first."""
    rows = tuple(
        (
            "?" if item.device is None else str(item.device),
            item.kind or item.role or "unknown",
            item.library or "unknown",
            str(item.count),
            units.time(item.union_ns),
            units.time(item.exposed_ns),
        )
        for item in sorted(items, key=lambda item: -item.exposed_ns)
    )
    columns = ("device", "kind", "library", "count", "time (union)", "exposed")
    return tir.Block("communication by kind", columns, rows, detail=True)


def _collectives(items: Sequence[CollectiveAccount]) -> Iterator[tir.Block]:
    """The collectives that compute hides in part, the most exposed first; none where it hides nothing."""
    shown = sorted((item for item in items if item.overlap_ns), key=lambda item: -item.exposed_ns)
    if not shown:
        return
    rows = tuple(
        (
            "unknown" if item.event is None else f"%{item.event}",
            item.kind or "unknown",
            units.time(item.comm_ns),
            f"{units.time(item.exposed_ns)} {units.share(item.exposed_ns, item.comm_ns)}",
            units.time(item.exposed_any_ns),
            f"{item.hidden_by or 'unknown'} {units.time(item.hidden_by_ns)}",
            units.share(item.overlap_unknown_ns, item.comm_ns),
        )
        for item in shown[:_MOST]
    )
    columns = ("collective", "kind", "time", "exposed, of it", "beside nothing", "hidden most by", "by unknown roles")
    more = len(shown) - len(rows)
    note = f"and {more} more, in JSON" if more else ""
    yield tir.Block("collectives partly hidden, the most exposed first", columns, rows, note, detail=True)


def _comparison(item: Comparison) -> tir.Block:
    """The figures side by side, and the reasons for their differences with what each changes, the weightiest first."""

    def figures(name: str, given: Mapping[str, int], ratio: float | None, none: str) -> tuple[str, ...]:
        said = none if ratio is None else f"hidden {units.share(ratio, 1)} of communication"
        return (name, *(units.time(given[key]) for key in _FIGURES), said)

    stops = all(value is None for value in item.reported.values())
    none = "no communication, so no ratio"

    def weight(one: Reason) -> int:
        return -max(abs(one.change[key]) for key in _FIGURES)

    rows = [
        figures("ours", item.ours, item.ours_overlap_ratio, none),
        figures(item.tool, item.theirs, item.theirs_overlap_ratio, f"{item.tool} stops" if stops else none),
        *(
            (
                f"{units.count(one.events)} event{'' if one.events == 1 else 's'}",
                *(_signed(one.change[key]) for key in _FIGURES),
                one.reason,
            )
            for one in sorted(item.reasons, key=weight)
        ),
    ]
    several = "" if item.devices < 2 else f", {item.devices} devices as one"
    columns = ("", *_FIGURES.values(), "because of")
    return tir.Block(f"compared with {item.tool} {item.version}{several}", columns, tuple(rows))


def _signed(ns: int) -> str:
    """A change: with its sign, or `0` for none."""
    return "0" if not ns else units.time(ns) if ns < 0 else f"+{units.time(ns)}"


def _vendor(items: Sequence[Difference]) -> tir.Block:
    """The vendor's figures beside ours."""
    rows = tuple(
        (
            "?" if item.device is None else str(item.device),
            item.cls.replace("_", " "),
            units.time(item.vendor_ns),
            *(
                "unknown" if ns is None else units.time(ns)
                for ns in (item.ours_ns, item.only_vendor_ns, item.only_ours_ns)
            ),
        )
        for item in items
    )
    columns = ("device", "class", "vendor", "ours", "only vendor", "only ours")
    return tir.Block("the vendor's overlap analysis, and ours by its definitions", columns, rows)


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
        notes = ["same stream as the compute, so it cannot hide"] if device.same_stream else []
        if device.unknown_ns:
            notes.append(f"{units.share(device.unknown_ns, device.busy_ns)} of busy is of unknown role")
        notes += ["unreliable"] if device.unreliable else []
        yield tir.Fact(f"exposed{tag}", device.exposed_ns, "ns", "communication", "; ".join(notes), device.comm_ns)
    if device.fused_ns:
        yield tir.Fact(f"fused communication{tag}", device.fused_ns, "ns", of="busy", whole=device.busy_ns)
    yield tir.Fact(f"idle{tag}", device.idle_ns, "ns", of="span", whole=device.span_ns)
