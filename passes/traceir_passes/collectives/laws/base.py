"""What laws are made of: the law itself, the collectives that they count, and the device work of each step."""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

import attrs
import numpy as np
import numpy.typing as npt

import traceir as tir

MOST_SUSPECTS: Final = 5
Ints = npt.NDArray[Any]
Mask = npt.NDArray[np.bool_]


@attrs.frozen
class Law:
    """A law and whether it holds; `step` is null where it is about the whole trace.

    `holds` is null where the trace is cut or sampled so that it cannot be said. `where` are the layers (or, for a law
    over several steps, the steps) in which a broken law breaks, empty where it breaks in none in particular.
    `suspects` are names that occur exactly as often as is missing: compute of which one may be communication that
    its name hides, or, where there is too much, communication that may be none.
    """

    law: str
    expected: int | None
    found: int
    holds: bool | None
    step: str | None = None
    note: str = ""
    suspects: tuple[str, ...] = ()
    where: tuple[str, ...] = ()


@attrs.frozen(eq=False)
class Counted:
    """The collectives that laws count, a value per instance: first row, kind, role, size, group, device, direction.

    `counts_as` is the kind that a law counts it as: of a reduce-scatter and an all-gather that are one decomposed
    all-reduce the first is the all-reduce, and the other is nothing.
    """

    rows: Ints
    kinds: list[str]
    roles: list[str]
    elements: list[int | None]
    groups: list[str | None]
    backward: Mask
    ranks: list[str | None]
    devices: Ints
    counts_as: list[str]

    def of_kind(self, *kinds: str) -> Mask:
        """Which instances are of these kinds."""
        return np.array([kind in kinds for kind in self.kinds], bool)

    def counted_as(self, kind: str) -> Mask:
        """Which instances count as this kind."""
        return np.array([mine == kind for mine in self.counts_as], bool)

    def of_role(self, role: str) -> Mask:
        """Which instances have this role."""
        return np.array([mine == role for mine in self.roles], bool)

    def of_group(self, group: str | None) -> Mask:
        """Which instances are of this group (of no known group for None)."""
        return np.array([mine == group for mine in self.groups], bool)


@attrs.frozen(eq=False)
class Steps:
    """The device work of each step, found once: a law per step must not look at all events per step.

    `of` is the step of each event (-1 none), `names` the steps' names; without steps all is one nameless step.
    """

    module: tir.Module
    of: Ints
    names: dict[int, str]
    _rows: Ints
    _steps: Ints

    @classmethod
    def find(cls, module: tir.Module) -> Steps:
        """The steps of a module. O(events log events)."""
        of, names = np.zeros(len(module), np.int32), {}
        if module.has_tree("steps") and len(module.tree("steps")):
            tree = module.tree("steps")
            of = tree.at("step")
            names = {region: tree.region_name(region) for region in tree.of_kind("step").tolist()}
        rows = np.flatnonzero(module.work)
        rows = rows[np.argsort(of[rows], kind="stable")]
        return cls(module, of, names, rows, of[rows])

    def known(self, step: int) -> bool:
        """Whether a step is one that laws are asked of: any that has a name, or all that there is without steps.

        What lies before the first step or behind the last is cut off somewhere.
        """
        return step in self.names or not self.names

    def work(self, step: int) -> Ints:
        """The rows of a step's device work, in order of time."""
        begin, end = np.searchsorted(self._steps, [step, step + 1])
        return self._rows[begin:end]

    def split(self, counted: Counted, chosen: Mask) -> dict[int, Ints]:
        """The chosen instances of each step that has any and that is known, in order."""
        mine = np.flatnonzero(chosen)
        number = self.of[counted.rows[mine]]
        mine = mine[np.argsort(number, kind="stable")]
        numbers, begins = np.unique(self.of[counted.rows[mine]], return_index=True)
        parts = zip(numbers.tolist(), np.split(mine, begins[1:]), strict=False)
        return {number: part for number, part in parts if self.known(number)}

    def suspects(self, step: int, missing: int, like: Ints | None = None) -> tuple[str, ...]:
        """Names of a step's compute that occur exactly `missing` times, the likeliest first.

        That is those of unknown role, then those that mostly stand between the same roles on their lane as the
        collectives `like` (rows), which were found, do. O(the step's work log work).
        """
        return tuple(name for name, _ in self._ranked(step, missing, like))[:MOST_SUSPECTS]

    def likely(self, step: int, missing: int, like: Ints) -> bool:
        """Whether any of the `suspects` is likely: of unknown role, or where collectives are."""
        return any(likely for _, likely in self._ranked(step, missing, like))

    def _ranked(self, step: int, missing: int, like: Ints | None) -> list[tuple[str, bool]]:
        """The suspects, and whether they are likely."""
        if missing <= 0:
            return []
        module, rows = self.module, self.work(step)
        compute = rows[module["infer.class"][rows] == _code(module, "infer.class", "compute")]
        codes, counts = np.unique(module["name"][compute], return_counts=True)
        unknown = module["infer.role"][compute] == module.strings.code("unknown")
        first = set(module["name"][compute[unknown]].tolist())
        fitting = codes[counts == missing]
        alike = self._alike(rows, fitting, like) if like is not None and len(like) and len(fitting) else set()
        ranked = sorted(fitting.tolist(), key=lambda code: (code not in first, code not in alike, module.strings[code]))
        return [(module.strings[code], code in first or code in alike) for code in ranked]

    def _alike(self, rows: Ints, names: Ints, like: Ints) -> set[int]:
        """Those of some names whose usual neighbours on the lane have the roles that those of `like` usually have."""
        module = self.module
        rows = rows[np.lexsort((module["ts"][rows], module["lane"][rows]))]
        lane, role = module["lane"][rows], module["infer.role"][rows]
        same = lane[1:] == lane[:-1]
        before = np.append(-1, np.where(same, role[:-1], -1))
        after = np.append(np.where(same, role[1:], -1), -1)
        around = list(zip(before.tolist(), after.tolist(), strict=True))
        usual = Counter(around[at] for at in np.flatnonzero(np.isin(rows, like)).tolist()).most_common(1)
        theirs: dict[int, Counter[tuple[int, int]]] = {}
        code = module["name"][rows]
        for at in np.flatnonzero(np.isin(code, names)).tolist():
            theirs.setdefault(int(code[at]), Counter())[around[at]] += 1
        return {name for name, seen in theirs.items() if usual and seen.most_common(1)[0][0] == usual[0][0]}

    def surplus(self, counted: Counted, here: Ints, extra: int) -> tuple[str, ...]:
        """Names of some instances that occur exactly `extra` times: what is too much may be no communication."""
        told = Counter(self.module["name"][counted.rows[here]].tolist())
        return tuple(sorted(self.module.strings[code] for code, count in told.items() if count == extra))[
            :MOST_SUSPECTS
        ]


def _code(module: tir.Module, column: str, value: str) -> int:
    return module.annotations[column].annotation.values.index(value)
