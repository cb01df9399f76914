"""What is wrong with a database as a file: damage, tables that are missing, tables that are not understood."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from traceir.ir import Finding
from traceir_frontends.tabular.database import Database
from traceir_frontends.tabular.describe import Format, Table

_TOTALS: Final = ("infer", "group", "collectives", "overlap", "gaps")
"""Results that count or sum events, and are off where events are missing."""
_SHOWN: Final = 3


def file_findings(database: Database, form: Format, missing: Collection[Table], named: bool) -> list[Finding]:
    """Findings about the file itself. `missing` are tables without rows that matter; `named` says there are texts."""
    found = [_damaged(database), _missing(form, missing, named), _unread(database, form)]
    return [finding for finding in found if finding is not None]


def _damaged(database: Database) -> Finding | None:
    if not database.damage:
        return None
    message = (
        f"The database is not read whole: {'; '.join(database.damage[:_SHOWN])}; copy it again, or let the exporter "
        "finish writing."
    )
    return Finding("truncated", "warning", len(database.damage), message, None, _TOTALS)


def _missing(form: Format, missing: Collection[Table], named: bool) -> Finding | None:
    parts = [f"{table.names[0]} ({table.matters})" for table in missing]
    if not named:
        parts.append(f"{form.strings[0]} (names)")
    if not parts:
        return None
    message = f"The file has no rows of {', '.join(parts)}; what they tell is unknown."
    return Finding("missing_tables", "info", len(parts), message)


def _unread(database: Database, form: Format) -> Finding | None:
    rest = [table for table in database.tables if not form.covers(table) and not database.is_empty(table)]
    if not rest:
        return None
    more = f" and {len(rest) - _SHOWN} more" if len(rest) > _SHOWN else ""
    message = f"Tables with rows that are not read: {', '.join(rest[:_SHOWN])}{more}."
    return Finding("not_read", "info", len(rest), message)
