"""Candidates for layers among module frames: siblings with distinct instances that hold attentions."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from typing import Final

import attrs
import numpy as np

from traceir.ir import Array, Ints

MOST: Final = 0.9


@attrs.frozen(eq=False)
class Tree:
    """Frames in order of time: class and instance of each, its parent frame (-1 none), and the step of its work."""

    cls: Array
    instance: Array
    parent: Array
    root: Array


@attrs.frozen(eq=False)
class Owned:
    """What each frame owns through launches: device time, heavy kernels and anchors below it."""

    time: Ints
    heavy: Ints
    anchors: Ints


@attrs.frozen(eq=False)
class Candidate:
    """Frames that may be layers: for each the number of its layer, their parent, and the class that most of them are.

    `siblings` is the time of all candidates below the parent.
    """

    members: list[int]
    layer: list[int]
    parent: int
    cls: int
    siblings: int = 0

    @property
    def layers(self) -> int:
        """How many layers there are."""
        return self.layer[-1] + 1


def candidates(tree: Tree, owned: Owned, min_layers: int) -> list[Candidate]:
    """The candidates, outer ones first, those of one parent in order of time. O(frames · depth).

    Classes count whose frames below one parent are distinct instances that all hold attentions (one in ten may have
    lost its own). Classes that take turns are kinds of one layer (attention and state spaces); so is, of each layer
    the other part, a class without attentions that always follows one with. Two frames are enough where they hold
    modules, unless they hold candidates themselves: those are towers. Frames without a parent are siblings if
    their work belongs to one step.
    """
    families: dict[tuple[int, int], dict[int, list[int]]] = defaultdict(lambda: defaultdict(list))
    nested = np.zeros(len(tree.parent) + 1, bool)
    nested[tree.parent] = True
    anchored_ones = owned.anchors > 0
    # A candidate has two frames, of which most hold attentions: families with fewer, which are most, need no look.
    family = np.where(tree.parent >= 0, tree.parent, len(tree.parent) + tree.root + 1)
    likely = np.flatnonzero(np.bincount(family, anchored_ones)[family] >= 2)
    likely_ones = (values[likely].tolist() for values in (tree.parent, tree.cls, tree.root))
    for k, parent, cls, root in zip(likely.tolist(), *likely_ones, strict=True):
        families[parent, -1 if parent >= 0 else root][cls].append(k)
    out: list[Candidate] = []
    # Most families are the few parts of one layer: plain lists are looked through faster than arrays are made of them.
    instance, anchor, heavy = tree.instance.tolist(), anchored_ones.tolist(), (owned.heavy > 0).tolist()
    for (parent, _), classes in families.items():
        distinct = [mine for mine in classes.values() if len({instance[k] for k in mine}) == len(mine)]
        anchored = [mine for mine in distinct if sum(anchor[k] for k in mine) >= MOST * len(mine)]
        others = [mine for mine in distinct if not any(anchor[k] for k in mine) and all(heavy[k] for k in mine)]
        found = []
        for mine in _taking_turns(anchored):
            if len(mine) < (2 if nested[mine].any() else min_layers) or not owned.heavy[mine].any():
                continue
            members, layer = _with_followers(mine, others)
            cls = Counter(tree.cls[mine].tolist()).most_common(1)[0][0]
            found.append(Candidate(members, layer, parent, cls))
        total = int(sum(owned.time[one.members].sum() for one in found))
        out += [attrs.evolve(one, siblings=total) for one in found]
    ordered = sorted(out, key=lambda one: (_level(tree, one.members[0]), one.members[0]))
    holding = _holding(tree, ordered)
    return [one for one in ordered if one.layers >= min_layers or not holding[one.members].all()]


def _taking_turns(groups: list[list[int]]) -> list[list[int]]:
    """Groups of frames, those that overlap in time as one."""
    out: list[list[int]] = []
    for mine in sorted(groups, key=lambda group: group[0]):
        if out and mine[0] < out[-1][-1]:
            out[-1] = sorted(out[-1] + mine)
        else:
            out.append(mine)
    return out


def _with_followers(mine: list[int], others: list[list[int]]) -> tuple[list[int], list[int]]:
    """Frames with those of other classes of which one follows each of them, and the layer of each."""
    members, layer = list(mine), list(range(len(mine)))
    for other in others:
        if len(other) == len(mine) and all(
            first < second for first, second in itertools.pairwise(itertools.chain(*zip(mine, other, strict=True)))
        ):
            members += other
            layer += range(len(other))
    order = np.argsort(members, kind="stable").tolist()
    return [members[k] for k in order], [layer[k] for k in order]


def _holding(tree: Tree, found: list[Candidate]) -> Array:
    """Which frames have a candidate below them."""
    out = np.zeros(len(tree.parent), bool)
    for one in found:
        frame = one.parent
        while frame >= 0 and not out[frame]:
            out[frame] = True
            frame = int(tree.parent[frame])
    return out


def _level(tree: Tree, frame: int) -> int:
    level = 0
    while tree.parent[frame] >= 0:
        frame, level = int(tree.parent[frame]), level + 1
    return level
