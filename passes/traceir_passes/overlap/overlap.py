"""The pass itself: the per-event exposed time, who hid it, the table of accounts, and its laws."""

from __future__ import annotations

from typing import Literal

import attrs
import numpy as np

import traceir as tir
from traceir.ir import Array, Ints
from traceir_passes.overlap import build, lanes, scopes
from traceir_passes.overlap import compat as others
from traceir_passes.overlap import report as reports
from traceir_passes.overlap.account import HIDER, KEYS
from traceir_passes.overlap.classes import Fused, Work, classify
from traceir_passes.overlap.laws import broken

_DOCS = {
    "events": "Number of device events.",
    "time_ns": "Sum of the durations of the events; concurrent time counts twice.",
    "start_ns": "First start of the events, from the module's origin.",
    "end_ns": "Last end of the events, from the module's origin.",
    "span_ns": "Last end less first start.",
    "busy_ns": "Union of the events.",
    "compute_ns": "Union of the events that compute, those of unknown role among them.",
    "comm_ns": "Union of the events that communicate.",
    "memory_ns": "Union of copies and memsets.",
    "fused_ns": "Union of kernels that communicate and compute in one.",
    "overlap_ns": "Communication during which the device computes.",
    "exposed_ns": "Communication during which the device does not compute.",
    "exposed_any_ns": "Communication during which the device does nothing else at all.",
    "memory_exposed_ns": "Copies and memsets during which the device neither computes nor communicates.",
    "fused_exposed_ns": "Fused kernels during which the device does nothing else.",
    "comm_meta_ns": "Union of the communication that only plans or waits; a part of comm_ns.",
    "idle_ns": "The part of the span in which the device does nothing.",
    "foreign_ns": "The part of the span in which only work of other scopes runs.",
    "unknown_ns": "Union of the kernels of unknown role; a part of compute_ns.",
    "overlap_unknown_ns": "Communication that only kernels of unknown role hide; a part of overlap_ns.",
    "hidden_by_ns": "Communication beside which compute of the role that hides most of it runs.",
}


def _table_column(
    name: str, doc: str, *, unit: str = "ns", null: str = "", dtype: Literal["i64"] = "i64"
) -> tir.Annotation:
    return tir.Annotation(f"overlap.{name}", domain="table:overlap", dtype=dtype, unit=unit, doc=doc, null=null)


_OTHER = "not communication, fused with compute"


