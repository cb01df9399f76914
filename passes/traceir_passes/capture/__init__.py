"""The pass `capture`: joins what the host did while a graph was recorded to the kernels of its replays."""

from __future__ import annotations

from traceir_passes.capture.capture import Capture
from traceir_passes.capture.report import CaptureReport

__all__ = ["Capture", "CaptureReport"]
