"""The event-graph IR: modules of columns, and the views people and passes look at them through."""

from __future__ import annotations

from traceir.ir.annotation import NULL_I64, NULL_U32, Annotation, PassRecord, Written, null_mask
from traceir.ir.builder import ModuleBuilder
from traceir.ir.column import Array, Column, Ints, Mask, Rows
from traceir.ir.health import Finding
from traceir.ir.intervals import GroupedSpans, Spans, expand
from traceir.ir.kinds import Kind
from traceir.ir.lanes import Lane
from traceir.ir.module import Module
from traceir.ir.source import Source
from traceir.ir.strings import Strings
from traceir.ir.table import Table
from traceir.ir.trees import Region, Tree
from traceir.ir.view import Event, Selection

__all__ = [
    "NULL_I64",
    "NULL_U32",
    "Annotation",
    "Array",
    "Column",
    "Event",
    "Finding",
    "GroupedSpans",
    "Ints",
    "Kind",
    "Lane",
    "Mask",
    "Module",
    "ModuleBuilder",
    "PassRecord",
    "Region",
    "Rows",
    "Selection",
    "Source",
    "Spans",
    "Strings",
    "Table",
    "Tree",
    "Written",
    "expand",
    "null_mask",
]
