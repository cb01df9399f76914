"""Grouping: steps, layers and blocks, from modules, annotations, or the device's own structure."""

from __future__ import annotations

from traceir_passes.group.group import Group

__all__ = ["Group"]
