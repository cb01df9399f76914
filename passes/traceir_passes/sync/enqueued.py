"""Device work by lane and by device: what was enqueued before an instant, and what had ended by one."""

from __future__ import annotations

from functools import cached_property

import attrs
import numpy as np

from traceir.ir import Array, Ints, Module
from traceir_passes.gaps.keyed import Keyed


def devices(module: Module) -> Ints:
    """A number from 0 on for the device of each event; devices without a number share one."""
    return np.unique(module.device, return_inverse=True)[1].reshape(-1).astype(np.int64)


@attrs.frozen(eq=False, slots=False)
class Work:
    """Device work, by lane and by device: what was enqueued before an instant, and what ended by one."""

    module: Module

    @cached_property
    def rows(self) -> Array:
        """All device work."""
        return np.flatnonzero(self.module.work)

    @cached_property
    def launched(self) -> Array:
        """What has its launch in the trace."""
        return self.rows[self.module.launch[self.rows] >= 0]

    @cached_property
    def orphans(self) -> Array:
        """What has none."""
        return self.rows[self.module.launch[self.rows] < 0]

    @cached_property
    def device(self) -> Ints:
        """A number from 0 on for the device of each row; devices without a number share one."""
        return devices(self.module)

    @cached_property
    def by_lane(self) -> Reach:
        """The latest ends on lanes."""
        return Reach(self, self.module["lane"].astype(np.int64))

    @cached_property
    def by_device(self) -> Reach:
        """The latest ends on devices."""
        return Reach(self, self.device)

    @cached_property
    def from_thread(self) -> Keyed:
        """When each thread launched what `launched` has."""
        call = self.module.launch[self.launched]
        return Keyed(self.module["lane"][call], self.module["ts"][call])

    @cached_property
    def only_lane(self) -> Ints:
        """For each device the one lane that works there; -1 if there are several."""
        out = np.full(int(self.device.max(initial=-1)) + 1, -1, np.int64)
        pairs = np.unique(np.stack([self.device[self.rows], self.module["lane"][self.rows]]), axis=1)
        single = np.bincount(pairs[0], minlength=len(out))[pairs[0]] == 1
        out[pairs[0][single]] = pairs[1][single]
        return out

    def place(self, thread: Array, before: Ints) -> tuple[Ints, Ints]:
        """The device and the lane that calls of threads are for: where each launched last before an instant.

        For a thread that launched nothing it is the only device and its only lane; -1 where there are several.
        """
        last = np.append(self.launched, -1)[self.from_thread.last(thread, before)]
        several = np.unique(self.device[self.rows])
        lone = int(several[0]) if len(several) == 1 else -1
        device = np.where(last >= 0, np.append(self.device, -1)[last], lone)
        return device, np.where(last >= 0, self.module["lane"][last], np.append(self.only_lane, -1)[device])


@attrs.frozen(eq=False, slots=False)
class Reach:
    """The latest end of a group's work: of what was launched before an instant, and of what had ended by one."""

    work: Work
    group: Ints

    @cached_property
    def _launched(self) -> tuple[Keyed, Array]:
        module, rows = self.work.module, self.work.launched
        by = Keyed(self.group[rows], module["ts"][module.launch[rows]])
        return by, rows[by.greatest(module.end[rows])]

    @cached_property
    def _orphans(self) -> Keyed:
        return Keyed(self.group[self.work.orphans], self.work.module.end[self.work.orphans])

    @cached_property
    def _ends(self) -> Keyed:
        return Keyed(self.group[self.work.rows], self.work.module.end[self.work.rows])

    def enqueued(self, group: Array, before: Ints, by: Ints) -> Array:
        """The row that ends last of what was launched before an instant, and of what has no launch and ended by
        another; -1 if there is none."""
        keyed, holder = self._launched
        at = keyed.count(group, before) - 1
        known = np.append(holder, -1)[at]
        known = np.where((at >= 0) & (np.append(self.group, -1)[known] == group), known, -1)
        lone = np.append(self.work.orphans, -1)[self._orphans.last(group, by, to=True)]
        end = np.append(self.work.module.end, np.iinfo(np.int64).min)
        return np.where(end[lone] > end[known], lone, known)

    def ended(self, group: Array, by: Ints) -> Array:
        """The row that ends last of what had ended by an instant; -1 if none had."""
        return np.append(self.work.rows, -1)[self._ends.last(group, by, to=True)]
