"""The events that the words of a window name: regions of any tree, events, lanes and times."""

from __future__ import annotations

from collections.abc import Iterator

import attrs
import numpy as np

from traceir.errors import UsageError
from traceir.ir import Mask, Module, Tree
from traceir.passing.options import Duration, spell
from traceir.registry import Registry
from traceir.units import count, time
from traceir.windows.chosen import Chosen
from traceir.windows.language import FORMS, Ids, Name, Part, Times, bare, parts, plain
from traceir.windows.named import called, nearest, row_of, shown, spelled

_TRIED = 3
"""How many of the further regions of a name are tried when a note proposes a time range for the next one."""


def select_window(module: Module, text: str, registry: Registry | None = None) -> Chosen:
    """The events that a window's words name, and a sentence if the words fit several regions and one was taken.

    - `layer.3` or `@layer.3`: a region of any tree by its name, else by whole dotted parts at the end of its name; its
      events and its descendants'. Of several the first in time is taken, and the note says so.
    - `@gpu0.s7`: a lane by its name (without `@` a region of that name goes before it).
    - `%8812`: one event; `%10..%40`: all whose ids lie between, both included.
    - `1.2ms..3ms`: events that intersect the half-open range, in time from the module's origin; `3ms..` and `..3ms`
      are open, and equal ends are one instant.
    - `layer.3 in step.1`: of the one the events that are in the other too. A region is looked for among those that
      have events there. `in` may be repeated.

    A name with unusual characters stands in quotes, with the escapes of the text form. Columns are read as recorded:
    removed events count as any other (`without_dead` leaves them out). A window that cannot be read, fits nothing or
    holds no event is a UsageError that says what there is; `registry` (default: what is installed) knows the passes
    that make regions. Rows ascend. O(n + regions) for each part.
    """
    return _Search(module, registry).all(_parsed(module, text))


def _parsed(module: Module, text: str) -> list[Part]:
    """The parts of a window; a name that holds ` in ` is a name if there is a region or a lane of just that name."""
    if not text.strip():
        raise UsageError(f"The window is empty; write {FORMS}.")
    whole = plain(text)
    if whole is not None:
        return [whole]
    name = bare(text)
    if isinstance(name.says, Name) and " in " in text and _is_name(module, name.says.text):
        return [name]
    return parts(text)


def _is_name(module: Module, name: str) -> bool:
    code = module.strings.code(name)
    regions = any(bool((tree.regions["name"] == code).any()) for tree in _trees(module)) if code >= 0 else False
    return regions or any(lane.name == name for lane in module.lanes)


def _trees(module: Module) -> Iterator[Tree]:
    for table in module.tables:
        name = table.removeprefix("region:")
        if name != table and f"tree.{name}" in module.tables["event"]:
            yield module.tree(name)


@attrs.frozen(eq=False)
class _Fit:
    """A region that a name fits and that has events: its own and those of its descendants begin in row `first`."""

    tree: Tree
    region: int
    name: str
    first: int


