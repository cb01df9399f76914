"""Statements read by the line: one regular expression for what printers write, the grammar for everything else."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any, Final

from traceir.text.draft import Clause, Pair, Quantity, Range, Ref, Statement, Symbol, Word
from traceir.text.words import DEPTH, decimal, id_value, name_text, symbol_text, unquote

_STRING: Final = r'"[^"\\\n]*(?:\\.[^"\\\n]*)*"'
_ID: Final = r"%(?:\d+:)?\d+"
_GAP: Final = r"[ \t\r\n]*"
_SPACE: Final = r"[ \t\r\n]+"
_HEAD: Final = re.compile(
    rf"({_ID}){_GAP}={_GAP}(?:coll\.(\w+){_SPACE}of{_SPACE})?([A-Za-z_][A-Za-z0-9_.-]*|{_STRING})\(({_STRING})\){_GAP}"
    rf"(@(?:[A-Za-z0-9_][A-Za-z0-9_.-]*|{_STRING})){_GAP}\[(-?\d+){_SPACE}\+(-?\d+)\]{_GAP}",
    re.A,
)
_RANGES: Final = rf"{_ID}(?:\.\.{_ID})?(?:{_GAP},{_GAP}{_ID}(?:\.\.{_ID})?)*"
_CLAUSE: Final = re.compile(
    rf"(?:(<-|after|in|enqueue|flow|peer|to{_SPACE}([A-Za-z_]\w*)){_GAP}({_RANGES})|(dead)\b){_GAP}", re.A
)
_RANGE: Final = re.compile(rf"({_ID})(?:\.\.({_ID}))?", re.A)
_ONE: Final = re.compile(rf"{_ID}\Z", re.A)
_KEY: Final = re.compile(rf"{_GAP}([A-Za-z_][A-Za-z0-9_.-]*|{_STRING}){_GAP}={_GAP}", re.A)
_SCALAR: Final = re.compile(
    rf"({_STRING})|([+-]?\d+)(?![\w.µ])|(-inf|-Infinity|[+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)(?![\w.µ])"
    rf"|([+-]?\d+(?:\.\d+)?(?:ns|us|µs|ms|s))(?![\w.])|([A-Za-z_][A-Za-z0-9_.-]*)|({_ID})"
    rf"|(@(?:[A-Za-z0-9_][A-Za-z0-9_.-]*|{_STRING}))",
    re.A,
)
_NEXT: Final = re.compile(rf"{_GAP}(,|\}}){_GAP}")
_json: Final = json.JSONDecoder(parse_float=decimal).raw_decode

RELATIONS: Final = {
    "<-": "launch",
    "after": "sync",
    "in": "parent",
    "enqueue": "enqueue",
    "flow": "flow",
    "peer": "peer",
}
LEAST: Final = -(1 << 63)
LARGEST: Final = (1 << 63) - 1

Slow = Callable[[str, int], Statement]
"""Reads a statement by the grammar: slower, and with an error that says what is wrong."""


def read_statement(text: str, at: int, slow: Slow) -> Statement:
    """The statement in `text`, which stands at the offset `at` of its file. O(length)."""
    try:
        return _read(text, at) or slow(text, at)
    except (ValueError, IndexError, RecursionError):
        return slow(text, at)


def _read(text: str, at: int) -> Statement | None:
    """The statement, or None if it is spelled in a way that is not the printers'."""
    head = _HEAD.match(text)
    if head is None:
        return None
    id, collective, kind, name, lane, ts, dur = head.groups()
    here = head.end()
    clauses: list[Clause] = []
    dead = False
    while (found := _CLAUSE.match(text, here)) is not None:
        word, kind_of_edge, ids, is_dead = found.groups()
        here = found.end()
        if is_dead:
            dead = True
        else:
            relation = kind_of_edge or RELATIONS[word]
            if word == "in" and _ONE.match(ids) is None:
                return None
            clauses.append(Clause(relation, kind_of_edge is not None, _ranges(ids, at + found.start(3))))
    pairs: list[Pair] = []
    if text[here] == "{":
        here = _read_pairs(text, here + 1, at, pairs)
    if text[here:] != ";" or not _sound(ts, dur, clauses):
        return None
    return Statement(
        id_value(id), name_text(kind), kind[0] == '"', unquote(name), symbol_text(lane), int(ts), int(dur),
        collective, clauses, pairs, dead, at, text,
    )  # fmt: skip


def _sound(ts: str, dur: str, clauses: list[Clause]) -> bool:
    """Whether times are in range and no clause is odd; what is not is left to the grammar, which says why."""
    if sum(clause.relation == "parent" for clause in clauses) > 1:
        return False
    if any(clause.relation == "parent" and clause.outgoing for clause in clauses):
        return False
    return (len(ts) < 19 and len(dur) < 19) or in_range(int(ts), int(dur))


def in_range(ts: int, dur: int) -> bool:
    """Whether a start, a length and their sum are 64-bit integers."""
    return all(LEAST <= number <= LARGEST for number in (ts, dur, ts + dur))


def _ranges(text: str, at: int) -> tuple[Range, ...]:
    out = []
    for found in _RANGE.finditer(text):
        first = id_value(found.group(1))
        last = id_value(found.group(2)) if found.group(2) else first
        if last < first:
            raise ValueError("backwards")
        out.append((first, last, at + found.start()))
    return tuple(out)


def _read_pairs(text: str, here: int, at: int, pairs: list[Pair]) -> int:
    """Read attributes from behind their brace on; returns where what follows them begins."""
    seen: set[tuple[str, bool]] = set()
    while True:
        key = _KEY.match(text, here)
        if key is None:
            raise ValueError("key")
        token = key.group(1)
        value, here = _read_value(text, key.end())
        pair = Pair(name_text(token), token[0] == '"', value, at + key.start(1))
        if (pair.key, pair.dotted) in seen:
            raise ValueError("twice")
        seen.add((pair.key, pair.dotted))
        pairs.append(pair)
        behind = _NEXT.match(text, here)
        if behind is None:
            raise ValueError("pair")
        here = behind.end()
        if behind.group(1) == "}":
            return here


def _read_value(text: str, here: int) -> tuple[Any, int]:
    if text[here] in "[{":
        value, end = _json(text, here)
        if text.count("[", here, end) + text.count("{", here, end) > DEPTH:
            raise ValueError("perhaps too deep")
        return value, end
    found = _SCALAR.match(text, here)
    if found is None:
        raise ValueError("value")
    string, whole, number, quantity, word, id, symbol = found.groups()
    end = found.end()
    if string is not None:
        return unquote(string), end
    if whole is not None:
        return int(whole), end
    if number is not None:
        return decimal(number), end
    if quantity is not None:
        return Quantity(quantity), end
    if word is not None:
        return Word(word), end
    return (Ref(id_value(id)) if id is not None else Symbol(symbol_text(symbol))), end
