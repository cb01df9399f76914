"""Chunk-wise overlap: pieces of one product take turns with the pieces of a collective that feed or drain them."""

from __future__ import annotations

import attrs

from traceir.ir import Mask, Rows, Spans
from traceir.pattern import Match, event
from traceir_passes.collectives.composites.base import Composite, Setting

PRODUCT = event("infer.role", "gemm", "moe-gemm")
PIECE = (
    event("coll.kind", "all_gather", "reduce_scatter", "send_recv", "all_to_all", "unknown")
    & event("infer.class", "comm")
) | (event("infer.class", "memory") & event("infer.op_kind", "injective"))
CHUNKS = (
    PIECE.repeat(0)
    >> PRODUCT
    >> (PIECE.repeat() >> PRODUCT).repeat()
    >> PIECE.repeat(0)
)  # fmt: skip


@attrs.frozen
class Chunked:
    """Equal products that alternate with pieces of communication on other lanes, of which some run beside them.

    Pieces are collectives, messages or copies between devices. One product of several is a layer's ordinary work;
    pieces on the lane of the products cannot hide, and two lanes that never run at once hide nothing.
    """

    form: str = "async_tp"

    def find(self, setting: Setting) -> list[Composite]:
        """The chunked products. O(n log n)."""
        module = setting.module
        product = PRODUCT.mask(module)
        out = []
        for match in CHUNKS.where(lambda match: _is_chunked(match, product)).find(module, per="device"):
            rows = match.rows.tolist()
            extra = tuple(row for row in rows if setting.instance_of(row) < 0)
            numbers = sorted({setting.instance_of(row) for row in rows} - {-1})
            kinds = {setting.instances[at].kind for at in numbers} or {"unknown"}
            note = f"{int(product[match.rows].sum())} pieces of a product"
            out.append(Composite(self.form, min(kinds), tuple(rows), tuple(numbers), extra=extra, note=note))
        return out


def _is_chunked(match: Match, product: Mask) -> bool:
    module, rows = match.module, match.rows
    work, pieces = rows[product[rows]], rows[~product[rows]]
    lanes = module["lane"]
    names = module["name"][work]
    if (names != names[0]).any() or not set(lanes[pieces].tolist()).isdisjoint(lanes[work].tolist()):
        return False
    if (module["coll.instance"][pieces] < 0).all() and not _between_devices(match, pieces):
        return False
    return len(_spans(match, work) & _spans(match, pieces)) > 0


def _between_devices(match: Match, pieces: Rows) -> bool:
    """Whether copies go from device to device by their names: those within a device bring nothing from other ranks."""
    names = match.module.strings.decode(match.module["name"][pieces])
    return all("PtoP" in (name or "") or "P2P" in (name or "") for name in names)


def _spans(match: Match, rows: Rows) -> Spans:
    return Spans.of(match.module["ts"][rows], match.module.end[rows])
