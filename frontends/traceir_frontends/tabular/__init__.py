"""What tabular formats share: databases read column-wise, formats described as data, and tables put together."""

from __future__ import annotations

from traceir_frontends.tabular.assembly import Assembly, Columns, distinct_rows, matched, plain, row_codes
from traceir_frontends.tabular.database import Database, is_database, is_packed_database
from traceir_frontends.tabular.describe import Arg, Enum, Format, Name, Part, Table
from traceir_frontends.tabular.findings import file_findings
from traceir_frontends.tabular.frame import Frame
from traceir_frontends.tabular.launches import Joins, Waits, add_edges
from traceir_frontends.tabular.reading import Rows, Texts, add_rows, read_table
from traceir_frontends.tabular.source import LateSource, TableSource

__all__ = [
    "Arg",
    "Assembly",
    "Columns",
    "Database",
    "Enum",
    "Format",
    "Frame",
    "Joins",
    "LateSource",
    "Name",
    "Part",
    "Rows",
    "Table",
    "TableSource",
    "Texts",
    "Waits",
    "add_edges",
    "add_rows",
    "distinct_rows",
    "file_findings",
    "is_database",
    "is_packed_database",
    "matched",
    "plain",
    "read_table",
    "row_codes",
]
