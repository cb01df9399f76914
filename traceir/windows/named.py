"""Events and places by the words that people use for them, and the sentences for words that fit nothing."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final

import numpy as np

from traceir.errors import UsageError
from traceir.ir import Module, Rows, Tree
from traceir.ir.window import extern_ids
from traceir.text.words import id_text, quote

_BARE: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*\Z")
_COMPARED, _OFFERED, _LONGEST = 20_000, 5, 80
"""How many names an unknown one is compared with, how many of them are offered, and the longest worth offering."""


def row_of(module: Module, id: int) -> int:
    """The row of an event; a UsageError says which ids there are if the module does not have it. O(1) when repeated."""
    ids = module["id"]
    known = len(ids) > 0 and int(ids.min()) <= id <= int(ids.max())
    if known:
        try:
            return module.row_of(id)
        except KeyError:
            pass
    raise UsageError(f"There is no event {id_text(id)} here{_instead(module, id)}")


def _instead(module: Module, id: int) -> str:
    """Why an id is not there: the end of a sentence."""
    if (extern_ids(module) == id).any():
        return ": it lies outside the window that the module is, which only refers to it."
    ids = np.sort(module["id"])
    if not len(ids):
        return ", and none at all."
    at = int(np.searchsorted(ids, id)) if id <= int(ids[-1]) else len(ids)
    near = [id_text(int(one)) for one in ids[max(at - 1, 0) : at + 1]]
    return f"; ids run from {id_text(int(ids[0]))} to {id_text(int(ids[-1]))}, the nearest is {' or '.join(near)}."


def region_row(module: Module, tree: Tree, name: str) -> int:
    """The region of one tree by its name, else by whole dotted parts at its end; of several the first in the table.

    UsageError, with the nearest names, if the tree has none. O(regions).
    """
    for whole in (True, False):
        found = called(tree, name, whole=whole)
        if len(found):
            return int(found[0])
    names = [module.strings[code] for code in np.unique(tree.regions["name"]).tolist()]
    raise UsageError(f"The tree {tree.name} has no region {shown(name)}{nearest(name, names)}.")


def lane_row(module: Module, name: str) -> int:
    """The position of the lane with this name; UsageError, with the nearest names, if there is none."""
    names = [lane.name for lane in module.lanes]
    if name in names:
        return names.index(name)
    raise UsageError(f"There is no lane {shown(name)}{nearest(name, names)}.")


def called(tree: Tree, name: str, *, whole: bool) -> Rows:
    """The regions whose name is `name`, or (not `whole`) ends in it after a dot."""
    used = np.unique(tree.regions["name"])
    texts = [tree.strings[code] for code in used.tolist()]
    fits = np.array([text == name if whole else text.endswith(f".{name}") for text in texts], bool)
    return np.flatnonzero(np.isin(tree.regions["name"], used[fits])).astype(np.int32)


def spelled(name: str) -> str:
    """A region's or lane's name as a window names it: bare where it can be, else in quotes."""
    return name if _BARE.match(name) and ".." not in name else quote(name)


def shown(text: str) -> str:
    """A text for a message: on one line, in quotes where it needs them, shortened where it is very long."""
    text = spelled(text)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def nearest(name: str, known: Iterable[str]) -> str:
    """`; did you mean …?`-like words for a name that is not among `known`, at most a handful; empty if none is near.

    Of a dotted name its ends count too: `layer.33` is near `stack.0.layer.32`.
    """
    short = (text for text in known if len(text) <= _LONGEST)
    ends = dict.fromkeys(islice((end for text in short for end in _ends(text)), _COMPARED))
    close = difflib.get_close_matches(name[:_LONGEST], list(ends), _OFFERED, 0.6)
    return f"; did you mean {_either([shown(text) for text in close])}" if close else ""


def _ends(name: str) -> Iterator[str]:
    yield name
    parts = name.split(".")
    for at in range(1, len(parts) - 1):
        if not parts[at].isdigit():
            yield ".".join(parts[at:])


def _either(texts: list[str]) -> str:
    return f"{', '.join(texts[:-1])} or {texts[-1]}" if len(texts) > 1 else texts[0]
