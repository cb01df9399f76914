"""The pass itself: finds the gaps of devices and lanes, judges them, and writes them down as a table."""

from __future__ import annotations

from typing import Literal

import attrs
import numpy as np

import traceir as tir
from traceir_passes.gaps import build, laws, queues
from traceir_passes.gaps.confirm import check_pattern
from traceir_passes.gaps.find import lines
from traceir_passes.gaps.notes import LEVELS, Notes
from traceir_passes.gaps.report import GapsReport
from traceir_passes.gaps.rules import BY, CLASSES, MEANWHILE, Facts, Limits, judge

DType = Literal["i64", "bool", "str", "id", "enum"]


def _column(
    name: str, dtype: DType, doc: str, *, unit: str = "", null: str = "", values: tuple[str, ...] = ()
) -> tir.Annotation:
    return tir.Annotation(
        f"gaps.{name}", domain="table:gaps", dtype=dtype, unit=unit, doc=doc, null=null, values=values
    )


_NO_LAUNCH = "the next event has no launch in the trace"
_COLUMNS = (
    _column("level", "enum", "Whether nothing ran on the device, or on one lane of it.", values=LEVELS),
    _column("lane", "str", "Name of the lane.", null="a device's gap"),
    _column("device", "i64", "Number of the device.", null="the device has no number"),
    _column("start", "i64", "Running maximum of the ends of all events before.", unit="ns"),
    _column("dur", "i64", "Length, at least 1.", unit="ns"),
    _column("class", "enum", "Cause of the gap.", values=CLASSES),
    _column("host", "i64", "Part before the next event's launch call begins.", unit="ns", null=_NO_LAUNCH),
    _column("call", "i64", "Part during which the launch call runs.", unit="ns", null=_NO_LAUNCH),
    _column("post", "i64", "Part after the launch call has returned.", unit="ns", null=_NO_LAUNCH),
    _column("cover", "i64", "Time during which other lanes of the device work.", unit="ns"),
    _column("confirmed", "i64", "Part in which all of the device idles and its utilisation counters read 0.", unit="ns",
            null="the device has no such counter"),
    _column("prev", "id", "Event whose end begins the gap."),
    _column("next", "id", "Event whose start ends the gap."),
    _column("blame", "id", "Event that the gap is due to.",
            null="none is known or looked for, or the gap is not above min_gap"),
    _column("blame_ns", "i64", "How long the blamed host event was the innermost one in the host part.", unit="ns",
            null="there is no blame, or not of that sort"),
    _column("wait", "id", "Event wait that held the next event back.", null="none did"),
    _column("by", "enum", "What the other stream ran.", values=BY, null="the class is not other_stream"),
    _column("meanwhile", "enum", "What ran on other lanes of the device for most of the time in which any did; wait: "
            "nothing did, and an event wait held the next event back.", values=MEANWHILE, null="nothing did"),
    _column("graph_entry", "bool", "Whether the next event is the first of a graph launched before the gap began."),
    _column("polling", "bool", "Whether the launching thread spent its calls in the host part on queries."),
    _column("end_of_step", "bool", "Whether the events on both sides belong to different steps."),
)  # fmt: skip

_QUEUES = tuple(
    attrs.evolve(item, domain="table:queues")
    for item in (
        _column("counter", "str", "Name of the lane."),
        _column("counter_device", "i64", "Number of its device.", null="the device has no number"),
        _column("counter_at", "i64", "Instant from which on the value holds, up to the lane's next row.", unit="ns"),
        _column("counter_value", "i64", "Kernels that were launched on the lane and have not begun."),
    )
)

EMPTY = {column.name.partition(".")[2]: np.empty(0, column.numpy_type) for column in _COLUMNS}


