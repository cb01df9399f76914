"""Borders: which of the places that the runs allow begins a layer, by the order of roles."""

from __future__ import annotations

from collections import Counter

import attrs
import numpy as np

from traceir.ir import Ints
from traceir_passes.group.tokens import FEED_FORWARD, IS_CORE, NORMS

FEEDS = bytes(sorted(map(ord, FEED_FORWARD)))
NORM_LETTERS = bytes(sorted(map(ord, NORMS)))
STARTS = NORM_LETTERS + b"G"
MOST_HEALED = 2
"""Tokens that what precedes a run may have lost for another one to show them; at 3 % lost, three in ten are rare."""
MOST_ENDS = 8
"""Ends that are tried as the outermost one, the most frequent first; each is compared with all runs."""


@attrs.frozen
class Allowed:
    """Offsets in the template at which a layer may begin: `low` … `high`, by exact names only up to `named`.

    With `cut` the run begins at the window's start, and not where layers do by their own order: the window may have cut
    the first one anywhere, so `low` says little. With `altered` the order of core roles alone would also allow the norm
    before the input projection: the first layer may have a copy more, or what precedes it may look like a layer's end.
    `head` is what precedes the first anchor, backwards, and one token more.
    """

    low: int
    high: int
    named: int
    cut: bool = False
    altered: bool = False
    head: bytes = b""


def grammar(template: bytes) -> int:
    """Where a layer begins if only its own order tells: at the norm before the input projection.

    Walking back from the next anchor over cache stores, rotary embeddings and per-head norms to the last gemm,
    over the gemms beside it, to the first of the norms before them; from gemms that a cache store or a rotary embedding
    precedes (what latent attention expands for the attention alone) on to the gemms before. Without a norm, to the
    first of the gemms.
    """
    first, k = None, len(template) - 1
    while True:
        while k > 0 and template[k] not in b"g":
            k -= 1
        while k > 1 and (template[k - 1] in b"g" or not IS_CORE[template[k - 1]]):
            k -= 1
        gemm = next((j for j in range(k, len(template)) if template[j] in b"g"), k)
        first = gemm if first is None else first
        before = gemm - 1
        if before <= 0 or template[before] not in b"pk":
            break
        k = before
    norm = k - 1
    if norm <= 0 or template[norm] not in NORM_LETTERS:
        return first
    while norm > 1 and (template[norm - 1] in NORM_LETTERS or _in_chain(template, norm - 1)):
        norm -= 1
    return norm


def _in_chain(template: bytes, k: int) -> bool:
    """Whether a loose token stands between two kernels of an eager norm."""
    j = k
    while j > 0 and not IS_CORE[template[j]] and k - j < 3:
        j -= 1
    return j > 0 and not IS_CORE[template[k]] and template[j] in NORM_LETTERS


@attrs.frozen
class Border:
    """The offset in a template at which its layers begin, and whether that is a guess.

    `doubted` says that losses could have moved it: kernels were lost, fewer than two runs agree on what is there, and
    the layers begin with other work than a norm (its cast included) or the gather of weights.
    """

    offset: int
    guessed: bool
    doubted: bool = False


def choose(template: bytes, ranges: list[Allowed | None], *, damage: bool) -> Border:
    """The offset at which all runs with this template begin their layers (`_chosen`), held against losses."""
    offset, guessed = _chosen(template, ranges, damage=damage)
    agree = sum(found is not None and not found.cut and found.low == offset for found in ranges)
    begins = next((k for k in template[offset:] + template if IS_CORE[k]), 0)
    return Border(offset, guessed, damage and agree < 2 and begins not in STARTS)


def _chosen(template: bytes, ranges: list[Allowed | None], *, damage: bool) -> tuple[int, bool]:
    """The offset at which all runs with this template begin their layers, and whether that is a guess.

    The offsets that most runs allow are kept, and of these the ones that exact names allow, if any. Among them the
    norm before the input projection begins the layer, else the first norm, else the earliest of all; but no layer
    begins with a reduction, which completes the gemm before it. Runs that the window may cut count only if there are
    no others. A kernel that is lost at an end of a run can only take offsets away from what the run allows; so with
    `damage` the runs are one first, which reaches as far as most of them do.
    """
    known = [found for found in ranges if found is not None]
    known = _agreed(template, known) if damage else [found for found in known if not found.cut] or known
    counts = _votes(template, [(found.low, found.high) for found in known])
    if not known or counts.max() == 0:
        return grammar(template), True
    possible = np.flatnonzero(counts == counts.max())
    proper = grammar(template)
    altered = any(found.altered for found in known)
    if proper in possible and template[proper] in NORM_LETTERS and _of_the_last(template[possible[0] : proper]):
        return _with_cast(template, proper, possible.tolist()), True
    every = set(possible.tolist())
    named = _votes(template, [(found.low, found.named) for found in known])[possible]
    if named.max() == len(known):
        possible = possible[named == len(known)]
    options = possible.tolist()
    norms = [offset for offset in options if template[offset] in NORM_LETTERS]
    if norms:
        start = _with_cast(template, proper if proper in norms else norms[0], options)
        return start, start != options[0] or altered or _may_end_with_norm(template, start, every)
    start = _past_reduction(template, options[0])
    return start, start != options[0] or altered or (proper in every and template[proper] in NORM_LETTERS)


