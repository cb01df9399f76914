"""The pass `what-if`: what the span would be after an edit of the event graph, with bounds."""

from __future__ import annotations

from traceir_passes.what_if.report import WhatIfReport
from traceir_passes.what_if.what_if import WhatIf

__all__ = ["WhatIf", "WhatIfReport"]
