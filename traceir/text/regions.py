"""The trees of a text: regions that hold their events, regions that list them, and tables of regions."""

from __future__ import annotations

import re
from typing import Any, Final

import attrs
import numpy as np

from traceir.ir import NULL_I64, Annotation, Array, Rows
from traceir.ir.trees import STRUCTURE
from traceir.text.declared import Columns
from traceir.text.draft import BlockItem, Pair, RegionItem, Statement, Word
from traceir.text.errors import MistakeError
from traceir.text.events import Events
from traceir.text.names import Names, suggestion
from traceir.text.rows import place, read_rows
from traceir.text.values import Values
from traceir.text.words import id_text

_NUMBER: Final = re.compile(r"(?:.*\.)?(\d{1,9})\Z", re.S | re.A)


@attrs.frozen
class Placed:
    """A region with its parent's number in the tree."""

    item: RegionItem
    parent: int
    by: int | None


@attrs.define(eq=False)
class Trees:
    """All trees of a text, region by region in the order of the text."""

    columns: Columns
    trees: dict[str, list[Placed]] = attrs.field(factory=dict)
    leaves: list[tuple[str, int]] = attrs.field(factory=list)
    """For each statement of a region, in the order met, its tree and region."""

    def flatten(self, items: list[Any]) -> list[Statement]:
        """The statements of the text in order, those of regions with their leaf noted; no recursion."""
        out: list[Statement] = []
        stack: list[tuple[Any, str, int]] = [(item, "", -1) for item in reversed(items)]
        while stack:
            item, tree, parent = stack.pop()
            if isinstance(item, Statement):
                out.append(item)
                self.leaves.append((tree, parent))
            elif isinstance(item, RegionItem):
                tree, number = self._place(item, tree, parent)
                stack.extend((inner, tree, number) for inner in reversed(item.items))
        return out

    def _place(self, item: RegionItem, tree: str, parent: int) -> tuple[str, int]:
        own = item.tree or tree or item.kind
        if tree and own != tree:
            raise MistakeError(f"The region is inside a region of the tree {tree}, and cannot be of {own}.", item.at)
        if not re.fullmatch(r"[a-z][a-z0-9_.]*", own):
            raise MistakeError(f"{own!r} is no name of a tree; give it one: region @… : kind of name.", item.at)
        placed = self.trees.setdefault(own, [])
        by = self.columns.maker(item.by, item.at)
        if by is None and parent >= 0:
            by = placed[parent].by
        placed.append(Placed(item, parent, by))
        return own, len(placed) - 1

    def structure(self, tree: str, pool: Names) -> dict[str, Array]:
        """The columns parent, kind, name and index of a tree's table."""
        placed = self.trees[tree]
        among: dict[int, int] = {}
        index = []
        for one in placed:
            sibling = among[one.parent] = among.get(one.parent, -1) + 1
            given = next((pair for pair in one.item.pairs if pair.key == "index" and not pair.quoted), None)
            index.append(_index(given) if given is not None else usual_index(one.item.name, sibling))
        return {
            "parent": np.array([one.parent for one in placed], np.int32),
            "kind": np.array([pool.code(one.item.kind) for one in placed], np.int32),
            "name": np.array([pool.code(one.item.name) for one in placed], np.int32),
            "index": np.array(index, np.int32),
        }

    def attributes(self, tree: str, values: Values) -> dict[str, Array]:
        """The annotation columns of a tree's regions; a key without a dot is one of the pass that made the region."""
        domain, placed = f"region:{tree}", self.trees[tree]
        out: dict[str, Array] = {}
        for number, one in enumerate(placed):
            for pair in one.item.pairs:
                if pair.key == "index" and not pair.quoted:
                    continue
                annotation = self._declared(pair, one.by, domain)
                if annotation.name not in out:
                    out[annotation.name] = values.empty(annotation, len(placed))
                out[annotation.name][number] = values.stored(annotation, pair.value, pair.at)
        # In the order of their declarations, which does not depend on what the first regions say.
        return {name: out[name] for name in self.columns.known if name in out}

    def _declared(self, pair: Pair, by: int | None, domain: str) -> Annotation:
        name = pair.key
        if not pair.dotted:
            if by is None:
                raise MistakeError(
                    f"The attribute {name} needs the pass that wrote it: {name} is short for <pass>.{name}.", pair.at
                )
            name = f"{self.columns.passes[by].name}.{name}"
            if name not in self.columns.known:
                self.columns.imply(Annotation(name, domain, _dtype(pair)), by, pair.at)
        annotation = self.columns.find(name, pair.at)
        if annotation.domain != domain:
            raise MistakeError(f"The column {name} is one of {annotation.domain}, not of {domain}.", pair.at)
        return annotation

    def leaf(self, tree: str, events: Events) -> Rows:
        """For each event its region, by the statements inside of regions and by members that are listed."""
        out = np.full(len(events.row_of), -1, np.int32)
        inside = [(met, region) for met, (own, region) in enumerate(self.leaves) if own == tree]
        for met, region in inside:
            out[events.row_of[met]] = region
        for number, one in enumerate(self.trees[tree]):
            for lane, (first, last, at) in one.item.members or ():
                rows = self._members(events, lane, first, last, at)
                if bool((out[rows] >= 0).any()):
                    raise MistakeError(f"An event of this range is in another region of the tree {tree} already.", at)
                out[rows] = number
        return out

    def _members(self, events: Events, lane: str | None, first: int, last: int, at: int) -> Array:
        if lane is not None and lane not in events.lanes.codes:
            raise MistakeError(f"There is no lane @{lane}{suggestion(lane, events.lanes.codes)}", at)
        ids = events.ids
        if first == last:
            ids.require(first, at)
        order, ordered = ids.sorted
        low, high = np.searchsorted(ordered, [first, last + 1] if last < (1 << 63) - 1 else [first, last])
        if low == high and not ids.is_outside(first):
            raise MistakeError(f"No event of the range {id_text(first)}..{id_text(last)} is in this text.", at)
        rows: Array = order[low:high]
        if lane is None:
            return rows
        here: Array = rows[events.lane_of[rows] == events.lanes.codes[lane]]
        if first == last and len(rows) and not len(here):
            raise MistakeError(f"The event is not on the lane @{lane}.", at)
        return here


