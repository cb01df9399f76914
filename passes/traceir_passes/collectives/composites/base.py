"""What a recogniser of composites is given and gives."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import attrs
import numpy as np
import numpy.typing as npt

import traceir as tir
from traceir.ir import Written
from traceir_passes.collectives.instances import Found, Instance

Ints = npt.NDArray[Any]


@attrs.frozen
class Composite:
    """One composite: its form, kind, the rows of its members in order, and the instances among them.

    `extra` are the rows that belong to its cost and are no communication (copies around a staged collective);
    `note` says what else is known in a word or two. `moved` are the rows that were moved between its parts, None
    if the form moves nothing; `guessed` that a condition could not be checked for want of metadata.
    """

    form: str
    kind: str
    members: tuple[int, ...]
    instances: tuple[int, ...]
    extra: tuple[int, ...] = ()
    note: str = ""
    moved: tuple[int, ...] | None = None
    guessed: bool = False


@attrs.define(eq=False)
class Setting:
    """What recognisers look at: the module as readers of the pass will see it, and its communication.

    In `module` the columns `coll.*` of events and instances stand and are declared, so that patterns can name
    them. `by_instance` are the rows of communication grouped by instance, `bounds` where each group begins.
    """

    module: tir.Module
    found: Found
    by_instance: Ints
    bounds: Ints

    @classmethod
    def of(cls, module: tir.Module, found: Found, written: Iterable[tir.Annotation]) -> Setting:
        """The setting of a module in which the instances are written as the columns `written`. O(n log n)."""
        declared = {item.name: Written(item, None) for item in written if item.name in module}
        grouped = np.lexsort((found.rows, found.instance))
        bounds = np.searchsorted(found.instance[grouped], np.arange(len(found.instances) + 1))
        seen = attrs.evolve(module, annotations={**module.annotations, **declared})
        return cls(seen, found, found.rows[grouped], bounds)

    @property
    def instances(self) -> Sequence[Instance]:
        """The instances."""
        return self.found.instances

    def rows_of(self, *instances: int) -> tuple[int, ...]:
        """The rows of some instances, joined notifications included, in order."""
        parts = [self.by_instance[self.bounds[at] : self.bounds[at + 1]] for at in instances]
        return tuple(np.sort(np.concatenate(parts)).tolist())

    def instance_of(self, row: int) -> int:
        """The instance of a row, -1 if it is of none."""
        return int(self.module["coll.instance"][row])


class Recogniser(Protocol):
    """Finds all composites of one form."""

    @property
    def form(self) -> str:
        """What the composites are called."""
        ...

    def find(self, setting: Setting) -> list[Composite]:
        """The composites of this form, in order of their first member."""
        ...