def _may_end_with_norm(template: bytes, start: int, possible: set[int]) -> bool:
    """Whether the layers may as well begin with the gemm after the norm at `start`, and end with such a norm.

    The norm of embeddings then stands before the first one. So encoders are; where keys are rotated or cached, the
    model is of the later kind that begins layers with their norm.
    """
    core = [k for k in range(start, len(template)) if IS_CORE[template[k]] and template[k] not in NORM_LETTERS]
    return bool(core) and core[0] in possible and template[core[0]] in b"g" and not any(k in b"pkL" for k in template)


def _agreed(template: bytes, known: list[Allowed]) -> list[Allowed]:
    """Of runs that may have lost kernels the one that they make together.

    It begins at the outermost offset that more than half of them allow, or would without the losses that another one
    shows. What repeats before a run may be a layer that was not recognised: so where one run alone says how far back it
    goes, names decide only if a norm stands there, or a gather.
    """
    if not known:
        return []
    heads: dict[int, Counter[bytes]] = {}
    for found in [found for found in known if not found.cut] or known:
        heads.setdefault(found.low, Counter())[found.head] += 1
    low, agree = -1, 0
    for mine in sorted(sorted(heads, key=lambda low: (-heads[low].total(), low))[:MOST_ENDS]):
        whole = heads[mine].most_common(1)[0][0][: len(template) - mine + 1]
        alone = heads[mine].total() == 1 and template[mine % len(template)] not in STARTS
        allowing = sum(
            found.low <= mine <= found.high or (not alone and _without_some(found.head, whole)) for found in known
        )
        if 2 * allowing > len(known):
            low, agree = mine, allowing
            break
    highs = sorted(found.high for found in known)
    if low < 0 or (agree == 1 and highs[0] < low):
        return known
    high = max(highs[(len(known) - 1) // 2], low)
    named = Counter(max(found.named, low) for found in known if found.low <= low).most_common(1)[0][0]
    altered = any(found.altered for found in known)
    sure = agree > 1 or template[named % len(template)] in STARTS
    return [Allowed(low, high, min(named, high) if sure else high, altered=altered)]


def _without_some(text: bytes, whole: bytes) -> bool:
    """Whether a text begins like another one that lost one token or two, and ends that part with the same token."""
    for lost in range(1, MOST_HEALED + 1):
        part = text[: max(len(whole) - lost, 0)]
        rest = iter(whole)
        if part and len(part) == len(whole) - lost and part[-1:] == whole[-1:] and all(k in rest for k in part):
            return True
    return False


def choose_backward(template: bytes, ranges: list[Allowed | None], *, damage: bool) -> Border:
    """The same for a backward pass, which mirrors the forward one: there a layer ends with its norm.

    So of the offsets that most runs allow the last one after a norm is taken, else the last one.
    """
    known = [found for found in ranges if found is not None]
    counts = _votes(template, [(found.low, found.high) for found in known])
    if not known or counts.max() == 0:
        return Border(grammar(template), True)
    most = 2 * counts > len(known) if damage and 2 * counts.max() > len(known) else counts == counts.max()
    options = np.flatnonzero(most).tolist()
    norms = [offset for offset in options if template[offset - 1] in NORM_LETTERS]
    return Border((norms or options)[-1], len(options) > 1)


def _of_the_last(between: bytes) -> bool:
    """Whether what stands before a layer's first norm is the end of the layer before, whatever the names are.

    A residual sum is, as the sum of embeddings before the first layer looks like it; and so is a whole feed-forward
    part with its norm, as that of a projector between two towers does.
    """
    own = between.lstrip(b"ey")
    return own[0] in NORM_LETTERS and any(letter in FEEDS for letter in own) if own else bool(between)


def _votes(template: bytes, ranges: list[tuple[int, int]]) -> Ints:
    """How many ranges hold each offset of the template."""
    votes = np.zeros(len(template) + 2, np.int64)
    for low, high in ranges:
        votes[low] += 1
        votes[high + 1] -= 1
    return np.cumsum(votes)[: len(template)]


def _past_reduction(template: bytes, offset: int) -> int:
    """The offset after a reduction and its staging copies that stand there, else the offset itself."""
    k = offset
    while k < len(template) and template[k] in b"1":
        k += 1
    if k == len(template) or template[k] not in b"RX":
        return offset
    k += 1
    while k < len(template) and template[k] in b"1":
        k += 1
    return k if k < len(template) else offset


def _with_cast(template: bytes, norm: int, possible: list[int]) -> int:
    """The start of an eager norm: a cast right before it belongs to it when every such norm has one."""
    firsts = [
        k
        for k, letter in enumerate(template)
        if letter in NORM_LETTERS and not (template[k - 1] in NORM_LETTERS or _in_chain(template, k - 1))
    ]
    chained = norm + 1 < len(template) and any(letter in NORM_LETTERS for letter in template[norm + 1 : norm + 4])
    if chained and norm - 1 in possible and len(firsts) > 1 and all(template[k - 1] in b"y" for k in firsts):
        return norm - 1
    return norm
