"""Gaps as a pass judged them: which lie within steps, lanes and instances, their causes and places."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import numpy as np

from traceir.folding.model import Cause, Gaps, Place
from traceir.folding.work import Declared, OneStep, Work
from traceir.ir import NULL_I64, Array, Ints, Module, expand

_DEVICE = "device"


@attrs.frozen(eq=False)
class GapTable:
    """The table `gaps` of a module as parallel arrays: `[start, end)` ns, the cause's code, and the rows around.

    `device` is the device's number (-1 if it has none), `lane` the code of the lane's name (-1: of the device as a
    whole), `blame` the row of what the gap is due to (-1 unknown). `before` and `after` are the rows of the events
    around a gap, and `position` says of each row where it stands in the work.
    """

    module: Module
    causes: tuple[str, ...]
    start: Ints
    end: Ints
    cause: Array
    device: Array
    lane: Array
    before: Array
    after: Array
    blame: Array
    position: Array

    @classmethod
    def of(cls, work: Work) -> GapTable | None:
        """The table that a pass wrote as `table:gaps`, or None if none did (or one without the columns needed)."""
        module = work.module
        declared = Declared.of(module, "table:gaps")
        level, kind = declared.find("gaps.level"), declared.find("gaps.class")
        names = ("start", "dur", "device", "lane", "prev", "next", "blame")
        found = {name: values for name in names if (values := declared.column(f"gaps.{name}")) is not None}
        if level is None or kind is None or len(found) < len(names):
            return None
        levels, causes = (module.annotations[name].annotation.values for name in (level, kind))
        whole = module[level] == levels.index(_DEVICE) if _DEVICE in levels else np.zeros(len(module[level]), bool)
        position = np.zeros(len(module), np.int32)
        position[work.rows] = np.arange(len(work.rows), dtype=np.int32)
        return cls(
            module=module,
            causes=causes,
            start=found["start"],
            end=found["start"] + found["dur"],
            cause=module[kind],
            device=np.where(found["device"] == NULL_I64, -1, found["device"]),
            lane=np.where(whole, -1, found["lane"]),
            before=found["prev"],
            after=found["next"],
            blame=found["blame"],
            position=position,
        )

    def on_device(self, device: int) -> Array:
        """The gaps of a whole device, in order of time."""
        at = np.flatnonzero((self.lane < 0) & (self.device == device))
        start = self.start[at]
        return at if (start[1:] >= start[:-1]).all() else at[np.argsort(start, kind="stable")]

    def on_lane(self, name: str) -> Array:
        """The gaps of one lane."""
        code = self.module.strings.code(name)
        return np.flatnonzero(self.lane == code) if code >= 0 else np.empty(0, np.int64)

    def by_cause(self, gaps: Array) -> tuple[tuple[str, int], ...]:
        """The time of some gaps by cause, most first; what has no cause at all is `unexplained`."""
        total: dict[str, int] = {}
        for code in np.unique(self.cause[gaps]).tolist():
            mine = gaps[self.cause[gaps] == code]
            name = self.cause_name(code)
            total[name] = total.get(name, 0) + int((self.end[mine] - self.start[mine]).sum())
        return tuple(sorted(total.items(), key=lambda item: (-item[1], item[0])))

    def cause_name(self, code: int) -> str:
        """The word for a cause's code."""
        return self.causes[code] if code >= 0 else "unexplained"

    def within(self, work: Work, members: Sequence[OneStep], at: Array, instance: Array) -> Gaps:
        """The gaps of each member's devices within its extent. O(n log n) in the members' events."""
        device = work.module.device[work.rows[at]]
        numbers = np.unique(device).tolist() if len(work.module.devices) > 1 else [int(device[0])]
        low = np.array([member.low for member in members])
        high = np.array([member.high for member in members])
        owners, inside = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
        for number in numbers:
            mine = np.unique(instance[device == number]) if len(numbers) > 1 else np.arange(len(members))
            gaps = self.on_device(number)
            first = np.searchsorted(self.start[gaps], low[mine], side="left")
            last = np.searchsorted(self.end[gaps], high[mine], side="right")
            owner, position = expand(first, np.maximum(last - first, 0))
            owners.append(mine[owner])
            inside.append(gaps[position])
        gaps, owner = np.concatenate(inside), np.concatenate(owners)
        size = self.end[gaps] - self.start[gaps]
        causes = [
            self._cause(work, code, gaps[mine], owner[mine], len(members))
            for code in np.unique(self.cause[gaps]).tolist()
            for mine in (self.cause[gaps] == code,)
        ]
        return Gaps(
            count=len(gaps),
            total_ns=int(size.sum()),
            median_ns=int(np.median(np.bincount(owner, weights=size, minlength=len(members)))),
            causes=tuple(sorted(causes, key=lambda cause: (-cause.total_ns, cause.name))),
            devices=len(numbers),
        )

    def _cause(self, work: Work, code: int, gaps: Array, owner: Array, steps: int) -> Cause:
        size = self.end[gaps] - self.start[gaps]
        each = np.bincount(owner, weights=size, minlength=steps)
        after = self.position[self.after[gaps]]
        layer = work.layer[after]
        border = (layer >= 0) & (layer != work.layer[self.position[self.before[gaps]]])
        kind = 2 * (work.label[after].astype(np.int64) + 1) + border
        usual = kind == np.argmax(np.bincount(kind, weights=size))
        longest = int(np.argmax(size))
        common = int(np.argmax(np.where(usual, size, -1)))
        return Cause(
            name=self.cause_name(code),
            count=len(gaps),
            total_ns=int(size.sum()),
            median_ns=int(np.median(each)),
            present=int((each > 0).sum()),
            longest=self._place(work, gaps[longest], bool(border[longest]), size[[longest]]),
            common=attrs.evolve(self._place(work, gaps[common], bool(border[common]), size[usual]), layer=-1),
        )

    def _place(self, work: Work, gap: int, border: bool, sizes: Ints) -> Place:
        """The place of one gap; `sizes` are those of all gaps that lie in such a place."""
        after = int(self.position[self.after[gap]])
        layer = int(work.layer[after])
        return Place(
            label=work.label_of(after),
            layer=int(work.module.tree("layers").regions["index"][layer]) if layer >= 0 else -1,
            border=border,
            step=work.steps.name(int(work.step[after])),
            times=len(sizes),
            total_ns=int(sizes.sum()),
        )