@attrs.frozen
class Gaps(tir.Pass):
    """Give every idle stretch of a device a cause.

    A gap runs from the running maximum of ends to the next start, on each lane and on each device over all its
    lanes. Every gap of at least 1 ns gets one class, so that busy time and classes make the span; counts, lists
    and blame are for gaps above `min_gap`. The class follows from when the next event was launched, from what
    the launching process was blocked in, and from what other lanes did; each gap also keeps its three parts
    (before, during and after the launch call). All times are integer ns. O(n log n) for n events.
    """

    min_gap: tir.Duration = tir.option(
        1_000,
        least=0,
        help="Gaps above it are counted, listed and blamed; at or below it traces in whole µs are full of rounding.",
    )
    late: tir.Duration = tir.option(
        200_000,
        least=0,
        help="Time after the launch call returned above which a start is not its latency: far above what a "
        "launch takes on an idle queue.",
    )
    late_share: tir.Share = tir.option(
        0.5, help="Share of the gap that must also lie after the launch call before its start counts as overdue."
    )
    host_share: tir.Share = tir.option(
        0.5, help="Share of the gap before the launch call from which on the host was late rather than the launch slow."
    )
    cover: tir.Share = tir.option(
        0.5, help="Share of a lane's gap in which other lanes work from which on they are taken for its cause."
    )
    blocked: tir.Share = tir.option(
        0.5,
        help="Share of the host part that blocking calls must cover before they, not slow host code, are the cause.",
    )
    queue: tir.Duration = tir.option(
        10_000,
        least=0,
        help="Gap between two queued events up to which it is the queue's own latency: a few times what "
        "devices take from one kernel to the next.",
    )
    doubt: tir.Share = tir.option(
        0.2, help="Share of unexplained gaps of a device's idle time above which it may be work that was not recorded."
    )
    hole: int = tir.option(
        10,
        least=1,
        help="A gap without a host cause of more than so many median steps is a hole in the recording: no step "
        "waits as long as that.",
    )
    blame: Literal["device", "all", "none"] = tir.option(
        "device",
        help="Where host events are blamed: in gaps of devices (and lanes' gaps that are the same), in all "
        "lanes' gaps, which takes longer with many streams, or nowhere.",
    )
    depths: bool = tir.option(
        True,
        help="Whether to write how deep each lane's launch queue was over time as table:queues; it has two rows "
        "for each kernel at most.",
    )
    utilisation: str = tir.option(
        r"utili[sz]ation|sms?.active|gpu.busy|gr.active", help="What counters of a device's activity are called "
        "(regular expression); where all read 0 its idleness is confirmed."
    )  # fmt: skip

    reads = ("id", "ts", "dur", "kind", "name", "lane", "parent", "live", "edges")
    uses = ("tree.steps", "tree.layers", "tree.blocks", "group.mark", "args")
    writes = (*_COLUMNS, *_QUEUES)

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        check_pattern(self, self.utilisation)

    def run(self, module: tir.Module, context: tir.PassContext) -> tir.Module:
        """Write `table:gaps`: the gaps of each device, then of each lane, in order of time."""
        facts = Facts(module, Limits(self.late, self.late_share, self.host_share, self.cover, self.blocked, self.queue))
        notes = Notes(facts, self.min_gap, self.blame, self.utilisation)
        parts = []
        for line in lines(module):
            parts.append(notes.columns(line, judge(line, facts)))
        strings, names = module.strings.encode([lane.name for lane in module.lanes])
        columns = {name: np.concatenate([empty, *(part[name] for part in parts)]) for name, empty in EMPTY.items()}
        columns["lane"] = np.append(names, np.int32(-1))[columns["lane"]]
        table = {f"gaps.{name}": values for name, values in columns.items()}
        module = module.with_strings(strings).with_table("gaps", table)
        module = module.with_table("queues", self._queues(module))
        return module.with_health(*laws.holes(module, self.hole, self.blocked))

    def _queues(self, module: tir.Module) -> dict[str, tir.ir.Array]:
        """The queue depth of each lane over time; empty without the option `depths`."""
        found = queues.Depths.of(module, module["lane"]).steps()
        chosen = slice(None if self.depths else 0)
        lane = found.group[chosen]
        names = np.array([module.strings.code(item.name) for item in module.lanes], np.int32)
        number = np.array([tir.NULL_I64 if item.device is None else item.device for item in module.lanes], np.int64)
        return {
            "gaps.counter": names[lane],
            "gaps.counter_device": number[lane],
            "gaps.counter_at": found.at[chosen],
            "gaps.counter_value": found.depth[chosen],
        }

    def report(self, module: tir.Module) -> GapsReport:
        """Idle time of devices and lanes by cause."""
        return build.build(module, self.min_gap, self.doubt)

    def check(self, module: tir.Module) -> list[str]:
        """Conservation, to the ns: busy time and gaps make the span of each device and lane; parts make the gap."""
        return laws.broken(module)
