"""The events as another tool sees them: categories, streams and correlations of the file, and its launch arrows."""

from __future__ import annotations

from typing import Any, Final

import attrs
import msgspec
import numpy as np

from traceir.ir import NULL_I64, Array, Ints, Mask, Module
from traceir.ir.source import ChromeSource, Elements

CATEGORIES: Final = {
    "dev.kernel": "kernel", "dev.graph": "kernel", "dev.memcpy": "gpu_memcpy", "dev.memset": "gpu_memset",
    "dev.range": "gpu_user_annotation", "event.record": "cuda_event", "event.wait": "cuda_sync", "host.op": "cpu_op",
    "host.frame": "python_function", "host.range": "user_annotation", "mark.step": "user_annotation",
}  # fmt: skip
"""Kineto's category of a kind, for modules whose input is no Chrome trace; that of calls is `cuda_runtime`."""
NONE: Final = -1
_LAUNCHES: Final = "ac2g"
Place = tuple[Any, Any]


class _Args(msgspec.Struct, gc=False):
    stream: Any = None
    correlation: Any = None


class _Element(msgspec.Struct, gc=False):
    args: _Args | None = None


_DECODER: Final = msgspec.json.Decoder(_Element)


@attrs.frozen(eq=False)
class Seen:
    """What a tool reads of each event of a module; arrays of one entry per row.

    `category` are positions in `categories`, -1 where the file has none or the event no duration. `stream` and
    `correlation` are the numbers among its arguments, -1 without any (which is what HTA gives such events).
    `begins` and `ends` are the launch arrows by id: that there is a first end, and process and thread of the last.
    `origin` is what has to be added to the module's times for those of the file.
    """

    category: Ints
    categories: tuple[str, ...]
    stream: Ints
    correlation: Ints
    begins: frozenset[int]
    ends: dict[int, Place]
    origin: int

    def is_category(self, *names: str) -> Mask:
        """Which rows are of one of these categories."""
        table = np.array([name in names for name in self.categories] + [False])
        return np.asarray(table[self.category])


def see(module: Module) -> Seen:
    """The events as the file has them. A Chrome trace is read once more; of others the columns say it. O(n)."""
    module.note_read("args")
    if isinstance(module.source, ChromeSource) and module.source.loaded is not None:
        return _read(module, module.source, module.source.loaded.origin)
    return _from_columns(module)


def _read(module: Module, source: ChromeSource, origin: int) -> Seen:
    ids = module["id"]
    order = np.argsort(ids, kind="stable")
    known: dict[str, int] = {}
    category, stream, correlation = (np.full(len(module), NONE, np.int64) for _ in range(3))
    begins: set[int] = set()
    ends: dict[int, Place] = {}
    for part in source.listing():
        low, high = np.searchsorted(ids, [part.first, part.first + len(part)], sorter=order)
        for row in order[low:high].tolist():
            at = int(ids[row]) - part.first
            item = part.rows[at]
            if item.cat is None or item.cat == "Trace" or part.dur[at] == NULL_I64:
                continue
            category[row] = known.setdefault(item.cat, len(known))
            stream[row], correlation[row] = _numbers(part, at)
        for item in part.rows:
            if item.cat == _LAUNCHES and isinstance(item.id, int):
                if item.ph == "s":
                    begins.add(item.id)
                elif item.ph == "f":
                    ends[item.id] = item.pid, item.tid
    return Seen(category, tuple(known), stream, correlation, frozenset(begins), ends, origin)


def _numbers(part: Elements, at: int) -> tuple[int, int]:
    """Stream and correlation among an element's arguments, -1 for each that is no number."""
    raw = part.text[part.starts[at] : part.ends[at]]
    if b'"stream"' not in raw and b'"correlation"' not in raw:
        return NONE, NONE
    try:
        args = _DECODER.decode(raw).args
    except (msgspec.DecodeError, UnicodeDecodeError):
        return NONE, NONE
    return (NONE, NONE) if args is None else (_number(args.stream), _number(args.correlation))


def _number(value: Any) -> int:
    try:
        number = int(value)
    except (TypeError, ValueError, OverflowError):
        return NONE
    return number if abs(number) < 1 << 62 else NONE


def _from_columns(module: Module) -> Seen:
    """What can be said without a file: categories by kind, streams by lane, and a correlation for each launch."""
    names = [CATEGORIES.get(kind, "cuda_runtime" if kind.startswith("rt.") else kind) for kind in module.kinds]
    known = tuple(dict.fromkeys(names))
    category = np.array([known.index(name) for name in names], np.int64)[module["kind"]]
    streams = [NONE if not lane.is_device else lane.stream or 0 for lane in module.lanes]
    stream = np.array([*streams, NONE], np.int64)[module["lane"]]
    launch = module.launch.astype(np.int64)
    correlation = np.where(launch >= 0, launch, NONE)
    calls = np.unique(launch[launch >= 0])
    correlation[calls] = calls
    lanes: Array = module["lane"]
    ends = {int(launch[row]): _place(module, int(lanes[row])) for row in np.flatnonzero(launch >= 0).tolist()}
    return Seen(category, known, stream, correlation, frozenset(ends), ends, 0)


def _place(module: Module, lane: int) -> Place:
    return module.lanes[lane].pid, module.lanes[lane].tid
