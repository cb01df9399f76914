"""The device work of a module as parallel arrays, with what passes wrote of it."""

from __future__ import annotations

from collections.abc import Mapping

import attrs
import numpy as np

from traceir.ir import NULL_I64, Array, Ints, Module
from traceir.ir.annotation import Shown


@attrs.frozen(eq=False)
class Regions:
    """The columns of one tree's regions by the last part of their names, as Python values."""

    module: Module
    tree: str
    columns: Mapping[str, str]
    _texts: dict[str, list[str | None]] = attrs.field(factory=dict, init=False)

    @classmethod
    def of(cls, module: Module, tree: str) -> Regions:
        """The annotated columns of a tree; none if no pass built it."""
        found = {
            name.partition(".")[2]: name
            for name, written in module.annotations.items()
            if written.annotation.domain == f"region:{tree}" and name in module
        }
        return cls(module, tree, found)

    def number(self, column: str, region: int) -> float:
        """A numeric column's value, 0 if there is no such column."""
        name = self.columns.get(column)
        return float(self.module[name][region]) if name is not None else 0.0

    def text(self, column: str, region: int) -> str:
        """A text column's value; empty if there is none."""
        name = self.columns.get(column)
        if name is None or region < 0:
            return ""
        if column not in self._texts:
            self._texts[column] = self.module.text(name)
        return self._texts[column][region] or ""

    def name(self, region: int) -> str:
        """The region's own name; empty for -1."""
        return self.module.tree(self.tree).region_name(region) if region >= 0 else ""


@attrs.frozen(eq=False)
class Work:
    """The device work of a module as parallel arrays, in row order.

    `label`, `symbol` and `role` are codes of the string pool, `step`, `layer`, `stack` and `block` regions (-1
    none), `key` tells ops apart: the all-reduce of the attention and that of the MLP have one label and two keys.
    """

    module: Module
    steps: Regions
    layers: Regions
    rows: Array
    dur: Ints
    label: Array
    key: Array
    symbol: Array
    role: Array
    lane: Array
    step: Array
    layer: Array
    stack: Array
    block: Array
    exposed: Ints | None

    def name(self, code: int) -> str:
        """The string of a code of the pool."""
        return self.module.strings[code]

    def lanes_of(self, at: Array) -> tuple[str, ...]:
        """The names of the lanes of some work, most time first."""
        lanes, inverse = np.unique(self.lane[at], return_inverse=True)
        total = np.bincount(inverse, weights=self.dur[at])
        return tuple(self.module.lanes[int(lanes[i])].name for i in np.argsort(-total, kind="stable"))

    def roles_of(self, at: Array) -> tuple[str, ...]:
        """The roles of some work, most time first."""
        values, inverse = np.unique(self.role[at], return_inverse=True)
        total = np.bincount(inverse, weights=self.dur[at])
        return tuple(self.name(int(values[i])) for i in np.argsort(-total, kind="stable") if values[i] >= 0)

    def block_of(self, position: int) -> str:
        """The block that one event lies in, by the last part of its region's name."""
        return self.layers.name(int(self.block[position])).rpartition(".")[2]

    def exposed_of(self, at: Array) -> int | None:
        """The sum of what a pass declared to be summed, None where it is null throughout."""
        if self.exposed is None:
            return None
        values = self.exposed[at]
        known = values != NULL_I64
        return int(values[known].sum()) if known.any() else None


def shown_column(module: Module, shown: Shown) -> str | None:
    """The event column that a pass declared for this purpose (the last one, if several did)."""
    found = [
        name
        for name, written in module.annotations.items()
        if written.annotation.shown == shown and written.annotation.domain == "event" and not module.stale(name)
    ]
    return found[-1] if found else None


def gather(module: Module) -> Work:
    """The live device work with its labels (else roles, else names) and its places in the trees. O(n)."""
    rows = np.flatnonzero(module.work)
    label, role = _codes(module, "label", rows), _codes(module, "role", rows)
    symbol = _codes(module, "symbol", rows)
    symbol = np.where(symbol >= 0, symbol, module["name"][rows])
    label = np.where(label >= 0, label, np.where(role >= 0, role, symbol))
    exposed = shown_column(module, "sum")
    none = np.full(len(rows), -1, np.int32)
    layer = stack = block = none
    if module.has_tree("layers"):
        tree = module.tree("layers")
        layer, stack, block = tree.at("layer")[rows], tree.at("stack")[rows], tree.at("block")[rows]
    return Work(
        module=module,
        steps=Regions.of(module, "steps"),
        layers=Regions.of(module, "layers"),
        rows=rows,
        dur=module["dur"][rows],
        label=label,
        key=_keys(module, label, block),
        symbol=symbol,
        role=role,
        lane=module["lane"][rows],
        step=module.tree("steps").at("step")[rows] if module.has_tree("steps") else none,
        layer=layer,
        stack=stack,
        block=block,
        exposed=module[exposed][rows] if exposed else None,
    )


def _codes(module: Module, shown: Shown, rows: Array) -> Array:
    name = shown_column(module, shown)
    return module[name][rows] if name is not None else np.full(len(rows), -1, np.int32)


def _keys(module: Module, label: Array, block: Array) -> Array:
    """One code per label and place of its block in the layer."""
    if not module.has_tree("layers"):
        return label
    place = np.append(module.tree("layers").regions["index"], -1)[block].astype(np.int64)
    return np.asarray(np.where(block >= 0, place + 1, 0) * len(module.strings) + label)
