"""Chunk-wise overlap: pieces of one product take turns with the pieces of a collective that feed or drain them."""

from __future__ import annotations

from collections.abc import Iterator

import attrs

import traceir as tir
from traceir.ir import Mask, Spans
from traceir.pattern import Match, event
from traceir_passes.collectives.composites.base import Composite, Setting

PRODUCT = event("infer.role", "gemm", "moe-gemm")
PIECE = (
    event("coll.kind", "all_gather", "reduce_scatter", "send_recv", "all_to_all", "unknown")
    & event("infer.class", "comm")
    & ~event("infer.role", "dispatch", "combine", "comm-meta")
) | (event("infer.class", "memory") & event("infer.op_kind", "injective"))
TURNS = (PRODUCT | PIECE).repeat(3)
"""What may hold chunks; the turns inside are read in one go, since a run may be as long as the trace."""
ENOUGH = 2
"""Turns that prove a chunked product by themselves: one piece between two like products may be any prefetch."""
WIDE = (
    "Torch-Compiled Region",
    "CompiledFunction",
    "autograd::engine::evaluate_function: CompiledFunction",
    "## Call ",
)
"""How operators begin that enclose a whole compiled graph, which says nothing of what belongs together."""


@attrs.frozen
class Chunked:
    """Equal products that alternate with equal pieces of communication, of which some run beside them.

    Pieces are collectives, messages or copies between devices, as many between each two products. Products that
    different operators launched are ordinary work; a single piece is enough only if one operator launched all.
    Pieces on the lane of the products cannot hide, and lanes that never run at once hide nothing.
    """

    form: str = "async_tp"

    def find(self, setting: Setting) -> list[Composite]:
        """The chunked products. O(n log n)."""
        module = setting.module
        product = PRODUCT.mask(module)
        out = []
        for match in TURNS.find(module, per="device"):
            for rows in _equal_turns(match, product):
                if _is_chunked(module, rows, product):
                    out.append(self._composite(setting, rows, int(product[rows].sum())))
        return out

    def _composite(self, setting: Setting, rows: list[int], products: int) -> Composite:
        extra = tuple(row for row in rows if setting.instance_of(row) < 0)
        numbers = sorted({setting.instance_of(row) for row in rows} - {-1})
        kinds = {setting.instances[at].kind for at in numbers} or {"unknown"}
        note = f"{products} pieces of a product"
        return Composite(self.form, min(kinds), tuple(rows), tuple(numbers), extra=extra, note=note)


def _equal_turns(match: Match, product: Mask) -> Iterator[list[int]]:
    """The longest parts in which products of one name have pieces of the same names between each two. O(rows)."""
    names = match.module["name"]
    turns: list[tuple[int, list[int]]] = [(-1, [])]  # each product and the pieces behind it; first what is before any
    for row in match.rows.tolist():
        if product[row]:
            turns.append((row, []))
        else:
            turns[-1][1].append(row)
    told = [(int(names[row]) if row >= 0 else -1, names[pieces].tolist()) for row, pieces in turns]
    start, free = 1, 0
    while start < len(turns):
        end, gap = start, told[start][1]
        while gap and end + 1 < len(turns) and told[end] == told[start] and told[end + 1][0] == told[start][0]:
            end += 1
        if end > start:
            rows = [row for turn, pieces in turns[start:end] for row in (turn, *pieces)]
            before = turns[start - 1][1] if start - 1 >= free else []
            ahead = before if names[before].tolist() == gap else []
            behind = turns[end][1] if told[end][1] == gap[: len(told[end][1])] else []
            yield [*ahead, *rows, turns[end][0], *behind]
            free = end + (len(behind) > 0)
        start = end + 1


def _is_chunked(module: tir.Module, rows: list[int], product: Mask) -> bool:
    work, pieces = ([row for row in rows if product[row] == wanted] for wanted in (True, False))
    if len(set(module["lane"][rows].tolist())) < 2 or len(set(module["name"][pieces].tolist())) > 1:
        return False
    if (module["coll.instance"][pieces] < 0).any() and not _between_devices(module, pieces):
        return False
    if not len(_spans(module, work) & _spans(module, pieces)):
        return False
    first, second = [at for at, row in enumerate(rows) if product[row]][:2]
    enough = len(pieces) >= ENOUGH * (second - first - 1)
    around = _operators(module, rows)
    if around is None:
        return enough
    return bool(around) and (enough or any(not name.startswith(WIDE) for name in around))


def _operators(module: tir.Module, rows: list[int]) -> set[str] | None:
    """The operators around the launches of all these rows; None where no operators around them are known.

    Work of a graph's replay has only the launch of the whole graph.
    """
    hosts, caller, names = module.is_kind("host.op"), module.caller, module["name"]
    launches = set(module.launch[rows].tolist()) - {-1}
    if not launches or module.is_kind("rt.graph_launch")[list(launches)].any():
        return None
    common: set[int] | None = None
    known = False
    for launch in launches:
        mine, at = set(), launch
        while at >= 0:
            if hosts[at]:
                mine.add(at)
            at = int(caller[at])
        known = known or bool(mine)
        common = mine if common is None else common & mine
    return {module.strings[int(names[at])] for at in common or ()} if known else None


def _between_devices(module: tir.Module, pieces: list[int]) -> bool:
    """Whether copies go from device to device by their names: those within a device bring nothing from other ranks."""
    names = module.strings.decode(module["name"][pieces])
    return all("PtoP" in (name or "") or "P2P" in (name or "") for name in names)


def _spans(module: tir.Module, rows: list[int]) -> Spans:
    return Spans.of(module["ts"][rows], module.end[rows])