@attrs.frozen(eq=False)
class _Search:
    module: Module
    registry: Registry | None

    def all(self, wanted: list[Part]) -> Chosen:
        """What all parts have in common. The last stands by itself, each other one is looked for inside the rest."""
        within, notes = np.ones(len(self.module), bool), []
        for at in reversed(range(len(wanted))):
            part, rest = wanted[at], wanted[at + 1 :]
            mask, note = self._part(part, within, rest)
            if note:
                notes.append(note)
            if not (mask & within).any():
                raise UsageError(self._empty(part, rest))
            within = mask & within
        return Chosen(np.flatnonzero(within).astype(np.int32), " ".join(notes) or None)

    def _part(self, part: Part, within: Mask, rest: list[Part]) -> tuple[Mask, str | None]:
        says = part.says
        if isinstance(says, Times):
            return _intersecting(self.module, says), None
        if isinstance(says, Ids):
            ids = self.module["id"]
            if says.low == says.high:
                row_of(self.module, says.low)
            return (ids >= says.low) & (ids <= says.high), None
        return self._named(says, within, rest)

    def _named(self, name: Name, within: Mask, rest: list[Part]) -> tuple[Mask, str | None]:
        lane = next((at for at, lane in enumerate(self.module.lanes) if lane.name == name.text), None)
        if lane is not None and name.lane_first:
            return self.module["lane"] == lane, None
        fits = self._fits(name.text, within, whole=True)
        if not fits and lane is not None:
            return self.module["lane"] == lane, None
        fits = fits or self._fits(name.text, within, whole=False)
        if not fits:
            raise UsageError(self._unknown(name.text, rest))
        return self._events(fits[0]), self._several(name.text, fits, within, rest) if len(fits) > 1 else None

    def _events(self, fit: _Fit) -> Mask:
        mask = np.zeros(len(self.module), bool)
        mask[fit.tree.events(fit.region)] = True
        return mask

    def _fits(self, name: str, within: Mask, *, whole: bool) -> list[_Fit]:
        """The regions of a name (its whole or its end) that have events in `within`, in order of time."""
        found = []
        for tree in _trees(self.module):
            regions = called(tree, name, whole=whole)
            if len(regions):
                first = _first_rows(tree, within)
                found += [
                    _Fit(tree, at, tree.region_name(at), first[at])
                    for at in regions.tolist()
                    if first[at] < len(self.module)
                ]
        return sorted(found, key=lambda fit: fit.first)

    # --- sentences ---------------------------------------------------------------------------------------

    def _several(self, name: str, fits: list[_Fit], within: Mask, rest: list[Part]) -> str:
        """That several regions fit, which one is taken, and how to name the next."""
        taken, words = fits[0], f"{count(len(fits))} regions fit {shown(name)}{_inside(rest)}; "
        one = f"{shown(taken.name)}, the first in time, is taken"
        alike = {fit.name for fit in fits}
        if len(alike) < len(fits):
            trees = dict.fromkeys(fit.tree.name for fit in fits)
            one += f" (of the tree {taken.tree.name})" if len(trees) > 1 else ""
        names = [fit.name for fit in fits]
        following = next((other for other in names[1:] if names.count(other) == 1), None)
        if following is not None:
            return f"{words}{one}: write '{spelled(following)}{_inside(rest)}' for another."
        text = self._by_time(name, fits, within, rest)
        if text is not None:
            return f"{words}{one}: write '{text}' for another."
        return f"{words}{one}: name a lane, a time or another region after 'in' to choose another."

    def _by_time(self, name: str, fits: list[_Fit], within: Mask, rest: list[Part]) -> str | None:
        """A window that takes another of several regions of one name by its time; None if time does not tell them."""
        for fit in fits[1 : 1 + _TRIED]:
            events = self._events(fit) & within
            ts = self.module["ts"][events]
            times = Times(int(ts.min()), int(max(self.module.end[events].max(), ts.max() + 1)))
            inside = within & _intersecting(self.module, times)
            again = self._fits(name, inside, whole=True) or self._fits(name, inside, whole=False)
            if again and (again[0].tree.name, again[0].region) == (fit.tree.name, fit.region):
                ends = f"{spell(Duration, times.low)}..{spell(Duration, times.high)}"
                return f"{spelled(name)} in {ends}{_inside(rest)}"
        return None

    def _empty(self, part: Part, rest: list[Part]) -> str:
        """That the events of a part are none, or none of the rest's."""
        if rest:
            return f"No event of {shown_part(part)} is{_inside(rest)}; the two have nothing in common."
        extent = self.module.extent(np.ones(len(self.module), bool))
        if isinstance(part.says, Times) and extent:
            return f"No event lies in {part.text}; the events here lie from {time(extent[0])} to {time(extent[1])}."
        if isinstance(part.says, Ids) and extent:
            ids = self.module["id"]
            return f"No event has an id in {part.text}; ids run from %{ids.min()} to %{ids.max()}."
        return f"There is no event in {shown_part(part)}."

    def _unknown(self, name: str, rest: list[Part]) -> str:
        """That no region or lane has a name, and what there is instead."""
        trees = list(_trees(self.module))
        named = any(len(called(tree, name, whole=whole)) for tree in trees for whole in (True, False))
        if named:
            return f"The region {shown(name)} has no events{_inside(rest)}."
        what = f"There is no region or lane {shown(name)}"
        names = [tree.strings[code] for tree in trees for code in np.unique(tree.regions["name"]).tolist()]
        near = nearest(name, [*names, *(lane.name for lane in self.module.lanes)])
        if names:
            return f"{what}{near or f'; regions are called as {shown(names[0])} is'}."
        if trees:
            return f"{what}, and no regions at all: the passes that ran found none{near}."
        return f"{what}{near}, and no regions at all, since no pass that makes them has run{self._makers()}."

    def _makers(self) -> str:
        """Which passes make regions: the end of a sentence."""
        registry = self.registry or Registry.installed()
        names = []
        for name, entry in registry.all("passes"):
            try:
                cls = entry.load()
            except UsageError:  # somebody's broken plug-in is no reason not to name the others
                continue
            # A pass that needs regions itself makes them of those that another one makes.
            needs = any(column.startswith("tree.") for column in (*cls.reads, *cls.uses))
            if not needs and any(annotation.word == "tree" for annotation in cls.writes):
                names.append(name)
        return f"; run {' or '.join(names)} before" if names else ", and none that is installed does"


def shown_part(part: Part) -> str:
    """A part of a window for a message."""
    return shown(part.says.text) if isinstance(part.says, Name) else part.text


def _inside(rest: list[Part]) -> str:
    return "".join(f" in {part.text}" for part in rest)


def _intersecting(module: Module, times: Times) -> Mask:
    """Events that share an instant with `[low, high)`; an event without duration is at its instant."""
    high = max(times.high, times.low + 1)
    ts = module["ts"]
    before = ts < high if high < 1 << 63 else np.ones(len(ts), bool)
    return np.asarray(before & ((module.end > times.low) | (ts >= times.low)))


def _first_rows(tree: Tree, within: Mask) -> list[int]:
    """For each region the first row in `within` of its own and its descendants' events; the number of rows if none."""
    rows = np.flatnonzero(within & (tree.leaf >= 0))[::-1]
    own = np.full(len(tree), len(tree.leaf), np.int64)
    own[tree.leaf[rows]] = rows  # of several the last written stands, which is the first row
    first: list[int] = own.tolist()
    parents = tree.parent.tolist()
    for region in reversed(range(len(first))):
        if parents[region] >= 0:
            first[parents[region]] = min(first[parents[region]], first[region])
    return first
