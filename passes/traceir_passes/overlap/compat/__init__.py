"""What other tools would say of the same trace, by their own definitions, and why it differs from what we say."""

from __future__ import annotations

from traceir_passes.overlap.compat.table import TOOLS, WRITES, Tool, broken, compared

__all__ = ["TOOLS", "WRITES", "Tool", "broken", "compared"]
