"""Pairs of a mixture-of-experts layer: tokens are sent to their experts, and come back."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterator

import attrs

from traceir_passes.collectives.composites.base import Composite, Setting
from traceir_passes.collectives.pieces import micro_batches

Place = tuple[int, int]
"""A layer and a micro-batch, -1 each where it is not known."""


@attrs.frozen
class MoePair:
    """[layout, notify,] dispatch … [notify,] combine: paired in order on each device.

    A combine belongs to the oldest dispatch of its layer and micro-batch that is open, else to the oldest one that
    is open at all: what was sent first comes back first. A combine before any dispatch, and a dispatch that a later
    layer overtakes, are left alone.
    """

    form: str = "moe_pair"

    def find(self, setting: Setting) -> list[Composite]:
        """The pairs, with the notifications that were joined to either half. O(communication log communication)."""
        module = setting.module
        device, ts, batch = module.device, module["ts"], micro_batches(module)
        layer = module.tree("layers").at("layer") if module.has_tree("layers") else None
        halves: dict[int, list[tuple[int, int, str, Place]]] = defaultdict(list)
        for at, item in enumerate(setting.instances):
            if item.role in ("dispatch", "combine"):
                place = (int(layer[item.row]) if layer is not None else -1, int(batch[item.row]))
                halves[int(device[item.row])].append((int(ts[item.row]), at, item.role, place))
        pairs = [pair for events in halves.values() for pair in _paired(sorted(events))]
        out = [Composite(self.form, "all_to_all", setting.rows_of(*pair), pair) for pair in pairs]
        return sorted(out, key=lambda item: item.members)


def _paired(events: list[tuple[int, int, str, Place]]) -> Iterator[tuple[int, int]]:
    """Dispatch and combine of each pair, by their numbers. Each dispatch is looked at once but for open ones."""
    opened: deque[tuple[int, Place]] = deque()
    for _, at, role, place in events:
        if role == "dispatch":
            opened.append((at, place))
            continue
        own = next((number for number, (_, other) in enumerate(opened) if other == place), None)
        if own is None and opened:
            own = 0
        if own is not None:
            yield opened[own][0], at
            _drop(opened, own, place)


def _drop(opened: deque[tuple[int, Place]], own: int, place: Place) -> None:
    """Take a paired dispatch out, and with it those of the same micro-batch that were sent before and never came."""
    passed = [item for item in list(opened)[:own] if item[1][1] != place[1]]
    for _ in range(own + 1):
        opened.popleft()
    opened.extendleft(reversed(passed))
