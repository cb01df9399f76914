"""What a recogniser of composites is given and gives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import attrs
import numpy as np
import numpy.typing as npt

import traceir as tir
from traceir_passes.collectives.instances import Found, Instance

Ints = npt.NDArray[Any]


@attrs.frozen
class Composite:
    """One composite: its form, kind, the rows of its members in order, and the instances among them.

    `extra` are the rows that belong to its cost and are no communication (copies around a staged collective);
    `note` says what else is known in a word or two.
    """

    form: str
    kind: str
    members: tuple[int, ...]
    instances: tuple[int, ...]
    extra: tuple[int, ...] = ()
    note: str = ""


@attrs.define(eq=False)
class Setting:
    """What recognisers look at: the module, its communication, and all device work in order of lane and start.

    `order` are rows, `place` the position of each row in it (-1 for other rows). `by_instance` are the rows of
    communication grouped by instance, `bounds` where each group begins.
    """

    module: tir.Module
    found: Found
    order: Ints
    place: Ints
    by_instance: Ints
    bounds: Ints

    @classmethod
    def of(cls, module: tir.Module, found: Found) -> Setting:
        """The setting of a module. O(n log n)."""
        rows = np.flatnonzero(module.work)
        order = rows[np.lexsort((module["ts"][rows], module["lane"][rows]))]
        place = np.full(len(module), -1, np.int64)
        place[order] = np.arange(len(order))
        grouped = np.lexsort((found.rows, found.instance))
        bounds = np.searchsorted(found.instance[grouped], np.arange(len(found.instances) + 1))
        return cls(module, found, order, place, found.rows[grouped], bounds)

    @property
    def instances(self) -> Sequence[Instance]:
        """The instances."""
        return self.found.instances

    def rows_of(self, *instances: int) -> tuple[int, ...]:
        """The rows of some instances, joined notifications included, in order."""
        parts = [self.by_instance[self.bounds[at] : self.bounds[at + 1]] for at in instances]
        return tuple(np.sort(np.concatenate(parts)).tolist())

    def neighbour(self, rows: Ints, step: int) -> Ints:
        """The row of the device work `step` places further on the same lane, -1 where there is none."""
        lane = self.module["lane"]
        at = self.place[rows] + step
        inside = (self.place[rows] >= 0) & (at >= 0) & (at < len(self.order))
        near = np.where(inside, self.order[np.where(inside, at, 0)] if len(self.order) else -1, -1)
        return np.asarray(np.where((near >= 0) & (lane[near] == lane[rows]), near, -1))


class Recogniser(Protocol):
    """Finds all composites of one form."""

    @property
    def form(self) -> str:
        """What the composites are called."""
        ...

    def find(self, setting: Setting) -> list[Composite]:
        """The composites of this form, in order of their first member."""
        ...
