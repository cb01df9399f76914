"""Collective instances: which rows are one collective operation, and what it is and moves."""

from __future__ import annotations

import functools
from typing import Any, Final

import attrs
import numpy as np
import numpy.typing as npt

import traceir as tir
from traceir_passes.collectives import vocabulary
from traceir_passes.collectives.pieces import Pieces, pieces
from traceir_passes.collectives.sources import (
    LARGEST,
    Around,
    Input,
    Message,
    around,
    first_inputs,
    messages_and_inputs,
)
from traceir_passes.collectives.vocabulary import KINDS, SENDS, UNKNOWN
from traceir_passes.infer import parse

SOURCES: Final = ("metadata", "operator", "name")
BASES: Final = ("measured", "derived", "guessed")
META: Final = "comm-meta"
_NOTHING: Final = Input()
Ints = npt.NDArray[Any]


@attrs.frozen
class Instance:
    """One collective operation on one device. `row` is its first event; unknown fields are None.

    `members` is how many operations one coalesced call joins, `hook` how long the receiving half takes in ns where
    sending and receiving are events of their own.
    """

    row: int
    kind: str
    source: str | None
    basis: str | None
    role: str
    library: str
    algorithm: str | None
    protocol: str | None
    group: str | None
    group_size: int | None
    ranks: str | None
    sequence: int | None
    in_elements: int | None
    out_elements: int | None
    dtype: str | None
    bytes: int | None
    kernels: int
    backward: bool
    conflict: str | None
    members: int | None = None
    hook: int | None = None


@attrs.define(eq=False)
class Found:
    """All communication of a module: its rows, the instance of each (-1 none), their kinds, and the instances.

    `kind` are positions in `KINDS`, one per row.
    """

    rows: Ints
    instance: Ints
    kind: Ints
    instances: list[Instance]


def find(module: tir.Module) -> Found:
    """Find the collectives of a module whose roles are known.

    Loops in Python run over communication only, a small part of a trace. O(communication × depth of the nest
    tree), and the arguments of these events alone are decoded.
    """
    communication = module.work & module.is_in("infer.class", ["comm", "fused"])
    meta = communication & module.is_in("infer.role", [META])
    rows = np.flatnonzero((communication & ~meta) | _host_collectives(module))
    near = around(module, rows)
    joined = pieces(module, rows, near)
    firsts, counts = np.unique(joined.owner, return_counts=True)
    number = np.searchsorted(firsts, joined.owner)
    instances = _with_hooks(_describe(module, rows, near, firsts, counts), module["dur"][rows], number, joined)
    kind = np.array([KINDS.index(item.kind) for item in instances], np.int16)
    found = Found(rows, number.astype(np.int32), kind[number], instances)
    return _with_meta(module, np.flatnonzero(meta), found)


def _host_collectives(module: tir.Module) -> npt.NDArray[np.bool_]:
    """Host ranges of gloo, whose collectives run on the host: `gloo:all_reduce`, the outermost of each."""
    told = np.zeros(len(module.strings) + 1, bool)
    for code, text in enumerate(module.strings.texts):
        told[code] = text.startswith("gloo:") and vocabulary.kind_of_operator(text) != UNKNOWN
    mask = module.live & module.is_kind("host.op", "host.range") & told[module["name"]]
    parent = module.parent
    return np.asarray(mask & ~(mask[parent] & (parent >= 0)))


def _with_hooks(instances: list[Instance], dur: Ints, number: Ints, joined: Pieces) -> list[Instance]:
    """Note how long the receiving half takes of the instances that have one."""
    for position in np.flatnonzero(joined.receives).tolist():
        at = int(number[position])
        instances[at] = attrs.evolve(instances[at], hook=(instances[at].hook or 0) + int(dur[position]))
    return instances


def _describe(module: tir.Module, rows: Ints, near: Around, firsts: Ints, counts: Ints) -> list[Instance]:
    chosen = rows[firsts]
    told = messages_and_inputs(module, chosen, near.record[firsts], near.data[firsts])
    vendor = str(module.meta.get("vendor") or "").lower()
    roles = module.strings.decode(module["infer.role"][chosen])
    names = module.strings.decode(module["name"][chosen])
    operator = near.operator[firsts]
    operators = module.strings.decode(np.where(operator >= 0, module["name"][operator], -1))
    columns = chosen.tolist(), near.kind[firsts].tolist(), counts.tolist(), near.backward[firsts].tolist()
    out = []
    for at, (row, kind, kernels, backward, (message, first_input)) in enumerate(zip(*columns, told, strict=True)):
        out.append(
            _instance(
                row=row,
                name=names[at] or "",
                role=roles[at] or "host",
                message=message,
                of_operator=KINDS[kind],
                operator=operators[at] or "",
                first_input=first_input or _NOTHING,
                vendor=vendor,
                kernels=kernels,
                backward=backward,
            )
        )
    return _host_inputs(module, out)


def _host_inputs(module: tir.Module, instances: list[Instance]) -> list[Instance]:
    """Complete collectives on the host, whose own range holds the inputs."""
    rows = np.array([item.row for item in instances if item.role == "host"], np.int64)
    if not len(rows):
        return instances
    inputs = first_inputs(module, rows)
    out = []
    for item in instances:
        given = inputs.get(item.row, Input()) if item.role == "host" else Input()
        elements = given.elements
        if elements is not None and item.in_elements is None:
            dtype = item.dtype or vocabulary.dtype_of(given.dtype)
            received = _received(item.kind, elements, item.out_elements, item.group_size)
            moved = _bytes(item.kind, elements, received, dtype)
            item = attrs.evolve(item, in_elements=elements, out_elements=received, dtype=dtype, bytes=moved)  # noqa: PLW2901
        out.append(item)
    return out


