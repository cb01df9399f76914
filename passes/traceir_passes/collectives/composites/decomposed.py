"""Decomposed all-reduces: a reduce-scatter, token-wise work on the shard or none, and an all-gather."""

from __future__ import annotations

from collections import Counter

import attrs

from traceir.pattern import Match, Path, event
from traceir_passes.collectives.composites.base import Composite, Setting
from traceir_passes.collectives.composites.token_wise import TOKEN_WISE
from traceir_passes.collectives.instances import Instance
from traceir_passes.collectives.vocabulary import SIZES

SCATTER = event("coll.kind", "reduce_scatter") & event("infer.class", "comm")
GATHER = event("coll.kind", "all_gather") & event("infer.class", "comm")
ASIDE = event("infer.class", "comm", "memory")
"""What blocks only on the lanes of the halves: messages of other groups and copies on streams of their own."""
HALVES = Path(SCATTER, GATHER, over=TOKEN_WISE, same=("coll.group",), aside=ASIDE)


@attrs.frozen
class Decomposed:
    """[reduce-scatter, all-gather] of one group and of fitting sizes, which together are one all-reduce.

    `adjacent` with nothing between; `moved` with token-wise work between, which is what the rewrite is for: a rank
    then treats only its shard. A product, attention, another collective of the group or a copy to the host
    between them would read what is not complete, so such a pair is none. Where parameters are gathered besides
    (sharded data parallelism) a pair may be chance: more than `share` of a group's gathers have to be in pairs, and
    of a group that scatters in backward passes alone, a gather there brings the next unit's parameters.
    """

    share: float
    moved: bool = False

    @property
    def form(self) -> str:
        """`decomposed_moved` or `decomposed_adjacent`."""
        return "decomposed_moved" if self.moved else "decomposed_adjacent"

    def find(self, setting: Setting) -> list[Composite]:
        """The pairs of this form. O(n log n)."""
        ahead = {item.group for item in setting.instances if item.kind == "reduce_scatter" and not item.backward}
        pairs = [self._pair(setting, match, ahead) for match in HALVES.find(setting.module)]
        found = [pair for pair in pairs if pair is not None]
        groups = [item.group for item in setting.instances]
        gathers = Counter(item.group for item in setting.instances if item.kind == "all_gather")
        paired = Counter(groups[pair.instances[1]] for pair in found)
        return [
            pair
            for pair in found
            if bool(pair.moved) == self.moved
            and paired[groups[pair.instances[1]]] > self.share * gathers[groups[pair.instances[1]]]
        ]

    def _pair(self, setting: Setting, match: Match, ahead: set[str | None]) -> Composite | None:
        first, last = match.row("first"), match.row("last")
        at = setting.instance_of(first), setting.instance_of(last)
        if min(at) < 0:
            return None
        scatter, gather = setting.instances[at[0]], setting.instances[at[1]]
        fits = _sizes_fit(scatter, gather)
        if fits is False or (gather.backward and scatter.group not in ahead):
            return None
        return Composite(
            self.form,
            "all_reduce",
            (first, last),
            at,
            note=_shrunk(scatter, gather),
            moved=tuple(match["between"].tolist()),
            guessed=match.guessed or fits is None,
        )


def _sizes_fit(scatter: Instance, gather: Instance) -> bool | None:
    """Whether the gather restores what the scatter took apart; None where sizes are not known."""
    answers = [
        None if mine is None or other is None else mine == other
        for mine, other in (
            (scatter.in_elements, gather.out_elements),
            (scatter.out_elements, gather.in_elements),
        )
    ]
    if False in answers:
        return False
    return True if True in answers else None


def _shrunk(scatter: Instance, gather: Instance) -> str:
    """A note where a cast between the halves changed what the gather has to move."""
    before, after = (SIZES.get(item.dtype or "") for item in (scatter, gather))
    if before is None or after is None or before == after:
        return ""
    return f"cast from {scatter.dtype} to {gather.dtype}, so the gather moves {after / before:.0%} of the bytes"
