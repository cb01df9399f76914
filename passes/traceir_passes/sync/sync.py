"""The pass itself: finds what waits and writes it down as a table."""

from __future__ import annotations

from typing import Literal

import attrs
import numpy as np

import traceir as tir
from traceir_passes.gaps.waits import waits
from traceir_passes.sync import awaited, calls, cause, parts
from traceir_passes.sync import report as reports

DType = Literal["i64", "str", "id", "enum"]


def _column(
    name: str, dtype: DType, doc: str, *, unit: str = "", null: str = "", values: tuple[str, ...] = ()
) -> tir.Annotation:
    return tir.Annotation(
        f"sync.{name}", domain="table:syncs", dtype=dtype, unit=unit, doc=doc, null=null, values=values
    )


_UNKNOWN = "what was awaited is unknown"
_COLUMNS = (
    _column("call", "id", "The host call that blocks, the stream's wait, or the first query of a poll."),
    _column("kind", "enum", "What waits, and for what.", values=calls.KINDS),
    _column("start", "i64", "Start of the call.", unit="ns"),
    _column("dur", "i64", "Length of the call; of a poll from its first query to the end of its last.", unit="ns"),
    _column("calls", "i64", "Number of queries of a poll, 1 for all else."),
    _column("waited_for", "id", "Device work that the call waited for: of all that it awaited, what ended last.",
            null="unknown, or the call waited for none"),
    _column("basis", "enum", "How waited_for is known.", values=awaited.BASES, null="it is not"),
    _column("verdict", "enum", "Whether there still was work to wait for when the call began; done: all of it had "
            "ended, and the call cost only its own overhead.", values=awaited.VERDICTS, null="unknown"),
    _column("busy", "i64", "Part in which what was awaited works: its stream, or the device for a call that waits for "
            "all of it.", unit="ns", null=_UNKNOWN),
    _column("copy", "i64", "Part in which the call's own copy runs.", unit="ns", null=_UNKNOWN),
    _column("other", "i64", "Part in which only other streams of the device work.", unit="ns", null=_UNKNOWN),
    _column("idle", "i64", "Part before the end of what was awaited in which the device does nothing.", unit="ns",
            null=_UNKNOWN),
    _column("back", "i64", "Part after what was awaited had ended: the way back to the host.", unit="ns",
            null=_UNKNOWN),
    _column("device_idle", "i64", "Part of the call in which the device does nothing, whatever was awaited.", unit="ns",
            null="a poll, or its device is unknown"),
    _column("held", "i64", "How long a stream's wait kept it from going on, from when all before was done.", unit="ns",
            null="no wait of a stream, or what it awaited is unknown"),
    _column("op", "id", "Outermost of the operators right above the call.", null="there is none"),
    _column("frame", "id", "Innermost frame of the program, range or mark above those.", null="there is none"),
    _column("chain", "str", "Names from the call to the operator."),
)  # fmt: skip


@attrs.frozen
class Sync(tir.Pass):
    """Find what waits for the device: for which work, at what cost, by whom, and whether in vain.

    One row of `table:syncs` for each blocking host call (synchronisations, copies and allocations that block), for
    each wait of a stream for an event, and for each run of queries by which a thread polls. A blocking call's length
    is split into five parts that sum to it. What was awaited is taken from sync edges and from a copy's own work
    where the trace has those, else from what was enqueued before the call. A long `item` or `to` on the host is such
    a call, and no work. All times are integer ns. O(n log n) for n events.
    """

    slack: tir.Duration = tir.option(
        10_000,
        least=0,
        help="Work that runs on for longer after a call returned was not what it waited for: the clocks of host "
        "and device agree to a few µs.",
    )
    apart: tir.Duration = tir.option(
        100_000,
        least=0,
        help="Time between two queries above which a thread is not polling: it does something else meanwhile.",
    )

    reads = ("id", "ts", "dur", "kind", "name", "lane", "parent", "live", "edges")
    uses = ("args",)
    writes = _COLUMNS

    def run(self, module: tir.Module, context: tir.PassContext) -> tir.Module:
        """Write `table:syncs`, in order of time."""
        found = calls.find(module, self.apart)
        known = waits(module)
        waited = awaited.find(module, found, known, self.slack)
        launch = module.launch[found.rows]
        causes = cause.find(module, np.where(found.of("wait") & (launch >= 0), launch, found.rows))
        strings, chain = module.strings.encode(causes.chain)
        columns: dict[str, tir.ir.Array] = {
            "call": found.rows,
            "kind": found.kind,
            "start": found.start,
            "dur": found.end - found.start,
            "calls": found.calls,
            "waited_for": waited.row,
            "basis": waited.basis,
            "verdict": waited.verdict,
            **parts.split(module, found, waited),
            "held": parts.held(module, found, known),
            "op": causes.op,
            "frame": causes.frame,
            "chain": chain,
        }
        table = {
            column.name: np.asarray(columns[column.name.removeprefix("sync.")]).astype(column.numpy_type)
            for column in _COLUMNS
        }
        return module.with_strings(strings).with_table("syncs", table)

    def report(self, module: tir.Module) -> reports.SyncReport:
        """What waits by kind and by who made it wait."""
        return reports.build(module)

    def check(self, module: tir.Module) -> list[str]:
        """The parts of a call make its length, to the ns, and none is negative."""
        split = np.stack([module[f"sync.{name}"] for name in awaited.PARTS])
        known = (split != tir.NULL_I64).all(axis=0)
        out = []
        if (split[:, known] < 0).any():
            out.append("a part of a wait cannot be negative.")
        if (split[:, known].sum(axis=0) != module["sync.dur"][known]).any():
            out.append("the parts of a wait have to make its length.")
        return out
