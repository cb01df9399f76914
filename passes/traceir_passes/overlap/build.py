"""The report of `overlap`, made from the columns and tables of a module that it has run over."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np

import traceir as tir
from traceir.ir import Array, Module
from traceir_passes.overlap import scopes
from traceir_passes.overlap.account import HIDER, KEYS
from traceir_passes.overlap.classes import Work, has_column
from traceir_passes.overlap.comparing import comparisons
from traceir_passes.overlap.report import (
    BlockAccount,
    CollectiveAccount,
    Communication,
    DeviceAccount,
    Hider,
    LayerAccount,
    MicrobatchAccount,
    OverlapReport,
    StepAccount,
)
from traceir_passes.overlap.vendor import compare

_OF_COLLECTIVES: Final = (
    "start_ns", "span_ns", "comm_ns", "fused_ns", "overlap_ns", "exposed_ns", "exposed_any_ns", "overlap_unknown_ns",
    "hidden_by_ns",
)  # fmt: skip
"""The columns of the accounts of collectives, in the order of their fields."""


def build(module: Module, work: Work, unknown_warn: float) -> OverlapReport:
    """The report of a module that `overlap` has run over."""
    found = scopes.accountable(scopes.devices(module, work))
    same = {device.number: _same_stream(module, device) for device in found}
    rows, _ = _accounts(module, "device", unknown_warn)
    whole = [DeviceAccount(*(*values, same[-1 if values[0] is None else values[0]])) for values in rows]
    return OverlapReport(
        tuple(whole),
        tuple(_steps(module, unknown_warn)),
        tuple(_layers(module, work, unknown_warn)),
        tuple(item for device in found for item in _communication(module, device)),
        tuple(item for device in found for item in _hiders(module, device)),
        tuple(_blocks(module, unknown_warn)),
        tuple(_microbatches(module, unknown_warn)),
        tuple(_collectives(module)),
        tuple(comparisons(module, len(found))),
        tuple(compare(module, found)),
    )


def _accounts(module: Module, kind: str, unknown_warn: float) -> tuple[Iterator[tuple[Any, ...]], list[int | None]]:
    """The rows of `table:overlap` of one scope as the fields of an `Account`, and their regions.

    Built by columns, since a trace may have a hundred thousand layers.
    """
    chosen = np.flatnonzero(module["overlap.scope"] == scopes.SCOPES.index(kind))
    column = {name: module[f"overlap.{name}"][chosen] for name in ("device", "region", *KEYS, HIDER)}
    doubtful = column["unknown_ns"] > unknown_warn * column["busy_ns"]
    fields = [
        _or_none(column["device"]),
        *(column[name].tolist() for name in KEYS),
        _ratio(column["overlap_ns"], column["comm_ns"]),
        _ratio(column["unknown_ns"], column["busy_ns"]),
        module.strings.decode(column[HIDER]),
        [("unknown_roles",) if doubt else () for doubt in doubtful.tolist()],
    ]
    return zip(*fields, strict=True), _or_none(column["region"])


def _ratio(part: Array, whole: Array) -> list[float | None]:
    """The share of each part, None where there is no whole."""
    return [one / of if of else None for one, of in zip(part.tolist(), whole.tolist(), strict=True)]


def _or_none(values: Array) -> list[int | None]:
    return [None if value == tir.NULL_I64 else value for value in values.tolist()]


def _steps(module: Module, unknown_warn: float) -> Iterator[StepAccount]:
    marks = module.text("group.mark_text") if has_column(module, "group.mark_text", "region:steps") else None
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


def _blocks(module: Module, unknown_warn: float) -> Iterator[BlockAccount]:
    name = scopes.tree_of(module, "block")
    if name is None:
        return
    tree = module.tree(name)
    layers, number = tree.ancestor("layer").tolist(), tree.regions["index"].tolist()
    names = tree.strings.decode(tree.regions["name"])
    for values, region in zip(*_accounts(module, "block", unknown_warn), strict=True):
        if region is None:
            yield BlockAccount(*(*values, None, None, None))
            continue
        layer = names[layers[region]] if layers[region] >= 0 else None
        yield BlockAccount(*(*values, layer, number[region], names[region]))


def _microbatches(module: Module, unknown_warn: float) -> Iterator[MicrobatchAccount]:
    name = scopes.tree_of(module, "microbatch")
    if name is None:
        return
    tree = module.tree(name)
    for values, region in zip(*_accounts(module, "microbatch", unknown_warn), strict=True):
        place = (None, None) if region is None else (int(tree.regions["index"][region]), tree.region_name(region))
        yield MicrobatchAccount(*(*values, *place))


def _collectives(module: Module) -> Iterator[CollectiveAccount]:
    """The collectives in order of their instances, device by device. Built by columns, for there may be very many."""
    chosen = np.flatnonzero(module["overlap.scope"] == scopes.SCOPES.index("collective"))
    at = module["overlap.region"][chosen]
    if not len(at):
        return

    def column(name: str, null: int) -> Array:
        known = has_column(module, name, scopes.INSTANCES)
        return module[name][at] if known else np.full(len(at), null)

    event = column("coll.event", -1)
    ids = np.where(event >= 0, module["id"][event], tir.NULL_I64)
    texts = [module.strings.decode(column(name, -1)) for name in ("coll.library", "coll.group")]
    account = {key: module[f"overlap.{key}"][chosen] for key in ("device", *_OF_COLLECTIVES, HIDER)}
    fields = [
        _or_none(account["device"]),
        _or_none(ids),
        _kinds(module, event),
        *texts,
        _or_none(column("coll.bytes", tir.NULL_I64)),
        *(account[key].tolist() for key in _OF_COLLECTIVES),
        _ratio(account["overlap_ns"], account["comm_ns"]),
        _ratio(account["overlap_unknown_ns"], account["comm_ns"]),
        module.strings.decode(account[HIDER]),
    ]
    for values in zip(*fields, strict=True):
        yield CollectiveAccount(*values)


def _kinds(module: Module, rows: Array) -> list[str | None]:
    """The kinds of collectives at some rows, None for rows of -1 and null kinds."""
    codes = np.where(rows >= 0, module["coll.kind"][rows], -1)
    item = module.annotations["coll.kind"].annotation
    if item.dtype == "enum":
        return [None if code < 0 else item.values[code] for code in codes.tolist()]
    return module.strings.decode(codes)


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
    starts, ends = module["ts"][rows], module.end[rows]
    for which in np.argsort(first, kind="stable").tolist():
        chosen, example = group.ravel() == which, int(first[which])
        spans = tir.Spans.of(starts[chosen], ends[chosen])
        yield Communication(
            device=None if device.number < 0 else device.number,
            role=_text(module, roles[example]),
            kind=_kinds(module, rows[[example]])[0],
            library=_text(module, libraries[example]),
            count=int(chosen.sum()),
            time_ns=int((ends - starts)[chosen].sum()),
            union_ns=spans.length,
            exposed_ns=(spans - device.sets.compute).length,
        )


def _libraries(module: Module, rows: Array) -> Array:
    """The library of each row's collective, as a code of the string pool; -1 where it is not known."""
    if not (has_column(module, "coll.library", scopes.INSTANCES) and has_column(module, "coll.instance", "event")):
        return np.full(len(rows), -1, np.int64)
    return np.append(module["coll.library"], -1)[module["coll.instance"][rows]]


def _hiders(module: Module, device: scopes.Device) -> Iterator[Hider]:
    for code, spans in device.sets.roles:
        if beside := (spans & device.sets.comm).length:
            yield Hider(None if device.number < 0 else device.number, _text(module, code), beside)


def _text(module: Module, code: int) -> str | None:
    return None if code < 0 else module.strings[code]
