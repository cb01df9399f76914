"""Printers: what writes a result out, for people and for tools."""

from __future__ import annotations

from traceir.printers.base import InputInfo, Printer, Result, Style

PRINTERS = {
    "chrome": (
        "traceir.printers.chrome:Chrome",
        "A Chrome trace for Perfetto: the input's own events, and lanes for what the passes found.",
    ),
    "collapsed": (
        "traceir.printers.flame:Collapsed",
        "Collapsed stacks with their own time in ns, for flame graphs.",
    ),
    "folded": ("traceir.printers.folded:Folded", "One page for people: steps, layers and ops, folded."),
    "json": ("traceir.printers.json:Json", "The report as JSON, by the schema traceir.report/1."),
    "speedscope": (
        "traceir.printers.flame:Speedscope",
        "A profile for speedscope.app: threads in time, or device work in order.",
    ),
    "tir": ("traceir.printers.tir:Tir", "The IR as text, which traceir reads back."),
    "tirb": ("traceir.printers.tirb:Tirb", "The IR in binary, which traceir reads back faster than text."),
}

__all__ = ["PRINTERS", "InputInfo", "Printer", "Result", "Style"]
