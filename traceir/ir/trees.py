"""Trees: steps, layers, blocks and micro-batches, each a table of regions and a leaf column on the events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs
import numpy as np
import numpy.typing as npt

from traceir.errors import SchemaError
from traceir.ir.column import Rows
from traceir.ir.strings import Strings
from traceir.ir.table import Table

STRUCTURE = ("parent", "kind", "name", "index")
"""The columns of every region table; all others are declared annotations."""


@attrs.frozen
class Region:
    """One region when a tree is built: `parent` is a position in the same list, before it, or -1 for a root."""

    kind: str
    name: str
    index: int = -1
    parent: int = -1


@attrs.frozen(eq=False)
class Tree:
    """A tree of a module: the region table (columns `parent`, `kind`, `name`, `index`) and each event's leaf.

    A region is a row of its table; parents stand before their children. `leaf` has one entry per event: the
    innermost region that owns it, or -1. Membership is by leaf, not by time: a region need not be contiguous.
    """

    name: str
    regions: Table
    leaf: Rows
    strings: Strings

    def __len__(self) -> int:
        return len(self.regions)

    @property
    def parent(self) -> Rows:
        """The parent region of each region, -1 for roots."""
        return self.regions["parent"]

    def kind(self, region: int) -> str:
        """The kind of a region, such as `layer`."""
        return self.strings[int(self.regions["kind"][region])]

    def region_name(self, region: int) -> str:
        """The name of a region, such as `step.17`."""
        return self.strings[int(self.regions["name"][region])]

    def of_kind(self, kind: str) -> Rows:
        """The regions of one kind, in table order."""
        code = self.strings.code(kind)
        return np.flatnonzero(self.regions["kind"] == code).astype(np.int32) if code >= 0 else np.empty(0, np.int32)

    def ancestor(self, kind: str) -> Rows:
        """For each region its nearest ancestor-or-self of `kind`, or -1. O(regions x depth)."""
        parent, kinds = np.append(self.parent, np.int32(-1)), self.regions["kind"]
        wanted = np.append(kinds == self.strings.code(kind), False) if self.strings.code(kind) >= 0 else None
        if wanted is None:
            return np.full(len(self), -1, np.int32)
        out = np.arange(len(self), dtype=np.int32)
        while ((out >= 0) & ~wanted[out]).any():
            out = np.where((out >= 0) & ~wanted[out], parent[out], out)
        return out

    def at(self, kind: str) -> Rows:
        """For each event the region of `kind` that owns it, or -1."""
        table = np.append(self.ancestor(kind), np.int32(-1))
        return table[self.leaf]

    def children(self, region: int) -> Rows:
        """The direct children of a region; of all roots for -1."""
        return np.flatnonzero(self.parent == region).astype(np.int32)

    def events(self, region: int) -> Rows:
        """The rows of the events that a region or its descendants own, in order. O(events)."""
        parent = np.append(self.parent, np.int32(-1))
        inside = np.zeros(len(self) + 1, bool)
        inside[region] = True
        before = 0
        while (now := int(inside.sum())) != before:
            before = now
            inside[:-1] |= inside[parent[:-1]]
        return np.flatnonzero(inside[self.leaf]).astype(np.int32)


def region_columns(regions: Sequence[Region], strings: Strings) -> tuple[Strings, dict[str, Rows]]:
    """The region table's columns for a list of regions, and the string pool that holds their names."""
    strings, kinds = strings.encode([region.kind for region in regions])
    strings, names = strings.encode([region.name for region in regions])
    return strings, {
        "parent": np.array([region.parent for region in regions], np.int32),
        "kind": kinds,
        "name": names,
        "index": np.array([region.index for region in regions], np.int32),
    }


def checked_columns(columns: Mapping[str, npt.ArrayLike], strings: Strings) -> dict[str, Rows]:
    """The region table's columns given as arrays, `kind` and `name` as codes of `strings`; SchemaError if unsound."""
    if set(columns) != set(STRUCTURE):
        raise SchemaError(f"The columns of a tree are {', '.join(STRUCTURE)}; given are {', '.join(sorted(columns))}.")
    out = {name: np.asarray(columns[name], np.int32) for name in STRUCTURE}
    parent = out["parent"]
    if any(values.shape != (len(parent),) for values in out.values()):
        raise SchemaError("The columns of a tree need one dimension and one length.")
    if ((parent < -1) | (parent >= np.arange(len(parent)))).any():
        raise SchemaError("A region's parent has to stand before it in the table, or be -1.")
    if any(((out[name] < 0) | (out[name] >= len(strings))).any() for name in ("kind", "name")):
        raise SchemaError("The kind or the name of a region is no code of the module's string pool.")
    return out