def _instance(
    *,
    row: int,
    name: str,
    role: str,
    message: Message,
    of_operator: str,
    operator: str,
    first_input: Input,
    vendor: str,
    kernels: int,
    backward: bool,
) -> Instance:
    said = _said(name, role)
    kind, source, conflict = decide(message.kind, of_operator, said.kind, sends=role == "send-recv")
    basis = None if source is None else "guessed" if conflict else "derived" if source == "operator" else "measured"
    sent = message.in_elements if message.in_elements is not None else first_input.elements
    received = _received(kind, sent, message.out_elements, message.group_size)
    dtype = _dtype(message.dtype) or _dtype(first_input.dtype) or said.dtype
    return Instance(
        row=row,
        kind=kind,
        source=source,
        basis=basis,
        role=role,
        library=vocabulary.library_of(said.path, operator, vendor),
        algorithm=vocabulary.algorithm_of(said.path),
        protocol=vocabulary.protocol_of(said.path),
        group=message.group if message.group is not None else said.group,
        group_size=message.group_size,
        ranks=message.ranks,
        sequence=message.sequence if message.sequence is not None else said.sequence,
        in_elements=sent,
        out_elements=received,
        dtype=dtype,
        bytes=_bytes(kind, sent, received, dtype),
        kernels=kernels,
        backward=backward,
        conflict=conflict,
        members=first_input.tensors if vocabulary.is_coalesced(message.word or operator) else None,
    )


@attrs.frozen
class _Said:
    """What a name says by itself."""

    path: str
    kind: str
    dtype: str | None
    group: str | None
    sequence: int | None


@functools.lru_cache(4096)
def _said(name: str, role: str) -> _Said:
    """Read a name once; few names make up almost all communication of a trace."""
    path = parse(name).path
    kind = vocabulary.kind_of_operator(name) if role == "host" else vocabulary.kind_of_kernel(role, name)
    group, sequence = vocabulary.hccl_group(name) or (None, None)
    return _Said(path, kind, vocabulary.dtype_in_name(name, path, kind), group, sequence)


_dtype: Final = functools.lru_cache(256)(vocabulary.dtype_of)


@functools.lru_cache(256)
def decide(metadata: str, operator: str, name: str, *, sends: bool) -> tuple[str, str | None, str | None]:
    """The kind by its highest source, that source, and what contradicts it (None if nothing does).

    Sources in order: metadata, the operator around the launch, the kernel's name. `sends`: the kernel is made of
    sends and receives, which fits any collective in `SENDS` and contradicts the others.
    """
    told = [(kind, source) for kind, source in zip((metadata, operator, name), SOURCES, strict=True) if kind != UNKNOWN]
    if not told:
        return UNKNOWN, None, None
    kind, source = told[0]
    against = [f"{other} says {word}" for word, other in told[1:] if word != kind]
    if sends and kind not in SENDS:
        against.append("name says send_recv")
    return kind, source, f"{source} says {kind}, {', '.join(against)}" if against else None


def _received(kind: str, sent: int | None, received: int | None, size: int | None) -> int | None:
    """The elements that one rank ends with, worked out where the kind fixes them."""
    if received is not None or sent is None:
        return received
    if kind in ("all_reduce", "broadcast"):
        return sent
    if kind == "all_gather" and size:
        return sent * size if sent * size < LARGEST else None
    if kind == "reduce_scatter" and size and sent % size == 0:
        return sent // size
    return None


def _bytes(kind: str, sent: int | None, received: int | None, dtype: str | None) -> int | None:
    """The size that bandwidth is counted in: the whole buffer of one rank, output of a gather, else the input."""
    elements = received if kind in ("all_gather", "gather") else sent
    size = vocabulary.SIZES.get(dtype or "")
    return elements * size if elements is not None and size is not None else None


def _with_meta(module: tir.Module, meta: Ints, found: Found) -> Found:
    """Join notifications and layouts to the dispatch or combine that follows on their lane; none is an instance."""
    if not len(meta):
        return found
    moves = module.is_in("infer.role", ["dispatch", "combine"])[found.rows]
    targets, numbers = found.rows[moves], found.instance[moves]
    # Rows are in order of time, so a lane's rows in their order are where it is searched for what follows.
    lanes, stride = module["lane"].astype(np.int64), len(module) + 1
    keys = lanes[targets] * stride + targets
    order = np.argsort(keys, kind="stable")
    follows = np.searchsorted(keys[order], lanes[meta] * stride + meta)
    next_one = np.append(order, -1)[follows] if len(targets) else np.full(len(meta), -1)
    fits = (next_one >= 0) & (np.append(lanes[targets], -1)[next_one] == lanes[meta])
    joined = np.where(fits, np.append(numbers, np.int32(-1))[next_one], -1).astype(np.int32)
    of_instance = np.array([KINDS.index(item.kind) for item in found.instances] + [KINDS.index(UNKNOWN)], np.int16)
    return Found(
        np.concatenate([found.rows, meta]),
        np.concatenate([found.instance, joined]),
        np.concatenate([found.kind, of_instance[joined]]),
        found.instances,
    )
