"""Begin and end rows made one event each."""

from __future__ import annotations

import attrs
import numpy as np

from traceir.ir import Array, Ints, Mask
from traceir_frontends.kineto.rows import Rows


@attrs.frozen(eq=False)
class Pairs:
    """Matched rows: `begin` and `end` positions, begins without an end, and ends without a begin."""

    begin: Ints
    end: Ints
    open: Ints
    stray: Ints


def match(group: Array, ts: Ints, opens: Mask) -> Pairs:
    """Match begins and ends of each group like brackets, in order of time and then of the file. O(n log n)."""
    order = np.lexsort((ts, group))
    groups, step = group[order], np.where(opens[order], 1, -1)
    first = np.append(True, groups[1:] != groups[:-1])[: len(groups)]
    depth = np.cumsum(step)
    base = np.maximum.accumulate(np.where(first, np.arange(len(groups)), 0))
    depth -= np.append(0, depth)[base]
    # an end is stray where the depth of its group falls below what it has been so far
    low = _running_low(depth, groups)
    stray = (step < 0) & (depth < low)
    kept = order[~stray]
    level = (depth - np.minimum(_after(low, depth), 0) + (step < 0))[~stray]
    chain = np.lexsort((np.arange(len(kept)), level, group[kept]))
    rows, levels = kept[chain], level[chain]
    pair = opens[rows[:-1]] & ~opens[rows[1:]] & (levels[:-1] == levels[1:]) & (group[rows[:-1]] == group[rows[1:]])
    begin, end = rows[:-1][pair], rows[1:][pair]
    unclosed = opens[rows].copy()
    unclosed[:-1] &= ~pair
    return Pairs(begin, end, np.sort(rows[unclosed]), np.sort(order[stray]))


def _running_low(depth: Ints, groups: Array) -> Ints:
    """The lowest depth of each group before each entry, at most 0."""
    if not len(depth):
        return depth
    _, rank = np.unique(groups, return_inverse=True)
    span = int(depth.max() - depth.min()) + 2
    shifted = np.minimum(depth, 0) - rank.astype(np.int64) * span  # later groups lie lower, so the minimum starts anew
    low = np.minimum.accumulate(shifted) + rank.astype(np.int64) * span
    before = np.append(0, low[:-1])
    before[np.append(True, groups[1:] != groups[:-1])] = 0
    return np.asarray(np.minimum(before, 0))


def _after(low: Ints, depth: Ints) -> Ints:
    """The lowest depth up to and with each entry."""
    return np.asarray(np.minimum(low, depth))


@attrs.frozen(eq=False)
class Paired:
    """What became of begin and end rows: the rows to keep, their durations, and the begins that stayed open."""

    keep: Mask
    dur: Ints
    open: Ints
    stray: Ints


def pair_rows(rows: Rows, key: Array, ts: Ints, dur: Ints, async_at: Ints, async_id: Ints) -> Paired | None:
    """Give begin rows the time to their ends, which are dropped; open ones last to the end of the record.

    Thread ranges (`B`, `E`) match on their thread, asynchronous ones (`b`, `e`) by process, category and id.
    Returns None if the file has neither.
    """
    phases = np.array([ph for ph, *_ in rows.keys] + [""])[key]
    begins, ends = np.isin(phases, ("B", "b")), np.isin(phases, ("E", "e"))
    if not (begins | ends).any():
        return None
    threads: dict[object, int] = {}
    of_key = [threads.setdefault((pid, tid), len(threads)) for _, _, pid, tid in rows.keys]
    group = np.array([*of_key, 0], np.int64)[key]
    if len(async_at):
        processes: dict[object, int] = {}
        whole = [processes.setdefault((cat, pid), len(processes)) for _, cat, pid, _ in rows.keys]
        joint = np.stack([np.array(whole, np.int64)[key[async_at]], async_id])
        group[async_at] = len(threads) + np.unique(joint, axis=1, return_inverse=True)[1].reshape(-1)
    at = np.flatnonzero(begins | ends)
    found = match(group[at], ts[at], begins[at])
    dur = dur.copy()
    dur[at[found.begin]] = ts[at[found.end]] - ts[at[found.begin]]
    last = int((ts + dur).max()) if rows.window is None else max(rows.window[1], int((ts + dur).max()))
    dur[at[found.open]] = last - ts[at[found.open]]
    keep = ~ends
    return Paired(keep, dur, at[found.open], at[found.stray])
