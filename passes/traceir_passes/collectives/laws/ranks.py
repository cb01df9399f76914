"""Several ranks in one trace: every member of a group runs the same collectives in the same order."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator

from traceir_passes.collectives.laws.base import Counted, Law, Steps

LABEL = "equal collectives on every device"
ALONE = frozenset({"send_recv", "unknown"})
"""What not all members of a group take part in, or what may be so."""


def ranks(counted: Counted, steps: Steps) -> Iterator[Law]:
    """The law for each group that several devices of the trace share; it names the steps in which one differs."""
    groups: dict[tuple[str, str | None], dict[int, dict[int, list[str]]]] = {}
    of_step = steps.of[counted.rows].tolist()
    keys = zip(counted.groups, counted.ranks, counted.devices.tolist(), strict=True)
    for at, (group, members, device) in enumerate(keys):
        if group is None or device < 0 or counted.kinds[at] in ALONE or not steps.known(of_step[at]):
            continue
        by_device = groups.setdefault((group, members), {})
        by_device.setdefault(device, defaultdict(list))[of_step[at]].append(counted.kinds[at])
    for (group, _), by_device in groups.items():
        if len(by_device) > 1:
            yield _equal(group, by_device, steps)


def _equal(group: str, by_device: dict[int, dict[int, list[str]]], steps: Steps) -> Law:
    """`expected` and `found` are devices: all of them, and those that do what most do in every step.

    A device that lacks only the begin of the first step or the end of the last may have been cut off there.
    """
    numbers = sorted({step for lists in by_device.values() for step in lists})
    differing: dict[int, list[str]] = {}
    where, cut = [], True
    for number in numbers:
        lists = {device: lists.get(number, []) for device, lists in by_device.items()}
        usual = list(Counter(tuple(kinds) for kinds in lists.values()).most_common(1)[0][0])
        odd = [device for device, kinds in lists.items() if kinds != usual]
        for device in odd:
            mine = lists[device]
            differing.setdefault(device, _difference(usual, mine))
            late = number == numbers[0] and mine == usual[len(usual) - len(mine) :]
            early = number == numbers[-1] and mine == usual[: len(mine)]
            cut = cut and (late or early)
        if odd and number in steps.names:
            where.append(steps.names[number])
    note = f"group {group}"
    for device, words in sorted(differing.items()):
        note += f"; gpu{device}: {', '.join(words)}"
    if differing and cut:
        note += "; the window may cut it"
    equal = len(by_device) - len(differing)
    holds = not differing or (None if cut else False)
    return Law(LABEL, len(by_device), equal, holds, note=note, where=tuple(where))


def _difference(usual: list[str], mine: list[str]) -> list[str]:
    """What a device does more or less often than most do, or that its order is another."""
    more, less = Counter(mine), Counter(usual)
    words = [f"{more[kind]} {kind}, not {less[kind]}" for kind in sorted(more | less) if more[kind] != less[kind]]
    return words or ["another order"]
