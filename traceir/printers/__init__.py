"""Printers: what writes a result out, for people and for tools."""

from __future__ import annotations

from traceir.printers.base import InputInfo, Printer, Result, Style

PRINTERS = {
    "chrome": (
        "traceir.printers.chrome:Chrome",
        "A Chrome trace for Perfetto: the input's own events, and lanes for what the passes found.",
    ),
    "folded": ("traceir.printers.folded:Folded", "One page for people: steps, layers and ops, folded."),
    "json": ("traceir.printers.json:Json", "The report as JSON, by the schema traceir.report/1."),
    "tir": ("traceir.printers.tir:Tir", "The IR as text, which traceir reads back."),
}

__all__ = ["PRINTERS", "InputInfo", "Printer", "Result", "Style"]
