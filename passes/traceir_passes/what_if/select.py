"""Selectors: the events that a word of an edit means."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import Final

import numpy as np

from traceir.errors import UsageError
from traceir.ir import Mask, Module
from traceir_passes.what_if.grammar import Word

KINDS: Final = ("class", "coll", "role", "label", "lane", "name")
"""Where a word is looked for, in this order; `role:norm` looks in one of them alone."""
_COLUMNS: Final = {"class": "infer.class", "coll": "coll.kind", "role": "infer.role", "label": "group.label"}
HOST: Final = ("host", "call")
"""Words for all host code between calls, and for all runtime calls."""


def select(module: Module, word: Word, edits: str) -> Mask:
    """The live events that a word means; UsageError, naming what there is, if it means none.

    `%12` is an id; else the first of `KINDS` that knows the word decides. Roles, classes, kinds and labels are of
    device work; a name is that of any event. O(events).
    """
    if word.text.startswith("%") and word.text[1:].isdigit() and not word.quoted:
        try:
            row = module.row_of(int(word.text[1:]))
        except KeyError:
            raise _nothing(word, edits, "the trace has no such event") from None
        return np.asarray(np.arange(len(module)) == row)
    prefix, _, rest = word.text.partition(":")
    places: tuple[str, ...] = ("name",) if word.quoted else KINDS
    text = word.text
    if not word.quoted and prefix in KINDS and rest:
        places, text = (prefix,), rest
    for place in places:
        found = _in(module, place, text)
        if found.any():
            return found
    known = sorted({name for place in KINDS[:-2] for name in _known(module, place)})
    close = difflib.get_close_matches(text, known, 3)
    said = f"did you mean {' or '.join(close)}" if close else f"there are {', '.join(known) or 'no roles'}"
    raise _nothing(word, edits, said)


def _nothing(word: Word, edits: str, said: str) -> UsageError:
    return UsageError(f"The edit {edits!r} of what-if means no event by {word.text!r} at column {word.column}; {said}.")


def _in(module: Module, place: str, text: str) -> Mask:
    if place == "name":
        return module.live & module.strings.is_in(module["name"], [text])
    if place == "lane":
        lanes = np.array([lane.name == text for lane in module.lanes] + [False])
        return np.asarray(module.live & lanes[module["lane"]])
    column = _COLUMNS[place]
    if column not in module or module.domain(column) != "event":
        return np.zeros(len(module), bool)
    # Roles are spelled with hyphens, kinds of collectives with underscores; either spelling means both.
    return np.asarray(module.work & module.is_in(column, {text, text.replace("_", "-"), text.replace("-", "_")}))


def _known(module: Module, place: str) -> Iterator[str]:
    """The words that device work is known by."""
    column = _COLUMNS[place]
    if column not in module or module.domain(column) != "event":
        return
    codes = np.array(sorted(set(module[column][module.work].tolist())))
    written = module.annotations.get(column)
    values = written.annotation.values if written is not None and written.annotation.dtype == "enum" else None
    for code in codes[codes >= 0].tolist():
        yield values[code] if values is not None else module.strings[code]
