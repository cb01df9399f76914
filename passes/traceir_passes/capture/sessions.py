"""Sessions: the launches that the host made while a graph was recorded, with all that encloses them."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

import attrs
import numpy as np

import traceir as tir
from traceir.ir import Array, Ints, Mask

NODES: Final = {"rt.launch": "kernel", "rt.memcpy": "memcpy", "rt.memset": "memset"}
"""What a captured call becomes in the graph; other calls become no node that a replay shows as device work."""
_NODE: Final = "graph node id"
"""What Kineto calls the id of a node, of a captured call as of a replayed kernel."""
_BEGIN, _END = re.compile("StreamBeginCapture"), re.compile("StreamEndCapture")
MODULE: Final = re.compile(r"^nn\.Module: (.+_\d+)$")


@attrs.frozen(eq=False)
class Session:
    """One recording of a graph: its calls (rows of `module`) in order.

    Per call: `sort` (kernel, memcpy, memset), the `kernel` that the call's arguments name and its `grid`, each None
    where the profiler did not record it. `nodes` are the ids that the graph gave its nodes (u64), None unless each
    call has one of its own.
    """

    module: tir.Module
    calls: Ints
    sort: tuple[str, ...]
    kernel: tuple[str | None, ...]
    nodes: Array | None = None

    def __len__(self) -> int:
        return len(self.calls)

    @functools.cached_property
    def grid(self) -> tuple[tuple[int, ...] | None, ...]:
        """The grid of each launch."""
        return grids(self.module, self.calls)

    @functools.cached_property
    def frames(self) -> Frames:
        """What encloses each call."""
        return Frames.of(self.module, self.calls)


@attrs.frozen(eq=False)
class Frames:
    """What encloses calls: the path of modules, the innermost operator with its input shapes, and the frame.

    Each None where there is none. A path is `Model_0/Layer_3/RMSNorm_7`, as the profiler numbers instances.
    """

    modules: tuple[str | None, ...]
    operators: tuple[str | None, ...]
    shapes: tuple[str | None, ...]
    frames: tuple[str | None, ...]

    @classmethod
    def of(cls, module: tir.Module, calls: Ints) -> Frames:
        """By one walk up the nest tree for each call. O(calls × depth)."""
        names, parent = module["name"], module.parent
        operator, frame = module.is_kind("host.op"), module.is_kind("host.frame")
        texts = functools.cache(lambda code: MODULE.match(module.strings[code]))
        paths, found_operators, found_frames = [], [], []
        for call in calls.tolist():
            path: list[str] = []
            inner, source = -1, -1
            at = int(parent[call])
            while at >= 0:
                match = texts(int(names[at]))
                if match is not None:
                    path.append(match[1])
                elif inner < 0 and operator[at]:
                    inner = at
                elif source < 0 and frame[at] and _in_file(module.strings[int(names[at])]):
                    source = at
                at = int(parent[at])
            paths.append("/".join(reversed(path)) or None)
            found_operators.append(inner)
            found_frames.append(source)
        return cls(
            tuple(paths),
            _names(module, found_operators),
            _shapes(module, found_operators),
            _names(module, found_frames),
        )


def _in_file(frame: str) -> bool:
    """Whether a frame is of a source file, and no builtin, which has none and whose name holds an address."""
    return not frame.startswith("<")


def sessions(module: tir.Module, *, whole: bool = False) -> list[Session]:
    """The captures in a module, in order: the launches between the calls that begin and end one, on their thread.

    A launch that has device work in the trace was not captured. With `whole`, a module without such calls is one
    capture itself. O(n log n).
    """
    free = np.isin(np.arange(len(module)), module.launch[module.work], invert=True)
    calls = np.flatnonzero(module.is_kind(*NODES) & module.live & free)
    windows = list(_windows(module, calls))
    if not windows and whole:
        windows = [calls]
    return [_session(module, rows) for rows in windows if len(rows)]


def _windows(module: tir.Module, calls: Ints) -> Iterator[Ints]:
    """The calls of each capture, in order of its begin; one that nothing ends reaches to the end of the trace.

    O(n log n): an engine records thousands of graphs, one for each piece of a model and size of a batch.
    """
    marks = module.is_kind("rt") & module.live
    begins, ends = _called(module, marks, _BEGIN), _called(module, marks, _END)
    lanes, start = module["lane"], module["ts"]
    found: list[tuple[int, Ints]] = []
    for lane in np.unique(lanes[begins]).tolist():
        mine, last = calls[lanes[calls] == lane], ends[lanes[ends] == lane]
        rows = begins[lanes[begins] == lane]
        begin = module.end[rows]
        closing = np.searchsorted(start[last], begin)
        first = np.searchsorted(start[mine], begin)
        behind = np.append(np.searchsorted(start[mine], start[last]), len(mine))[closing]
        found += zip(rows.tolist(), (mine[a:b] for a, b in zip(first, behind, strict=True)), strict=True)
    yield from (rows for _, rows in sorted(found, key=lambda item: item[0]))


def _called(module: tir.Module, marks: Mask, pattern: re.Pattern[str]) -> Ints:
    codes = [code for code in np.unique(module["name"][marks]).tolist() if pattern.search(module.strings[code])]
    return np.flatnonzero(marks & np.isin(module["name"], codes))


def _session(module: tir.Module, rows: Ints) -> Session:
    kinds = [module.kinds[code] for code in module["kind"][rows].tolist()]
    args = module.select(where=rows).args()
    given = [told.get("kernel") for told in args]
    kernel = tuple(name if isinstance(name, str) and name else None for name in given)
    nodes = node_ids([told.get(_NODE) for told in args])
    return Session(module, rows, tuple(NODES[kind] for kind in kinds), kernel, nodes)


def node_ids(given: Sequence[Any]) -> Array | None:
    """Ids of a graph's nodes as u64; None unless all are whole numbers, and no two alike."""
    if not all(isinstance(node, int) and not isinstance(node, bool) and 0 <= node < 1 << 64 for node in given):
        return None
    nodes = np.array(given, np.uint64)
    return nodes if len(np.unique(nodes)) == len(nodes) else None


def grids(module: tir.Module, rows: Array) -> tuple[tuple[int, ...] | None, ...]:
    """The grids in the source's arguments of launches or kernels."""
    given = [args.get("grid") for args in module.select(where=rows).args()]
    return tuple(tuple(grid) if isinstance(grid, list) else None for grid in given)


def _names(module: tir.Module, rows: list[int]) -> tuple[str | None, ...]:
    return tuple(module.strings[int(module["name"][row])] if row >= 0 else None for row in rows)


def _shapes(module: tir.Module, rows: list[int]) -> tuple[str | None, ...]:
    """The input shapes of operators as JSON, such as `[[32,4096],[4096]]`."""
    known = sorted({row for row in rows if row >= 0})
    given: dict[int, Any] = {}
    for row, args in zip(known, module.select(where=np.array(known, np.int64)).args(), strict=True):
        given[row] = args.get("Input Dims")
    return tuple(json.dumps(given[row], separators=(",", ":")) if given.get(row) else None for row in rows)


__all__ = ["Frames", "Session", "grids", "node_ids", "sessions"]
