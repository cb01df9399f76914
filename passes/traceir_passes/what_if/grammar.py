"""The text of edits: `speed gemm 2; drop sync`, parsed with exact places for what is wrong."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

import attrs

from traceir.errors import UsageError

FORMS: Final = {
    "speed": "speed WHAT FACTOR",
    "scale": "scale WHAT FACTOR",
    "drop": "drop WHAT, drop gaps [WHAT], or drop sync [CALL]",
    "remove": "remove launch-gaps",
    "move": "move WHAT before WHAT, or move WHAT past NUMBER",
    "split": "split WHAT before WHAT, or split WHAT past NUMBER",
    "fuse": "fuse WHAT WHAT … [saving SHARE]",
    "bandwidth": "bandwidth GROUP FACTOR",
}
"""The edits by their first word."""
_TOKEN: Final = re.compile(r"\s*(;|'[^']*'|[^\s;']+)")
_NUMBER: Final = re.compile(r"(\d+(?:\.\d+)?|\.\d+)(%|x|×)?\Z")


@attrs.frozen
class Word:
    """One word of an edit, and the column at which it stands, from 1; `quoted` names mean names of events only."""

    text: str
    column: int
    quoted: bool = False


@attrs.frozen
class Edit:
    """One edit: its first word, what it is applied to, and its numbers; `text` is as it was written.

    `verb` is its first word, of drop with `sync` or `gaps`
    behind it. `what` are selectors; of `move` and `split` the first is what is moved, and the second, if any, its
    first reader.
    `past` is the number of events that need not wait for it. `factor` is what durations are multiplied by, `saving`
    the share of the fused durations that vanishes.
    """

    verb: str
    text: str
    what: tuple[Word, ...] = ()
    factor: float = 1.0
    past: int | None = None
    saving: float = 0.0


def parse(text: str) -> tuple[Edit, ...]:
    """The edits of a text; UsageError, with the column, for what is none."""
    out: list[list[Word]] = []
    words: list[Word] = []
    at = 0
    while at < len(text.rstrip()):
        found = _TOKEN.match(text, at)
        if found is None:
            raise _error(text, len(text) - len(text[at:].lstrip()) + 1, "a quote is opened and never closed")
        at = found.end()
        token = found[1]
        if token == ";":
            out.append(words)
            words = []
        else:
            quoted = token.startswith("'")
            words.append(Word(token.strip("'") if quoted else token, found.start(1) + 1, quoted))
    out.append(words)
    return tuple(_edit(text, part) for part in out if part)


def _error(text: str, column: int, said: str) -> UsageError:
    return UsageError(f"The edit {text!r} of what-if is wrong at column {column}: {said}.")


@attrs.define
class _Reader:
    """The words of one edit, read one after the other."""

    text: str
    words: list[Word]
    at: int = 0

    def next(self, wanted: str) -> Word:
        """The next word; an error that says what is `wanted` if there is none."""
        if self.at >= len(self.words):
            last = self.words[-1]
            end = last.column + len(last.text) + 2 * last.quoted
            raise _error(self.text, end, f"{wanted} is missing; write {FORMS[self.words[0].text]}")
        self.at += 1
        return self.words[self.at - 1]

    def rest(self) -> list[Word]:
        """The words that are left."""
        return self.words[self.at :]

    def number(self, wanted: str, least: float) -> float:
        """The next word as a number: `2`, `2x`, `50%`."""
        word = self.next(wanted)
        found = _NUMBER.match(word.text)
        if found is None:
            raise _error(self.text, word.column, f"{word.text!r} is no {wanted.split(' ', 1)[1]}; write 2, 1.5 or 50%")
        value = float(found[1]) / (100 if found[2] == "%" else 1)
        if value < least or (least == 0 and value < 0):
            raise _error(self.text, word.column, f"{word.text!r} has to be above 0")
        return value

    def end(self) -> None:
        """Nothing may be left."""
        if self.at < len(self.words):
            word = self.words[self.at]
            form = FORMS[self.words[0].text]
            raise _error(self.text, word.column, f"{word.text!r} is too much; write {form}, and ; between edits")


def _edit(text: str, words: list[Word]) -> Edit:
    verb = words[0]
    if verb.text not in FORMS or verb.quoted:
        raise _error(text, verb.column, f"{verb.text!r} is no edit; there are {', '.join(FORMS)}")
    reader = _Reader(text, words, 1)
    last = words[-1]
    written = text[verb.column - 1 : last.column - 1 + len(last.text) + 2 * last.quoted]
    edit = _READ[verb.text](reader, written)
    reader.end()
    return edit


def _speed(reader: _Reader, written: str) -> Edit:
    what = reader.next("what to speed up")
    return Edit("scale", written, (what,), 1 / reader.number("a factor", 1e-6))


def _scale(reader: _Reader, written: str) -> Edit:
    return Edit("scale", written, (reader.next("what to scale"),), reader.number("a factor", 0))


def _drop(reader: _Reader, written: str) -> Edit:
    word = reader.next("what to drop")
    if word.quoted or word.text not in ("sync", "gaps"):
        return Edit("drop", written, (word,))
    return Edit(f"drop {word.text}", written, (reader.next("a call or work"),) if reader.rest() else ())


def _remove(reader: _Reader, written: str) -> Edit:
    word = reader.next("the word launch-gaps")
    if word.text != "launch-gaps":
        raise _error(reader.text, word.column, f"{word.text!r} cannot be removed; write {FORMS['remove']}")
    return Edit("remove", written)


def _moved(verb: str) -> Callable[[_Reader, str], Edit]:
    def read(reader: _Reader, written: str) -> Edit:
        what = reader.next(f"what to {verb}")
        until = reader.next("before or past")
        if until.text == "before":
            return Edit(verb, written, (what, reader.next("what reads it")))
        if until.text != "past":
            raise _error(reader.text, until.column, f"{until.text!r} is neither before nor past; write {FORMS[verb]}")
        word = reader.next("a number")
        if not word.text.isdigit() or int(word.text) < 1:
            raise _error(reader.text, word.column, f"{word.text!r} is no number of events of 1 or more")
        return Edit(verb, written, (what,), past=int(word.text))

    return read


def _fuse(reader: _Reader, written: str) -> Edit:
    what = [reader.next("what to fuse"), reader.next("what to fuse it with")]
    saving = 0.0
    while reader.rest():
        word = reader.next("what to fuse")
        if word.text == "saving" and not word.quoted:
            saving = reader.number("a share", 0)
            if saving > 1:
                raise _error(reader.text, reader.words[reader.at - 1].column, "no more than 100% can be saved")
            break
        what.append(word)
    return Edit("fuse", written, tuple(what), saving=saving)


def _bandwidth(reader: _Reader, written: str) -> Edit:
    group = reader.next("a group")
    return Edit("bandwidth", written, (group,), 1 / reader.number("a factor", 1e-6))


_READ: Final[dict[str, Callable[[_Reader, str], Edit]]] = {
    "speed": _speed, "scale": _scale, "drop": _drop, "remove": _remove, "move": _moved("move"),
    "split": _moved("split"), "fuse": _fuse, "bandwidth": _bandwidth,
}  # fmt: skip
