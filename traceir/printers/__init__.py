"""Printers: what writes a result out, for people and for tools."""

from __future__ import annotations

from traceir.printers.base import InputInfo, Printer, Result, Style

PRINTERS = {
    "folded": ("traceir.printers.folded:Folded", "One page for people: steps, layers and ops, folded."),
    "json": ("traceir.printers.json:Json", "The report as JSON, by the schema traceir.report/1."),
}

__all__ = ["PRINTERS", "InputInfo", "Printer", "Result", "Style"]
