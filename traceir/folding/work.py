"""The device work of a module as parallel arrays, with what passes wrote of it."""

from __future__ import annotations

import attrs
import numpy as np

from traceir.folding.model import OTHER, Sum
from traceir.folding.sums import EXPOSED, Summand, summands
from traceir.ir import Array, Ints, Module
from traceir.ir.annotation import Shown

UNKNOWN = "unknown"
"""The role that says that nothing is known of an event."""


@attrs.frozen(eq=False)
class Declared:
    """The columns that passes declared for one domain, found by what they are called.

    A column is meant by its full name (`group.confidence`) and found by it first. Where nobody declared that, the
    last part of the name stands for it, if only one pass declared it: so another pass may take the place of
    the built-in one, but none can put its column over a column that is there.
    """

    module: Module
    domain: str
    names: frozenset[str]

    @classmethod
    def of(cls, module: Module, domain: str) -> Declared:
        """The declared columns of a domain that the module holds and that are not stale."""
        found = (
            name
            for name, written in module.annotations.items()
            if written.annotation.domain == domain and name in module and not module.stale(name)
        )
        return cls(module, domain, frozenset(found))

    def find(self, full: str) -> str | None:
        """The name of the column that is meant by `full`, or None if there is none or it cannot be told."""
        if full in self.names:
            return full
        last = full.partition(".")[2]
        alike = [name for name in self.names if name.partition(".")[2] == last]
        return alike[0] if len(alike) == 1 else None

    def column(self, full: str) -> Array | None:
        """The array of a column, None if there is none."""
        name = self.find(full)
        return self.module[name] if name is not None else None


@attrs.frozen(eq=False)
class Regions:
    """The declared columns of one tree's regions, as Python values."""

    module: Module
    tree: str
    declared: Declared
    _texts: dict[str, list[str | None]] = attrs.field(factory=dict, init=False)
    _found: dict[str, str | None] = attrs.field(factory=dict, init=False)

    @classmethod
    def of(cls, module: Module, tree: str) -> Regions:
        """The annotated columns of a tree; none if no pass built it."""
        return cls(module, tree, Declared.of(module, f"region:{tree}"))

    def find(self, full: str) -> str | None:
        """The name of the column that is meant by `full`, or None."""
        if full not in self._found:
            self._found[full] = self.declared.find(full)
        return self._found[full]

    def number(self, full: str, region: int) -> float:
        """A numeric column's value, 0 if there is no such column."""
        name = self.find(full)
        return float(self.module[name][region]) if name is not None else 0.0

    def text(self, full: str, region: int) -> str:
        """A text column's value; empty if there is none."""
        name = self.find(full)
        if name is None or region < 0:
            return ""
        if name not in self._texts:
            self._texts[name] = self.module.text(name)
        return self._texts[name][region] or ""

    def name(self, region: int) -> str:
        """The region's own name; empty for -1."""
        return self.module.tree(self.tree).region_name(region) if region >= 0 else ""


@attrs.frozen(eq=False)
class Work:
    """The device work of a module as parallel arrays, in row order.

    `label`, `symbol` and `role` are codes of the string pool, `step`, `layer`, `stack` and `block` regions (-1
    none), `key` tells ops apart: the all-reduce of the attention and that of the MLP have one label and two keys.
    `exposed` is the communication that nothing hides, None if no pass told; `others` are the other columns that
    passes declared to be summed.
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
    exposed: Summand | None
    others: tuple[Summand, ...] = ()
    told: bool = True

    def name(self, code: int) -> str:
        """The string of a code of the pool."""
        return self.module.strings[code]

    def label_of(self, position: int) -> str:
        """What one event is called: its label; a role in its place is spelt like a label (`all_reduce`)."""
        code = int(self.label[position])
        if code < 0:
            return OTHER
        text = self.module.strings[code]
        return text.replace("-", "_") if code == self.role[position] else text

    def lanes_of(self, at: Array) -> tuple[str, ...]:
        """The names of the lanes of some work, most time first."""
        lane = self.lane[at]
        used = np.flatnonzero(np.bincount(lane))
        total = np.bincount(lane, weights=self.dur[at])[used]
        return tuple(self.module.lanes[int(i)].name for i in used[np.argsort(-total, kind="stable")])

    def roles_of(self, at: Array) -> tuple[str, ...]:
        """The roles of some work, most time first."""
        role = self.role[at]
        if (role == role[0]).all():  # as it is for nearly every op
            return (self.name(int(role[0])),) if role[0] >= 0 else ()
        values, inverse = np.unique(role, return_inverse=True)
        total = np.bincount(inverse, weights=self.dur[at])
        return tuple(self.name(int(values[i])) for i in np.argsort(-total, kind="stable") if values[i] >= 0)

    def block_of(self, position: int) -> str:
        """The block that one event lies in, by the last part of its region's name."""
        return self.layers.name(int(self.block[position])).rpartition(".")[2]

    def exposed_of(self, at: Array) -> int | None:
        """The exposed time of some work, None where it is null throughout."""
        total = self.exposed.total(at) if self.exposed is not None else None
        return None if total is None else int(total)

    def exposed_median_of(self, at: Array, instance: Array) -> int | None:
        """The median over instances of `exposed_of`, over those in which it is known."""
        median = self.exposed.median(at, instance) if self.exposed is not None else None
        return None if median is None else int(median)

    def sums_of(self, at: Array, instance: Array | None = None) -> tuple[Sum, ...]:
        """The other columns that passes declared to be summed, over some work (and per instance)."""
        return tuple(item.summed(at, instance) for item in self.others)

    def unknown_of(self, at: Array) -> int | None:
        """How much of some work has no known role, in ns; None if no pass has told roles. Copies have one."""
        if not self.told:
            return None
        lost = (self.role[at] < 0) | (self.role[at] == self.module.strings.code(UNKNOWN))
        return int(self.dur[at[lost]].sum())


@attrs.frozen(eq=False)
class OneStep:
    """One step before folding: its region, positions in the work arrays, extent, idle time, cost and stacks."""

    region: int
    at: Array
    low: int
    high: int
    idle_ns: int
    work_ns: int
    stacks: tuple[int, ...]
    signature: tuple[object, ...]


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
    sums = summands(module, rows)
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
        exposed=next((item for item in sums if item.name == EXPOSED), None),
        others=tuple(item for item in sums if item.name != EXPOSED),
        told=shown_column(module, "role") is not None,
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
