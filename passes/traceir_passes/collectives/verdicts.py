"""Verdicts: whether the rewrite of its reductions that a layer should show is there, and what blocks it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal, get_args

import attrs
import numpy as np

import traceir as tir
from traceir.ir import Mask, Rows
from traceir.pattern import Path, anything, event
from traceir.pattern.order import Order
from traceir_passes.collectives.composites import Composite, Setting
from traceir_passes.collectives.composites.chunked import PRODUCT
from traceir_passes.collectives.composites.decomposed import HALVES, SCATTER
from traceir_passes.collectives.composites.token_wise import TOKEN_WISE
from traceir_passes.collectives.vocabulary import KINDS

VERDICTS: Final = "table:verdicts"
Rewrite = Literal["fused", "decomposed", "async_tp"]
State = Literal["fired", "partly", "not"]
STATES: Final = get_args(State)
REWRITES: Final = get_args(Rewrite)
_REWRITE_OF: Final[Mapping[str, Rewrite]] = {
    "fused": "fused",
    "decomposed_adjacent": "decomposed",
    "decomposed_moved": "decomposed",
    "async_tp": "async_tp",
}
NO_NORM, NO_GATHER, NOTHING_MOVES = "no norm follows", "no all-gather follows", "no token-wise work follows"
BESIDE, WHOLE, NO_PRODUCT = "the norm runs beside it", "a whole all-reduce", "no product before"
MOST_BLOCKERS: Final = 4
"""Roles that a verdict names of what stands between; of more, how many others there are."""

WRITES: Final = (
    tir.Annotation("coll.layer", VERDICTS, "id", unit="region:layers", doc="The layer."),
    tir.Annotation("coll.expected", VERDICTS, "enum", values=REWRITES, doc="The rewrite that is looked for."),
    tir.Annotation("coll.sites", VERDICTS, "i64", "reductions", "Reductions of the layer, which it could rewrite."),
    tir.Annotation("coll.fired", VERDICTS, "i64", "reductions", "Reductions that it did rewrite."),
    tir.Annotation("coll.state", VERDICTS, "enum", values=STATES, doc="Whether it fired at all sites, some, or none."),
    tir.Annotation(
        "coll.blocked_by", VERDICTS, "str", doc="What stands in its way at the other sites.",
        null="nothing: the rewrite would be legal, or it fired everywhere",
    ),
)  # fmt: skip

_NORM: Final = event("infer.role", "norm")
_PLAIN: Final = event("coll.kind", "all_reduce") & event("infer.class", "comm")
_REDUCTION: Final = _PLAIN | SCATTER
_OVER_FUSED: Final = event("infer.op_kind", "elemwise")


@attrs.frozen
class Verdict:
    """The verdict on one layer; `layer` is a row of the layers' region table."""

    layer: int
    expected: Rewrite
    sites: int
    fired: int
    blockers: tuple[str, ...]

    @property
    def state(self) -> State:
        """Whether the rewrite fired."""
        return "fired" if self.fired == self.sites else "partly" if self.fired else "not"


def verdicts(setting: Setting, composites: Sequence[Composite], expect: Rewrite | None) -> list[Verdict]:
    """A verdict on each layer that reduces, in order of the layers; none without layers.

    A site is a reduction that belongs to a layer of a forward pass, where at least half of the layers of its stack
    have one: backward passes reduce gradients too, and a statistic of a few layers is no part of what splits them.
    The rewrite that is looked for is `expect`, or the one that most sites of the stack show; where none shows any,
    it is the fusion with the norm that follows, the cheapest of them. O(n log n).
    """
    module = setting.module
    if not module.has_tree("layers"):
        return []
    layers = module.tree("layers")
    owner, stack_of = layers.at("layer"), layers.ancestor("stack")
    forward = _forward(module, stack_of)
    form = {row: _REWRITE_OF[item.form] for item in composites if item.form in _REWRITE_OF for row in item.members}
    sites: dict[int, list[int]] = defaultdict(list)
    for item in setting.instances:
        layer = int(owner[item.row])
        reduces = item.kind in ("all_reduce", "reduce_scatter") and not item.backward
        if layer >= 0 and reduces and forward[layer]:
            sites[layer].append(item.row)
    sites = _usual(sites, stack_of, layers.of_kind("layer"))
    shown: dict[int, Counter[Rewrite]] = defaultdict(Counter)
    for layer, rows in sites.items():
        shown[int(stack_of[layer])].update(form[row] for row in rows if row in form)
    blockers = _Blockers(setting)
    out = []
    for layer in sorted(sites):
        seen = shown[int(stack_of[layer])]
        expected: Rewrite = expect or (seen.most_common(1)[0][0] if seen else "fused")
        fired = [row for row in sites[layer] if form.get(row) == expected]
        rest = [row for row in sites[layer] if form.get(row) != expected]
        told = (blockers.of(row, expected) for row in rest)
        out.append(Verdict(layer, expected, len(sites[layer]), len(fired), tuple(dict.fromkeys(filter(None, told)))))
    return out


