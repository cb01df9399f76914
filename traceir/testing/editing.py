"""Edits that passes make: moved times, removed rows."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from traceir.ir import Module


@st.composite
def edited(draw: DrawFn, module: Module, *, shift: bool = True, remove: bool = True) -> Module:
    """The module after a pass that moves all times by one distance, removes some rows, or does nothing.

    Times stay within int64. What was computed from `ts` or `live` is stale then, as after any such pass.
    """
    if shift and len(module):
        limits = np.iinfo(np.int64)
        least = max(limits.min, limits.min - int(module["ts"].min()))
        most = min(limits.max, limits.max - int(module.end.max()))
        by = draw(st.one_of(st.integers(max(least, -50), min(most, 50)), st.integers(least, most)))
        module = module.with_columns({"ts": module["ts"] + by})
    if remove and len(module):
        keep = draw(st.lists(st.booleans(), min_size=len(module), max_size=len(module)))
        module = module.with_columns({"live": module.live & ~np.array(keep, bool)})
    return module