@attrs.frozen
class Overlap(tir.Pass):
    """Split communication time into hidden and exposed.

    Per device, per step, layer, block and micro-batch where trees of them exist, and per collective: exact
    unions of compute, communication, memory and fused work, the communication that compute hides and the rest.
    Events belong to the region that the trees say (that of their launch), whatever the time they ran at; what
    hides them may belong to anybody on the device. All times are integer ns; a ratio without communication is
    null. A vendor's own analysis lanes are compared with, and other tools on request. O(n log n) for n events,
    whatever the number of steps and layers.
    """

    versus: Literal["compute", "any"] = tir.option(
        "compute", help="What hides communication in overlap.exposed: compute only, or any other work of the device."
    )
    fused: Fused = tir.option(
        "third", help="What a kernel that fuses communication with compute counts as: neither by default, since its "
        "parts cannot be told apart from outside."
    )  # fmt: skip
    unknown_warn: tir.Share = tir.option(
        0.05, help="Share of busy time of unknown role above which splits are unreliable: as much may be "
        "communication taken for compute."
    )  # fmt: skip
    compat: tuple[others.Tool, ...] = tir.option(
        (), help="Other tools whose figures to work out too, by their own definitions, with what explains the "
        "difference; ours stay as they are. The file is read once more for it."
    )  # fmt: skip

    # What a comparison looks at besides (names, edges, the source's arguments) is noticed where one is asked for.
    reads = ("infer.role", "infer.class", "coll.kind", "id", "ts", "dur", "kind", "lane", "live")
    uses = (
        "coll.instance", "coll.library", "coll.event", "coll.group", "coll.bytes", "tree.steps", "tree.layers",
        "tree.blocks", "tree.microbatches", "group.mark_text",
    )  # fmt: skip
    writes = (
        tir.Annotation(
            "overlap.exposed", dtype="i64", unit="ns", shown="sum",
            null=f"{_OTHER}, or removed",
            doc="Time of the event during which nothing of the device hides it; of concurrent events each has its own.",
        ),
        tir.Annotation(
            "overlap.hidden_by", dtype="str", null=f"{_OTHER}, removed, or nothing hides it",
            doc="Role of the compute that runs longest beside the event.",
        ),
        tir.Annotation(
            "overlap.scope", domain="table:overlap", dtype="enum", values=scopes.SCOPES,
            doc="What the row accounts for.",
        ),
        _table_column("device", "Device of the row.", unit="", null="the device has no number"),
        _table_column(
            "region", "Row of the tree's region table, or of the table of collectives.", unit="",
            null="a device, or what no region owns",
        ),
        *(_table_column(key, _DOCS[key], unit="" if key == "events" else "ns") for key in KEYS),
        tir.Annotation(
            f"overlap.{HIDER}", "table:overlap", "str", doc="Role of the compute that hides most of the communication.",
            null="no compute runs beside communication, or nobody knows its role",
        ),
        *lanes.WRITES,
        *others.WRITES,
    )  # fmt: skip

    def run(self, module: tir.Module, context: tir.PassContext) -> tir.Module:
        """Write the event columns and the tables; remark on unknown roles above the threshold."""
        work = classify(module, self.fused)
        found = scopes.devices(module, work)
        exposed, hider = self._events(module, found)
        told = scopes.accountable(found)
        columns = scopes.table(module, told)
        for key in ("device", "region"):
            columns[key] = np.where(columns[key] < 0, tir.NULL_I64, columns[key])
        module = module.with_columns({"overlap.exposed": exposed, "overlap.hidden_by": hider})
        module = module.with_table("overlap", {f"overlap.{key}": values for key, values in columns.items()})
        module = module.with_table(lanes.TABLE, lanes.table(told))
        module = others.compared(module, work, self.compat)
        return self._warn(self._too_wide(module, found, context), work, context)

    def _events(self, module: tir.Module, found: list[scopes.Device]) -> tuple[Ints, Array]:
        """The exposed part of each communication event, and the role that hid most of it."""
        exposed = np.full(len(module), tir.NULL_I64)
        hider = np.full(len(module), -1, np.int32)
        for device in found:
            comm = device.rows[device.work.comm]
            starts, ends = device.work.start[device.work.comm], device.work.end[device.work.comm]
            hiding = device.sets.compute if self.versus == "compute" else device.sets.other
            exposed[comm] = ends - starts - hiding.covered(starts, ends)
            best = np.zeros(len(comm), np.int64)
            for code, spans in device.sets.roles:
                beside = spans.covered(starts, ends)
                hider[comm] = np.where(beside > best, code, hider[comm])
                best = np.maximum(best, beside)
        return exposed, hider

    def _too_wide(self, module: tir.Module, found: list[scopes.Device], context: tir.PassContext) -> tir.Module:
        """A finding where times of a device lie so far apart that there is no account of it."""
        rows = [row for device in found if not device.work.fits for row in device.rows.tolist()]
        if not rows:
            return module
        message = (
            "Times of a device lie more than 2^63 ns apart (292 years), or its durations sum up to more, so it has no "
            "account: look for a damaged time among them."
        )
        first = int(module["id"][rows[0]])
        context.remark("overlap", message, event=first)
        return module.with_health(tir.Finding("time_range", "warning", len(rows), message, first, ("overlap.devices",)))

    def _warn(self, module: tir.Module, work: Work, context: tir.PassContext) -> tir.Module:
        """A finding where more than `unknown_warn` of a device's busy time has no role, unless there is one already."""
        whole = module["overlap.scope"] == scopes.SCOPES.index("device")
        unknown, busy = module["overlap.unknown_ns"][whole], module["overlap.busy_ns"][whole]
        bad = unknown > self.unknown_warn * busy
        if not bad.any() or any(finding.code == "unknown_roles" for finding in module.health):
            return module
        first = work.rows[np.flatnonzero(work.unknown)[0]]
        share = float((unknown[bad] / busy[bad]).max())
        message = (
            f"Kernels of unknown role take up to {share:.1%} of a device's busy time; they count as compute, so "
            f"communication may be missed: name their roles."
        )
        context.remark("overlap", message, event=int(module["id"][first]))
        poisons = ("overlap.compute_ns", "overlap.comm_ns", "overlap.overlap_ratio", "overlap.exposed_ns")
        return module.with_health(
            tir.Finding("unknown_roles", "warning", int(work.unknown.sum()), message, int(module["id"][first]), poisons)
        )

    def report(self, module: tir.Module) -> reports.OverlapReport:
        """The accounts of all scopes, what the communication consisted of, and the comparisons."""
        return build.build(module, classify(module, self.fused), self.unknown_warn)

    def check(self, module: tir.Module) -> list[str]:
        """Conservation, to the ns: classes and idle make the span, hidden and exposed make the communication."""
        return broken(module)
