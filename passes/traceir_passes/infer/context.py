"""What neighbours on a lane tell of an operation: the steps of an unfused RMSNorm, a softmax between products."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from traceir_passes.infer.classes import ROLES

Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

QUIET: Final = frozenset(
    {
        "copy", "fill", "elementwise", "memset", "memcpy", "gemm-aux", "attention-aux", "quant", "index", "reduce",
        "pool", "sort", "scan", "random", "delay", "unknown", "embed",
    }
)  # fmt: skip
"""Roles that vary with shapes and with the place in a model: they stand between two neighbours without parting them."""
_LOUD: Final = np.array([role not in QUIET for role in ROLES], bool)
_GEMM, _SOFTMAX = list(ROLES).index("gemm"), list(ROLES).index("softmax")


def norm_chains(part: npt.NDArray[Any], lane: npt.NDArray[Any], window: int) -> tuple[Mask, Mask]:
    """The steps of unfused RMSNorms: pow, mean, [add,] rsqrt in this order within `window` kernels of a lane.

    `part` (1 pow, 2 mean, 3 rsqrt, 0 other) and `lane` are in the order of lane and start. Gives two masks: the
    steps themselves, and all that stands from the first to the last of each chain. From each rsqrt the last mean
    before it is taken, and the last pow before that. O(n log n).
    """
    at = np.arange(len(part))
    pow_at, mean_at, rsqrt_at = (at[part == code] for code in (1, 2, 3))
    steps, inside = np.zeros(len(part), bool), np.zeros(len(part), bool)
    mean = _last_before(mean_at, rsqrt_at)
    first = np.where(mean >= 0, _last_before(pow_at, mean), -1)
    whole = (first >= 0) & (rsqrt_at - first < window)
    whole &= lane[first] == lane[rsqrt_at]
    for positions in (first[whole], mean[whole], rsqrt_at[whole]):
        steps[positions] = True
    edges = np.zeros(len(part) + 1, np.int64)
    np.add.at(edges, first[whole], 1)
    np.add.at(edges, rsqrt_at[whole] + 1, -1)
    inside[:] = np.cumsum(edges)[:-1] > 0
    return steps, inside


def _last_before(known: Ints, wanted: Ints) -> Ints:
    """For each wanted position the last known one before it, -1 if there is none."""
    found = np.searchsorted(known, wanted) - 1
    return np.where(found >= 0, known[np.maximum(found, 0)], -1) if len(known) else np.full(len(wanted), -1)


def unfused_attention(roles: npt.NDArray[Any], lane: npt.NDArray[Any]) -> Mask:
    """Softmaxes whose neighbours on the lane are both matrix products, with these: an attention that is not fused.

    `roles` (codes in the order of `ROLES`) and `lane` are in the order of lane and start; roles in `QUIET` are
    looked past. O(n).
    """
    out = np.zeros(len(roles), bool)
    core = np.flatnonzero(_LOUD[roles])
    if len(core) < 3:
        return out
    kept, on = roles[core], lane[core]
    middle = (kept[1:-1] == _SOFTMAX) & (kept[:-2] == _GEMM) & (kept[2:] == _GEMM)
    middle &= (on[1:-1] == on[:-2]) & (on[1:-1] == on[2:])
    found = np.flatnonzero(middle) + 1
    for step in (-1, 0, 1):
        out[core[found + step]] = True
    return out
