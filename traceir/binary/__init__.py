"""Modules as one binary file, `.tirb`: columns as they lie in memory, so that a second run need not read the trace."""

from __future__ import annotations

from traceir.binary.layout import MAGIC, VERSION
from traceir.binary.reading import read
from traceir.binary.writing import write

__all__ = ["MAGIC", "VERSION", "read", "write"]
