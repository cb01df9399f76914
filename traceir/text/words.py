"""Words of the text form: strings, symbols and ids, written and read."""

from __future__ import annotations

import json
import math
import re
from typing import Any, Final

BARE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*\Z")
"""What stands without quotes as a name."""
_SYMBOL: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*\Z")
_ESCAPED: Final = re.compile(
    r"\\(?:u\{([0-9A-Fa-f]{1,6})\}|u([dD][89aAbB][0-9A-Fa-f]{2})\\u([dD][c-fC-F][0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4})|(.))",
    re.S,
)
_LETTERS: Final = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", '"': '"', "\\": "\\", "/": "/"}
_SIGNS: Final = {"\n": "\\n", "\t": "\\t", "\r": "\\r", '"': '\\"', "\\": "\\\\"}

DEPTH: Final = 64
"""How deep lists and objects may nest in a value: more than any profiler's arguments do."""
INPUT_BITS: Final = 48
"""An id's bits from here on are the number of the input it is from; `%1:7` is event 7 of the second input."""
INPUTS: Final = 1 << (63 - INPUT_BITS)


def decimal(text: str) -> float:
    """The number of a token; one beyond the range of floats is a ValueError, unless it is `inf`."""
    number = float(text)
    if math.isinf(number) and not text.endswith(("inf", "Infinity")):
        raise ValueError(f"The number {text[:30]} is out of range.")
    return number


def quote(text: str) -> str:
    """A text in double quotes, on one line: what cannot be printed is `\\n`, `\\t`, `\\r` or `\\u{…}`. O(length)."""
    if text.isprintable() and '"' not in text and "\\" not in text:
        return f'"{text}"'
    return '"' + "".join(map(_sign, text)) + '"'


def _sign(char: str) -> str:
    return _SIGNS.get(char) or (char if char.isprintable() else f"\\u{{{ord(char):x}}}")


def unquote(token: str) -> str:
    """The text of a quoted token. JSON's escapes are read too; any other is a ValueError that names it."""
    inner = token[1:-1]
    return _ESCAPED.sub(_char, inner) if "\\" in inner else inner


def _char(found: re.Match[str]) -> str:
    code, high, low, unit, letter = found.groups()
    if letter is not None:
        if letter not in _LETTERS:
            raise ValueError(f"There is no escape {found.group()!s} in strings.")
        return _LETTERS[letter]
    if high is not None:
        return chr(0x10000 + ((int(high, 16) - 0xD800) << 10) + (int(low, 16) - 0xDC00))
    point = int(code or unit, 16)
    if point > 0x10FFFF:
        raise ValueError(f"The escape {found.group()} is beyond the last character, \\u{{10ffff}}.")
    return chr(point)


def word(text: str) -> str:
    """A name: bare where it can be, else in quotes."""
    return text if BARE.match(text) else quote(text)


def symbol(text: str) -> str:
    """The name of a lane, region or module, with its sigil."""
    return "@" + (text if _SYMBOL.match(text) else quote(text))


def symbol_text(token: str) -> str:
    """The name that a symbol stands for."""
    return unquote(token[1:]) if token[1] == '"' else token[1:]


def name_text(token: str) -> str:
    """The name that a bare or quoted token stands for."""
    return unquote(token) if token[0] == '"' else token


def id_text(id: int) -> str:
    """An event's id as people write it: `%8812`, or `%1:8812` if it is from the second input."""
    return f"%{id}" if id < 1 << INPUT_BITS else f"%{id >> INPUT_BITS}:{id & ((1 << INPUT_BITS) - 1)}"


def id_value(token: str) -> int:
    """The id that a token stands for; ValueError if it is out of range."""
    head, colon, tail = token[1:].partition(":")
    number, source = (int(tail), int(head)) if colon else (int(head), 0)
    if source >= INPUTS or number >= (1 << INPUT_BITS if colon else 1 << 63):
        raise ValueError(f"The id {token} is out of range.")
    return (source << INPUT_BITS) | number


def bounded(value: Any, depth: int = DEPTH) -> Any:
    """A value in which lists and objects nest at most so deep: what lies deeper is a text, its JSON."""
    if not isinstance(value, dict | list | tuple):
        return value
    if depth == 0:
        try:
            return json.dumps(value, ensure_ascii=False)
        except RecursionError:
            return "nested too deep"
    if isinstance(value, dict):
        return {key: bounded(item, depth - 1) for key, item in value.items()}
    return [bounded(item, depth - 1) for item in value]


def json_text(value: Any) -> str:
    """A value as JSON on one line, readable where it can be printed; texts and lists of texts as names are quoted.

    Lists and objects that nest deeper than texts may hold are `bounded`.
    """
    value = bounded(value)
    if isinstance(value, str):
        return quote(value)
    if isinstance(value, list) and value and all(isinstance(item, str) for item in value):
        return f"[{', '.join(map(quote, value))}]"
    text = json.dumps(value, ensure_ascii=False)
    return text if text.isprintable() else json.dumps(value)
