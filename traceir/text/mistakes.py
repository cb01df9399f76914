"""What is wrong with a text, said by example: each common mistake has one, and errors like it get its sentence."""

from __future__ import annotations

import functools
import re
import tomllib
from importlib import resources
from typing import TYPE_CHECKING, Any, Final

from traceir.text.errors import MistakeError

if TYPE_CHECKING:
    from lark import Lark
    from lark.exceptions import UnexpectedInput

_EVENT: Final = '%1 = dev.kernel("k") @gpu0.s7 [0 +1]'
_HEAD: Final = '#[traceir "1"] module @m {'

_WORDS: Final = {
    "SEMICOLON": ";", "LBRACE": "{", "RBRACE": "}", "COMMA": ",", "EQUAL": "=", "COLON": ":", "LSQB": "[",
    "RSQB": "]", "LPAR": "(", "RPAR": ")", "MORETHAN": ">", "LESSTHAN": "<", "__ANON_0": "<-", "NAME": "a name",
    "STRING": "a text in quotes", "ID": "an id such as %4", "SYMBOL": "a name with @", "NUMBER": "a number",
    "EVENT": "an event", "ROWS": "rows in braces", "TIME": "a time", "LENGTH": "a length such as +20",
    "VERSION": '#[traceir "1"]', "PIPELINE": "a pass", "QUANTITY": "a time with its unit",
    "COLLECTIVE": "a collective", "META": "meta",
}  # fmt: skip
_STATEMENT_END: Final = re.compile(r"[;\n]|\Z")


def explain(text: str, error: UnexpectedInput, start: str, lark: Lark) -> tuple[str, int]:
    """A sentence about an error of the grammar, and the offset it stands at."""
    at = _offset(text, error)
    if at >= len(text.rstrip()):
        return _at_end(text, start), len(text.rstrip())
    odd = text[at]
    if odd == '"':
        return "The text in quotes does not end on its line.", at
    if start == "module" and odd == "%":
        found = _inside(text, at, lark)
        if found is not None:
            return found
    labels = _labels(lark, start)
    label = labels.get((_state(error), _token(error))) or labels.get((_state(error), ""))
    if label is None and odd in "<>$?!^&*'`~":
        label = f"The character {odd} has no meaning here."
    return label or _expected(error), at


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
def _labels(lark: Lark, start: str) -> dict[tuple[Any, str], str]:
    """The sentences by the parser's state and the kind of token that it stopped at."""
    from lark.exceptions import UnexpectedInput

    out: dict[tuple[Any, str], str] = {}
    for mistake in tomllib.loads(resources.files("traceir.text").joinpath("mistakes.toml").read_text("utf-8"))[start]:
        for example in mistake["like"]:
            try:
                lark.parse(example.replace("{event}", _EVENT).replace("{head}", _HEAD), start=start)
            except UnexpectedInput as error:
                out.setdefault((_state(error), _token(error)), mistake["says"])
    states: dict[Any, set[str]] = {}
    for (state, _), label in out.items():
        states.setdefault(state, set()).add(label)
    # Where all examples of a state say the same, whatever else stands there gets the same sentence.
    return out | {(state, ""): min(said) for state, said in states.items() if len(said) == 1}


def _state(error: UnexpectedInput) -> Any:
    """The state of the parser, whatever lies below it on its stack."""
    state = getattr(error, "state", None)
    return getattr(state, "position", state)


def _token(error: UnexpectedInput) -> str:
    token = getattr(error, "token", None)
    return token.type if token is not None else str(getattr(error, "char", ""))


def _expected(error: UnexpectedInput) -> str:
    names = getattr(error, "accepts", None) or getattr(error, "expected", None) or getattr(error, "allowed", None) or ()
    words = sorted({_WORDS.get(name, name.lower()) for name in names if name != "$END"})
    if not words:
        return "This is not expected here."
    return f"Expected {' or '.join((', '.join(words[:-1]), words[-1])) if len(words) > 1 else words[0]} here."
