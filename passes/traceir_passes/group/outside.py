"""Labels of what lies outside layers: before a step's first layer and after its last."""

from __future__ import annotations

import numpy as np

from traceir.ir import Array, Ints
from traceir_passes.group.labels import COLLECTIVES, label_outside
from traceir_passes.group.stack import Stack
from traceir_passes.group.tokens import ROLES, LaneWork


def label_edges(works: list[LaneWork], stacks: list[Stack], step: Array, labels: Array, names: list[str]) -> None:
    """Labels of what precedes a step's first layer and follows its last, on the lanes that have layers.

    Work between two stacks of one lane that lie in different steps, or are parted by a separator, follows the one
    and precedes the other: it is split at the first embedding.
    """
    codes = {name: code for code, name in enumerate(names)}
    known: dict[tuple[bytes, bool], tuple[Ints, Ints]] = {}
    for work in works:
        mine = [stack for stack in stacks if stack.lane == work.lane]
        if not mine:
            _label_beside(work, labels, codes)
            continue
        spans = [(*_on_lane(work, stack), stack.direction) for stack in mine]
        edges = [(0, "none"), *((stop, way) for _, stop, way in spans)]
        for (start, way), (stop, ahead) in zip(
            edges, [*((a, w) for a, _, w in spans), (len(work), "none")], strict=True
        ):
            if start < stop:
                for a, b, before in _parts(work, start, stop, way == "forward", ahead == "forward", step):
                    key = work.text[a:b], before
                    if key not in known:
                        known[key] = _labelled(*key, codes)
                    places, values = known[key]
                    labels[work.rows[a + places]] = values
    names[:] = list(codes)


def _on_lane(work: LaneWork, stack: Stack) -> tuple[int, int]:
    """The half-open stretch of its lane that a stack takes up; its work on other lanes may outlast it."""
    places = np.searchsorted(work.rows, stack.rows)
    inside = np.minimum(places, len(work) - 1)
    own = inside[work.rows[inside] == stack.rows]
    return int(own[0]), int(own[-1]) + 1


def _label_beside(work: LaneWork, labels: Array, codes: dict[str, int]) -> None:
    """Collectives on a lane of their own are called what they are, inside layers and outside."""
    letters = np.frombuffer(work.text, np.uint8)
    free = labels[work.rows] < 0
    for letter in sorted(COLLECTIVES):
        chosen = work.rows[free & (letters == ord(letter))]
        if len(chosen):
            labels[chosen] = codes.setdefault(ROLES[letter].replace("-", "_"), len(codes))


def _parts(
    work: LaneWork, start: int, stop: int, after: bool, before: bool, step: Array
) -> list[tuple[int, int, bool]]:
    """One stretch outside layers as the tail of a forward pass, the head of the next, or both (the flag: a head)."""
    middle = _turn(work, start, stop, step) if after and before else stop if after else start
    parts = [(start, middle, False)] if after else []
    return [*parts, (middle, stop, True)] if before else parts


def _labelled(text: bytes, before: bool, codes: dict[str, int]) -> tuple[Ints, Ints]:
    """The places in a stretch that have a label, and its code; new labels are added to `codes`."""
    found = [
        (place, codes.setdefault(label, len(codes)))
        for place, label in enumerate(label_outside(text, before=before))
        if label is not None
    ]
    pairs = np.array(found, np.int64).reshape(-1, 2)
    return pairs[:, 0], pairs[:, 1]


def _turn(work: LaneWork, start: int, stop: int, step: Array) -> int:
    """Where, between two forward stacks, the tail of one pass ends and the head of the next begins."""
    mine = step[work.rows[start:stop]]
    changes = np.flatnonzero(mine != mine[-1])
    if len(changes):
        return start + int(changes[-1]) + 1
    text = work.text[start:stop]
    embed = text.rfind(b"E")
    if embed < 0:
        return start + text.rfind(b"Z") + 1 if b"Z" in text else stop
    earlier = max(text.rfind(b"g", 0, embed), text.rfind(b"Z", 0, embed))
    return start + text.find(b"E", earlier + 1)
