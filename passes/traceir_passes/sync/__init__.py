"""The pass `sync`: what waits for the device, for what, and what it costs."""

from __future__ import annotations

from traceir_passes.sync.report import SyncReport
from traceir_passes.sync.sync import Sync

__all__ = ["Sync", "SyncReport"]
