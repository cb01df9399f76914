"""What is wrong with a text, said by example: each common mistake has one, and errors like it get its sentence."""

from __future__ import annotations

import functools
import re
import tomllib
from collections.abc import Mapping
from importlib import resources
from typing import TYPE_CHECKING, Final

from traceir.text.errors import MistakeError

if TYPE_CHECKING:
    from lark import Lark
    from lark.exceptions import UnexpectedInput

_EVENT: Final = '%1 = dev.kernel("k") @gpu0.s7 [0 +1]'
_HEAD: Final = '#[traceir "1"] module @m {'

_WORDS: Final = {
    "SEMICOLON": ";", "LBRACE": "{", "RBRACE": "}", "COMMA": ",", "EQUAL": "=", "COLON": ":", "LSQB": "[",
    "RSQB": "]", "LPAR": "(", "RPAR": ")", "MORETHAN": ">", "LESSTHAN": "<", "__ANON_0": "<-", "__ANON_1": "..",
    "NAME": "a name",
    "STRING": "a text in quotes", "ID": "an id such as %4", "SYMBOL": "a name with @", "NUMBER": "a number",
    "EVENT": "an event", "ROWS": "rows in braces", "TIME": "a time", "LENGTH": "a length such as +20",
    "VERSION": '#[traceir "1"]', "PIPELINE": "a pass", "QUANTITY": "a time with its unit",
    "COLLECTIVE": "a collective", "META": "meta",
}  # fmt: skip
Key = tuple[tuple[int, ...], str]
"""States of the parser, and the kind of token that does not fit."""
_STRING: Final = re.compile(r'"[^"\\\n]*(?:\\.[^"\\\n]*)*"')
_META: Final = re.compile(r"meta\s")
_COLUMNS: Final = re.compile(r"\[[\w.\s-]*\]\s*\Z")
_LONGEST: Final = 10_000
"""How far back the columns of a block are looked for."""
_STATEMENT_END: Final = re.compile(r"[;\n]|\Z")


def explain(text: str, error: UnexpectedInput, start: str, lark: Lark) -> tuple[str, int]:
    """A sentence about an error of the grammar, and the offset it stands at."""
    at = _offset(text, error)
    if at >= len(text.rstrip()):
        return _at_end(text, start), len(text.rstrip())
    odd = text[at]
    if odd == '"' and not _STRING.match(text, at):
        return "The text in quotes does not end on its line.", at
    if start == "module" and odd == "%" and "EVENT" in (getattr(error, "expected", None) or ()):
        found = _inside(text, at, lark)
        if found is not None:
            return found
    label = _unfinished(text, at) or _label(_labels(lark, start), error)
    if label is None and odd in "<>$?!^&*'`~#|\\":
        label = f"The character {odd} has no meaning here."
    return label or _expected(error), at


def _unfinished(text: str, at: int) -> str | None:
    """A sentence for an item whose beginning is sound, and whose end is missing."""
    if _META.match(text, at) and text[:at].rstrip()[-1:] in ("{", "}", ";"):
        return 'Metadata is written as meta key = {"member": 1};'
    if text[at] == "{" and _COLUMNS.search(text, max(0, at - _LONGEST), at):
        return "The rows of the block do not end: a closing } is missing."
    return None


def _offset(text: str, error: UnexpectedInput) -> int:
    position = error.pos_in_stream
    if _token(error) == "$END":
        return len(text)
    return len(text) if position is None or position < 0 else min(position, len(text))


def _at_end(text: str, start: str) -> str:
    if start == "event":
        return "Expected ; at the end of the event."
    if "module" not in text:
        return 'The text holds no module; it begins with #[traceir "1"] and module @name {.'
    return "The text ends in the middle: a closing } or ; is missing."


def _inside(text: str, at: int, lark: Lark) -> tuple[str, int] | None:
    """What is wrong with a statement that did not even end; None if it is sound up to the end of its line."""
    from lark.exceptions import UnexpectedInput

    end = _STATEMENT_END.search(text, at)
    assert end is not None
    line = text[at : end.end() if end.group() == ";" else end.start()]
    try:
        lark.parse(line, start="event")
    except UnexpectedInput as error:
        message, where = explain(line, error, "event", lark)
        return message, at + where
    except MistakeError as mistake:
        return mistake.message, at + mistake.at
    return None


@functools.cache
def _labels(lark: Lark, start: str) -> dict[Key, str]:
    """The sentences by the parser's states, the last two and the last, and the kind of token that it stopped at."""
    from lark.exceptions import UnexpectedInput

    out: dict[Key, str] = {}
    for mistake in tomllib.loads(resources.files("traceir.text").joinpath("mistakes.toml").read_text("utf-8"))[start]:
        for example in mistake["like"]:
            try:
                lark.parse(example.replace("{event}", _EVENT).replace("{head}", _HEAD), start=start)
            except UnexpectedInput as error:
                for states in _states(error):
                    out.setdefault((states, _token(error)), mistake["says"])
    said: dict[tuple[int, ...], set[str]] = {}
    for (states, _), label in out.items():
        said.setdefault(states, set()).add(label)
    # Where all examples of a state say the same, whatever else stands there gets the same sentence.
    return out | {(states, ""): min(labels) for states, labels in said.items() if len(labels) == 1}


def _label(labels: Mapping[Key, str], error: UnexpectedInput) -> str | None:
    keys = [(states, token) for states in _states(error) for token in (_token(error), "")]
    return next((labels[key] for key in keys if key in labels), None)


def _states(error: UnexpectedInput) -> list[tuple[int, ...]]:
    """The last two states on the parser's stack, and the last: a state alone may be that of several rules."""
    stack = getattr(getattr(error, "state", None), "state_stack", ())
    return [tuple(stack[-2:]), tuple(stack[-1:])]


def _token(error: UnexpectedInput) -> str:
    token = getattr(error, "token", None)
    return token.type if token is not None else str(getattr(error, "char", ""))


def _expected(error: UnexpectedInput) -> str:
    names = getattr(error, "accepts", None) or getattr(error, "expected", None) or getattr(error, "allowed", None) or ()
    words = sorted({_WORDS.get(name, name.lower()) for name in names if name != "$END"})
    if not words:
        return "This is not expected here."
    # Signs stand apart by blanks: among commas a comma could not be seen.
    return f"Expected {'  '.join(words[:-1])} or {words[-1]} here." if len(words) > 1 else f"Expected {words[0]} here."
