"""A module after `gaps`, and its rows as dictionaries, for tests of the pass."""

from __future__ import annotations

from typing import Any

import traceir as tir
from traceir_passes.gaps import Gaps, GapsReport

US = 1_000
"""ns of a microsecond."""


def ran(item: tir.Module, **options: Any) -> tuple[tir.Module, GapsReport]:
    """The module after `gaps`, whose laws have to hold, and its report."""
    done = tir.PassManager((Gaps(**options),)).run(item)
    assert Gaps(**options).check(done) == []
    return done, Gaps(**options).report(done)


def rows(done: tir.Module) -> list[dict[str, Any]]:
    """The table of gaps as dicts; ids in place of rows, texts in place of codes."""
    out = []
    names = [name for name in done.tables["table:gaps"] if name.startswith("gaps.")]
    texts = {name: done.text(name) for name in ("gaps.level", "gaps.lane", "gaps.class", "gaps.by", "gaps.meanwhile")}
    for at in range(len(done.tables["table:gaps"])):
        row: dict[str, Any] = {}
        for name in names:
            value: Any = texts[name][at] if name in texts else done[name][at].item()
            if name in ("gaps.prev", "gaps.next", "gaps.blame", "gaps.wait"):
                value = int(done["id"][value]) if value >= 0 else None
            row[name.removeprefix("gaps.")] = None if value == tir.NULL_I64 else value
        out.append(row)
    return out