def usual_index(name: str, sibling: int) -> int:
    """The index of a region whose text gives none: the number at the end of its name, else its place among siblings."""
    found = _NUMBER.match(name)
    return int(found.group(1)) if found else sibling


def region_block(block: BlockItem, columns: Columns, values: Values, pool: Names) -> dict[str, Array]:
    """The columns of a tree's table from a `regions` block."""
    domain = f"region:{block.name}"
    missing = [name for name in STRUCTURE if name not in block.columns]
    if missing:
        raise MistakeError(f"The regions block lacks the column {missing[0]}.", block.at)
    own = {name: Annotation(f"region.{name}", dtype="str" if name in ("kind", "name") else "i64") for name in STRUCTURE}
    declared = {name: own[name] if name in own else columns.find(name, block.at) for name in block.columns}
    for name, annotation in declared.items():
        if name not in STRUCTURE and annotation.domain != domain:
            raise MistakeError(f"The column {name} is one of {annotation.domain}, not of {domain}.", block.at, name)
    cells = read_rows(block, frozenset(name for name, a in declared.items() if a.dtype == "f64"))
    out = {name: values.column(annotation, cells[name], block, name) for name, annotation in declared.items()}
    parent = np.maximum(out["parent"], -1)
    wrong = parent >= np.arange(len(parent))
    if wrong.any():
        raise MistakeError("A region's parent stands before it.", place(block, int(np.argmax(wrong))))
    index = np.where(out["index"] == NULL_I64, -1, out["index"])
    if ((index < -(1 << 31)) | (index >= 1 << 31)).any():
        raise MistakeError("The index of a region is a whole number of 32 bits.", block.at)
    return out | {"parent": parent.astype(np.int32), "index": index.astype(np.int32)}


def _index(pair: Pair) -> int:
    if isinstance(pair.value, int) and not isinstance(pair.value, bool) and -(1 << 31) <= pair.value < 1 << 31:
        return pair.value
    raise MistakeError("The index of a region is a whole number.", pair.at)


def _dtype(pair: Pair) -> Any:
    value = pair.value
    if isinstance(value, bool) or (isinstance(value, Word) and value in ("true", "false")):
        return "bool"
    if isinstance(value, int):
        return "i64"
    if isinstance(value, float):
        return "f64"
    if isinstance(value, str) and not isinstance(value, Word):
        return "str"
    raise MistakeError(
        f"The column of {pair.key} is not declared, and its type does not follow from this value.", pair.at
    )
