"""Which events are one collective: pieces of a call, messages of an exchange, the two halves of a split one."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any, Final

import attrs
import numpy as np
import numpy.typing as npt

import traceir as tir
from traceir.ir import NULL_U32
from traceir_passes.collectives.sources import Around
from traceir_passes.collectives.vocabulary import KINDS, SENDS, algorithm_of, half_of
from traceir_passes.infer import parse

EXPERTS: Final = ("dispatch", "combine")
Ints = npt.NDArray[Any]


@attrs.define(eq=False)
class Pieces:
    """The instances that rows of communication make up.

    `owner`: for each row the position of the first row of its instance. `receives`: whether a row is the receiving
    half of an instance whose sending half is an event of its own.
    """

    owner: Ints
    receives: npt.NDArray[np.bool_]


def pieces(module: tir.Module, rows: Ints, near: Around) -> Pieces:
    """Join the rows that are one operation. O(communication log communication).

    Kernels of one name on one lane that one communication record started are pieces of it, and so are the messages
    of an exchange (all-to-all, gather, scatter) that a record or, without one, an operator started on one device.
    A dispatch or combine that sends in one kernel and receives in another is one as well. Every other kernel is one
    of its own.
    """
    out = Pieces(np.arange(len(rows)), np.zeros(len(rows), bool))
    _join_calls(module, rows, near, out)
    _join_halves(module, rows, out)
    while (out.owner[out.owner] != out.owner).any():
        out.owner = out.owner[out.owner]
    return out


def _join_calls(module: tir.Module, rows: Ints, near: Around, out: Pieces) -> None:
    device, lane = module.device[rows], module["lane"][rows]
    messages = module.is_in("infer.role", ["send-recv"])[rows]
    exchanges = messages & np.isin(near.kind, [KINDS.index(kind) for kind in SENDS if kind != "send_recv"])
    recorded = near.record >= 0
    _join(out.owner, recorded & ~messages, near.record, module["name"][rows], lane)
    # Messages of one exchange run on several streams, so it is the device that parts them.
    _join(out.owner, recorded & messages, near.record, device)
    _join(out.owner, exchanges & ~recorded & (near.operator >= 0), near.operator, device)


def _join(owner: Ints, chosen: npt.NDArray[np.bool_], *keys: Ints) -> None:
    """Give the chosen positions that agree in all keys the first of them as their owner."""
    at = np.flatnonzero(chosen)
    if not len(at):
        return
    _, first, inverse = np.unique(
        np.stack([key[at].astype(np.int64) for key in keys]), axis=1, return_index=True, return_inverse=True
    )
    owner[at] = at[first[inverse.reshape(-1)]]


def _join_halves(module: tir.Module, rows: Ints, out: Pieces) -> None:
    """Join sending and receiving halves: by names that say which they are, else by the layer that holds both."""
    at = np.flatnonzero(module.is_in("infer.role", EXPERTS)[rows])
    if not len(at):
        return
    at = at[np.lexsort((module["ts"][rows[at]], module.device[rows[at]]))]
    names, roles = (module.strings.decode(module[column][rows[at]]) for column in ("name", "infer.role"))
    paths = [parse(name or "").path for name in names]
    halves = [half_of(name or "", path) for name, path in zip(names, paths, strict=True)]
    _join_named(module.device[rows[at]].tolist(), at.tolist(), names, halves, out)
    quick = [half is None and algorithm_of(path) == "low_latency" for half, path in zip(halves, paths, strict=True)]
    _join_in_layers(module, rows, at, [role if fits else None for role, fits in zip(roles, quick, strict=True)], out)


def _join_named(
    devices: list[int],
    at: list[int],
    names: list[str | None],
    halves: list[tuple[str, str] | None],
    out: Pieces,
) -> None:
    """The n-th receive of a name belongs to the n-th send; sends of other names in a row are parts of one."""
    opened: dict[tuple[int, str], list[int]] = defaultdict(list)
    sent: dict[tuple[int, str], set[str | None]] = defaultdict(set)
    received: Counter[tuple[int, str, str | None]] = Counter()
    for device, position, name, half in zip(devices, at, names, halves, strict=True):
        if half is None:
            continue
        key = device, half[0]
        if half[1] == "send":
            if opened[key] and sent[key] and name not in sent[key]:
                out.owner[position] = opened[key][-1]
            else:
                opened[key].append(position)
                sent[key] = set()
            sent[key].add(name)
            continue
        sent[key] = set()  # what is sent from here on is the next one
        number = received[*key, name]
        if number < len(opened[key]):
            received[*key, name] += 1
            out.owner[position], out.receives[position] = opened[key][number], True


def _join_in_layers(module: tir.Module, rows: Ints, at: Ints, roles: list[str | None], out: Pieces) -> None:
    """Join two low-latency kernels of one name in one layer and micro-batch if no other role is between them.

    Such kernels are called the same whether they send, receive or do both, so it takes the layer to tell the two
    halves of one from two in a row.
    """
    if not module.has_tree("layers"):
        return
    layer = module.tree("layers").at("layer")[rows[at]]
    batch = micro_batches(module)[rows[at]]
    runs: dict[tuple[int, int, int], list[tuple[str | None, int, int]]] = defaultdict(list)
    codes = module["name"][rows[at]].tolist()
    keys = zip(module.device[rows[at]].tolist(), layer.tolist(), batch.tolist(), strict=True)
    for key, role, code, position in zip(keys, roles, codes, at.tolist(), strict=True):
        if key[1] >= 0:
            runs[key].append((role, code, position))
    for run in runs.values():
        # dispatch, dispatch, combine, combine: each role twice in a row, under one name.
        pairs = list(zip(run[::2], run[1::2], strict=False))
        if len(run) % 2 or any(first[:2] != second[:2] or first[0] is None for first, second in pairs):
            continue
        if len({role for (role, _, _), _ in pairs}) < len(pairs):
            continue
        for (_, _, first), (_, _, second) in pairs:
            out.owner[second], out.receives[second] = first, True


def micro_batches(module: tir.Module) -> Ints:
    """For each event its micro-batch, -1 where none is known."""
    if module.has_tree("microbatches"):
        return module.tree("microbatches").leaf.astype(np.int64)
    if "group.microbatch" not in module:
        return np.full(len(module), -1, np.int64)
    batch = module["group.microbatch"]
    return np.where(batch == NULL_U32, -1, batch.astype(np.int64))