def _usual(sites: Mapping[int, list[int]], stack_of: Rows, every: Rows) -> dict[int, list[int]]:
    """The sites of those stacks of which at least half of the layers have any."""
    layers, reducing = Counter(stack_of[every].tolist()), Counter(int(stack_of[layer]) for layer in sites)
    return {
        layer: rows for layer, rows in sites.items() if 2 * reducing[stack := int(stack_of[layer])] >= layers[stack]
    }


def _forward(module: tir.Module, stack_of: Rows) -> Mask:
    if "group.direction" not in module:
        return np.ones(len(stack_of), bool)
    backward = module.is_in("group.direction", ["backward"])
    return ~np.append(backward, False)[stack_of]


@attrs.define
class _Blockers:
    """What stands between a reduction and what a rewrite would join it with; each path is looked for once.

    What is known is kept by instance: of a reduction in several kernels the last is the one that something follows.
    """

    setting: Setting
    _known: dict[Rewrite, dict[int, str]] = attrs.field(factory=dict)

    @property
    def module(self) -> tir.Module:
        return self.setting.module

    def of(self, row: int, rewrite: Rewrite) -> str:
        """What blocks the rewrite of one reduction, in words; empty if nothing does."""
        if rewrite not in self._known:
            told = self._find(rewrite)
            self._known[rewrite] = {self.setting.instance_of(at): words for at, words in told.items()}
        scatters = KINDS[self.module["coll.kind"][row]] == "reduce_scatter"
        missing = {
            "fused": NO_NORM,
            "decomposed": NO_GATHER if scatters else NOTHING_MOVES,
            "async_tp": NO_PRODUCT if scatters else WHOLE,
        }
        return self._known[rewrite].get(self.setting.instance_of(row), missing[rewrite])

    def _find(self, rewrite: Rewrite) -> dict[int, str]:
        """The words on each reduction, by a row of it."""
        if rewrite == "fused":
            return self._parted() | self._told(Path(_REDUCTION, _NORM, over=_OVER_FUSED, aside=anything), "first")
        if rewrite == "decomposed":
            pairs = self._told(HALVES, "first")
            # Where a whole all-reduce stands, what comes at once after it is what could run on the shard.
            moves = Path(_PLAIN, TOKEN_WISE, aside=anything).find(self.module)
            return pairs | {match.row("first"): "" for match in moves}
        return self._told(Path(PRODUCT, SCATTER, aside=anything), "last")

    def _told(self, path: Path, end: str) -> dict[int, str]:
        clear, blocked = path.pairs(self.module)
        return {match.row(end): "" for match in clear} | {
            match.row(end): self._words(match["blockers"].tolist()) for match in blocked
        }

    def _parted(self) -> dict[int, str]:
        """Of reductions that something parts from every norm after them, what it is."""
        module = self.module
        rows = Order.of(module, "device").rows
        reduces, is_norm = _REDUCTION.mask(module)[rows], _NORM.mask(module)[rows]
        ends = np.flatnonzero(reduces | is_norm)
        at, after = ends[:-1], ends[1:]
        here = reduces[at] & (module.device[rows[at]] == module.device[rows[after]])
        pairs = zip(rows[at[here]].tolist(), rows[after[here]].tolist(), is_norm[after[here]].tolist(), strict=True)
        return {row: BESIDE if beside else self._words([other]) for row, other, beside in pairs}

    def _words(self, rows: Iterable[int]) -> str:
        strings, roles = self.module.strings, self.module["infer.role"]
        ranked = Counter("unknown" if (code := int(roles[row])) < 0 else strings[code] for row in rows)
        told = [role if count == 1 else f"{count} {role}" for role, count in ranked.items()]
        if len(told) > MOST_BLOCKERS:
            told = [*told[: MOST_BLOCKERS - 1], f"{len(told) - MOST_BLOCKERS + 1} other roles"]
        return f"{', '.join(told)} between"


def write(module: tir.Module, found: Sequence[Verdict]) -> tir.Module:
    """The module with the verdicts as a table. O(layers)."""
    strings, blocked = module.strings.encode([", ".join(item.blockers) or None for item in found])
    return module.with_strings(strings).with_table(
        "verdicts",
        {
            "coll.layer": np.array([item.layer for item in found], np.int32),
            "coll.expected": np.array([REWRITES.index(item.expected) for item in found], np.int16),
            "coll.sites": np.array([item.sites for item in found], np.int64),
            "coll.fired": np.array([item.fired for item in found], np.int64),
            "coll.state": np.array([STATES.index(item.state) for item in found], np.int16),
            "coll.blocked_by": blocked,
        },
    )
