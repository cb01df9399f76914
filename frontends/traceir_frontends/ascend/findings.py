"""What is wrong with an Ascend profile, as far as reading it shows, and what it could not tell."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from traceir.ir import Finding
from traceir_frontends.kineto import health
from traceir_frontends.kineto.repair import Damage


def findings(damage: Damage, facts: Mapping[str, Any]) -> list[Finding]:
    """All findings, the damage of the file first.

    `facts` are columns of all events in the order of the file (`id`, `ts`, `dur`, `lane`), masks (`work`, `waits`),
    the launch edges of work as positions (`src`, `dst`), and whether calls of CANN were recorded (`has_calls`).
    """
    work = facts["work"]
    launched = np.zeros(len(work), bool)
    launched[facts["dst"]] = True
    none = np.empty(0, np.int64)
    known = health.Facts(
        id=facts["id"], ts=facts["ts"], dur=facts["dur"], lane=facts["lane"], work=work, src=facts["src"],
        dst=facts["dst"], orphans=np.flatnonzero(work & ~launched), ambiguous=none, shared=none, launches=none,
        kernel_launches=none, graph_launches=none, graph=np.full(len(work), -1), open=none, ranges=False,
        has_flows=True, has_correlations=True,
    )  # fmt: skip
    found = health.findings(known, damage)
    waits = np.flatnonzero(facts["waits"])
    if work.any() and not facts["has_calls"] and len(facts["src"]):
        found.append(
            Finding(
                "no_calls", "info", 1,
                "The profile has no calls of CANN (profiler level 0), so work is launched by the framework's operators "
                "and the way from Python to the device is one hop; record with level 1 to see both.",
            )
        )  # fmt: skip
    if len(waits):
        found.append(
            Finding(
                "waits_unnamed", "info", len(waits),
                f"Event waits that do not say what they waited for, since the format has no event ids: {len(waits)}; "
                "gaps before work behind them may stay unexplained.",
                known.first(waits),
            )
        )  # fmt: skip
    return found
