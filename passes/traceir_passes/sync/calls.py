"""Which rows wait: blocking host calls, waits of streams for events, and runs of queries."""

from __future__ import annotations

import re
from typing import Final

import attrs
import numpy as np

from traceir.ir import Array, Ints, Mask, Module, Selection
from traceir_passes.gaps.host import blocking, queries

KINDS: Final = ("device", "stream", "event", "copy", "memory", "wait", "poll")
"""What waits for what, in the order in which reports list them.

A host call for a whole device, for a stream, for an event, for its own copy, or for memory of the device; a stream for
an event; a host thread that asks again and again.
"""
_DEVICE, _STREAM, _EVENT, _COPY, _MEMORY, _WAIT, _POLL = range(len(KINDS))
_PAGEABLE = re.compile("pageable", re.IGNORECASE)
_FREES = re.compile(r"free|release|unmap", re.IGNORECASE)


@attrs.frozen(eq=False)
class Calls:
    """Rows that wait, in order of their starts: `kind` is a position in `KINDS`, `calls` the number of queries of a
    poll (1 for all others), whose first one `rows` has and whose last one ends at `end`; `frees` says which give memory
    back."""

    rows: Array
    kind: Ints
    start: Ints
    end: Ints
    calls: Ints
    frees: Mask

    def __len__(self) -> int:
        return len(self.rows)

    def of(self, *names: str) -> Mask:
        """Which of them are of these kinds."""
        return np.isin(self.kind, [KINDS.index(name) for name in names])


def find(module: Module, apart: int) -> Calls:
    """All that waits. A blocking call inside another one is part of it. O(n + calls × depth)."""
    host = np.flatnonzero(blocking(module) | _staged(module))
    host = host[~_inside(module, host)]
    waits = stream_waits(module)
    first, last, count = _polls(module, apart)
    rows = np.concatenate([host, waits, first])
    kind = np.concatenate([_kinds(module, host), np.full(len(waits), _WAIT), np.full(len(first), _POLL)])
    end = module.end[np.concatenate([host, waits, last])]
    calls = np.concatenate([np.ones(len(host) + len(waits), np.int64), count])
    order = np.lexsort((rows, module["ts"][rows]))
    rows, kind = rows[order], kind[order]
    return Calls(rows, kind, module["ts"][rows], end[order], calls[order], _named(module, rows, _FREES))


def stream_waits(module: Module) -> Array:
    """The waits that a stream makes for an event; those that record a wait of the host are left out."""
    on_device = np.append(module.device_lane, False)[module["lane"]]
    own = module.is_kind("event.wait") & module.live & on_device
    src, dst = module.edges("sync")
    own[src[~on_device[dst]]] = False
    # What has a record is a stream's wait; of all others the source has to be asked.
    alone = own.copy()
    alone[dst] = False
    rows = np.flatnonzero(alone)
    kinds = Selection(module, rows).field("sync_kind")
    own[rows[[kind not in (None, "Stream Wait Event") for kind in kinds]]] = False
    return np.flatnonzero(own)


def _staged(module: Module) -> Mask:
    """Which calls copy to or from pageable memory and returned only when the copy was done.

    The runtime waits in them although their names say `Async`; that it did is seen by the end of the copy.
    """
    copies = np.flatnonzero(module.work & module.is_kind("dev.memcpy") & (module.launch >= 0))
    copies = copies[_named(module, copies, _PAGEABLE)]
    call = module.launch[copies]
    out = np.zeros(len(module), bool)
    out[call[module.end[copies] <= module.end[call]]] = True
    return out & module.is_kind("rt.memcpy")


def _kinds(module: Module, rows: Array) -> Ints:
    """What each blocking call waits for, by its kind and its name."""
    alloc, copies = (module.is_kind(*names)[rows] for names in (("rt.alloc",), ("rt.memcpy", "rt.memset")))
    return np.select(
        [
            alloc,
            copies | _named(module, rows, re.compile("memcpywithstream", re.IGNORECASE)),
            _named(module, rows, re.compile("event", re.IGNORECASE)),
            _named(module, rows, re.compile("stream|queue", re.IGNORECASE)),
        ],
        [_MEMORY, _COPY, _EVENT, _STREAM],
        _DEVICE,
    )


def _named(module: Module, rows: Array, pattern: re.Pattern[str]) -> Mask:
    """Which rows have a name that matches; each name is looked at once."""
    codes, at = np.unique(module["name"][rows], return_inverse=True)
    return np.array([bool(pattern.search(module.strings[code])) for code in codes.tolist()], bool)[at.ravel()]


def _inside(module: Module, rows: Array) -> Mask:
    """Which rows lie inside another of them on their thread. One round a level of nesting."""
    chosen = np.zeros(len(module) + 1, bool)
    chosen[rows] = True
    inside, up = np.zeros(len(rows), bool), module.parent[rows]
    while (above := np.flatnonzero((up >= 0) & ~inside)).size:
        inside[above] = chosen[up[above]]
        up[above] = module.parent[up[above]]
    return inside


def _polls(module: Module, apart: int) -> tuple[Array, Array, Ints]:
    """Runs of two queries or more of one thread, with no other runtime call between and no more than `apart` ns: the
    first row of each, the last, and how many there are."""
    asks = queries(module)
    rows = np.flatnonzero(module.is_kind("rt") & module.live)
    rows = rows[np.lexsort((rows, module["ts"][rows], module["lane"][rows]))]
    asked = asks[rows]
    joins = asked[1:] & asked[:-1] & (module["lane"][rows][1:] == module["lane"][rows][:-1])
    joins &= module["ts"][rows][1:] - module.end[rows][:-1] <= apart
    first = np.flatnonzero(asked & ~np.append(False, joins)[: len(rows)])
    last = np.flatnonzero(asked & ~np.append(joins, False)[: len(rows)])
    many = last > first
    return rows[first[many]], rows[last[many]], (last - first + 1)[many]
