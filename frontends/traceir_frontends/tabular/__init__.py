"""What tabular formats share: reading databases column-wise, and putting tables together to a module."""

from __future__ import annotations

from traceir_frontends.tabular.assembly import Assembly, matched
from traceir_frontends.tabular.database import Database, is_database
from traceir_frontends.tabular.frame import Frame
from traceir_frontends.tabular.source import TableSource

__all__ = ["Assembly", "Database", "Frame", "TableSource", "is_database", "matched"]
