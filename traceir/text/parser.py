"""From text to a draft: lark reads the structure, statements and rows are read by the line."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Sequence
from importlib import resources
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

import attrs

from traceir.errors import UsageError
from traceir.passing.options import duration
from traceir.text import draft
from traceir.text.errors import MistakeError
from traceir.text.statements import in_range, read_statement
from traceir.text.values import CONSTANTS
from traceir.text.words import DEPTH, decimal, id_value, name_text, symbol_text, unquote

if TYPE_CHECKING:
    from lark import Lark, Token

VERSION: Final = "1"
_META: Final = re.compile(r'meta\s+([A-Za-z_][A-Za-z0-9_.-]*|"[^"\\\n]*(?:\\.[^"\\\n]*)*")\s*=\s*', re.A)
_BRACKETS: Final = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[\[\]{}]', re.S)

T = TypeVar("T")


@attrs.frozen
class _Json:
    """A list or object of the grammar with its depth, which is bounded."""

    value: Any
    depth: int


def grammar() -> str:
    """The grammar's text, as the documents show it."""
    return resources.files("traceir.text").joinpath("tir.lark").read_text("utf-8")


@functools.cache
def _lark() -> Lark:
    from lark import Lark

    return Lark(
        grammar(), parser="lalr", lexer="contextual", start=["module", "event"], maybe_placeholders=False,
        transformer=cast(Any, _Builder()),
    )  # fmt: skip


def read_draft(text: str) -> draft.Draft:
    """What a text says, item by item; a MistakeError says where it cannot be read. O(length)."""
    found = _parse(text, "module", 0)
    assert isinstance(found, draft.Draft)
    return found


def read_event(text: str, at: int) -> draft.Statement:
    """A statement by the grammar of events: any spelling, and errors that say what was expected."""
    found: draft.Statement = attrs.evolve(_parse(text, "event", at), text=text)
    return found


def _parse(text: str, start: str, base: int) -> Any:
    """The draft or statement of a text that stands at the offset `base` of its file."""
    from lark.exceptions import UnexpectedInput

    from traceir.text.mistakes import explain

    try:
        found: Any = _lark().parse(text, start=start)
    except UnexpectedInput as error:
        message, at = explain(text, error, start, _lark())
        raise MistakeError(message, base + at) from None
    except MistakeError as mistake:
        raise MistakeError(mistake.message, base + mistake.at) from None
    except _TooDeepError as error:
        raise MistakeError(f"Lists and objects nest more than {DEPTH} deep here.", base + error.at) from None
    return _moved(found, base) if start == "event" else found


class _TooDeepError(Exception):
    def __init__(self, at: int) -> None:
        super().__init__(at)
        self.at = at


def _moved(item: draft.Statement, base: int) -> draft.Statement:
    """A statement whose offsets count from the beginning of the file."""
    clauses = [
        attrs.evolve(clause, ranges=tuple((low, high, at + base) for low, high, at in clause.ranges))
        for clause in item.clauses
    ]
    pairs = [attrs.evolve(pair, at=pair.at + base) for pair in item.pairs]
    return attrs.evolve(item, clauses=clauses, pairs=pairs, at=item.at + base)


def _at(token: Token) -> int:
    return token.start_pos or 0


def _text(token: Token, read: Callable[[str], T]) -> T:
    """What a token stands for; a bad escape or a number out of range is a mistake at the token."""
    return _checked(str(token), _at(token), read)


def _checked(text: str, at: int, read: Callable[[str], T]) -> T:
    try:
        return read(text)
    except ValueError as error:
        message = (
            str(error) if str(error).startswith(("The ", "There ")) else f"The number {text[:20]}… is out of range."
        )
        raise MistakeError(message, at) from None


class _Builder:
    """The callbacks of the grammar's rules, called as they are recognised, so that no tree is kept."""

    def module(self, parts: list[Any]) -> draft.Draft:
        version, name, *rest = parts
        written = str(version)[len('#[traceir "') : -2]
        if written != VERSION:
            raise MistakeError(
                f"The text is of version {written!r}, and this traceir reads version {VERSION!r}.", _at(version)
            )
        pairs = rest.pop(0) if rest and isinstance(rest[0], _Pairs) else _Pairs()
        return draft.Draft(_text(name, symbol_text), pairs, rest, _at(name))

    def lane(self, parts: list[Any]) -> draft.LaneItem:
        name, kind, *pairs = parts
        return draft.LaneItem(_text(name, symbol_text), _text(kind, name_text), _pairs(pairs), _at(name))

    def record(self, parts: list[Any]) -> draft.PassItem:
        label, text, *name = parts
        if name:
            return draft.PassItem(str(label), _text(name[0], unquote), _text(text, unquote), _at(label))
        return draft.PassItem(str(label), str(text).partition("{")[0], str(text), _at(label))

    def column(self, parts: list[Any]) -> draft.ColumnItem:
        name, domain, dtype, *rest = parts
        by = next((part.name for part in rest if isinstance(part, _By)), None)
        unit = next((_text(part, name_text) for part in rest if not isinstance(part, _By | _Pairs)), "")
        return draft.ColumnItem(str(name), domain.name, str(dtype), unit, by, _pairs(rest), _at(name))

    def domain(self, parts: list[Any]) -> _Of:
        return _Of(":".join(parts))

    def kinds(self, parts: list[Any]) -> draft.KindsItem:
        return draft.KindsItem([_text(part, name_text) for part in parts], _at(parts[0]) if parts else 0)

    def order(self, parts: list[Any]) -> draft.OrderItem:
        return draft.OrderItem(0)

    def extern(self, parts: list[Any]) -> draft.ExternItem:
        return draft.ExternItem(list(parts), parts[0][2] if parts else 0)

    def health(self, parts: list[Any]) -> draft.HealthItem:
        code, level, *pairs = parts
        return draft.HealthItem(_text(code, name_text), str(level), _pairs(pairs), _at(code))

    def meta(self, parts: list[Any]) -> draft.MetaItem:
        return _meta(parts[0])

    def region(self, parts: list[Any]) -> draft.RegionItem:
        name, kind, *rest = parts
        tree = next((part.name for part in rest if isinstance(part, _Of)), None)
        by = next((part.name for part in rest if isinstance(part, _By)), None)
        pairs = next((part for part in rest if isinstance(part, _Pairs)), _Pairs())
        body = rest[-1]
        return draft.RegionItem(
            _text(name, symbol_text), _text(kind, name_text), tree, pairs, by, body.items, body.members, _at(name)
        )

    def nested(self, parts: list[Any]) -> _Body:
        return _Body(parts, None)

    def listed(self, parts: list[Any]) -> _Body:
        members: list[tuple[str | None, draft.Range]] = []
        lane: str | None = None
        items = []
        for part in parts:
            if isinstance(part, _On):
                lane = part.lane
            elif isinstance(part, tuple):
                members.append((lane, part))
            else:
                items.append(part)
        return _Body(items, members)

    def on(self, parts: list[Any]) -> _On:
        return _On(_text(parts[0], symbol_text))

    def of(self, parts: list[Any]) -> _Of:
        return _Of(str(parts[0]))

    def by(self, parts: list[Any]) -> _By:
        return _By(str(parts[0]))

    def strings(self, parts: list[Any]) -> draft.BlockItem:
        return _block("strings", parts)

    def events(self, parts: list[Any]) -> draft.BlockItem:
        return _block("events", parts)

    def values(self, parts: list[Any]) -> draft.BlockItem:
        return _block("values", parts)

    def edges(self, parts: list[Any]) -> draft.BlockItem:
        return _block("edges", parts)

    def regions(self, parts: list[Any]) -> draft.BlockItem:
        return _block("regions", parts, named=True)

    def table(self, parts: list[Any]) -> draft.BlockItem:
        return _block("table", parts, named=True)

    def statement(self, parts: list[Any]) -> draft.Statement:
        return read_statement(str(parts[0]), _at(parts[0]), read_event)

    # --- the inside of a statement -----------------------------------------------------------------------

    def event(self, parts: list[Any]) -> draft.Statement:
        id, *rest = parts
        collective = rest.pop(0).name if isinstance(rest[0], _Of) else None
        kind, name, lane, start, length, *more = rest
        clauses = [part for part in more if isinstance(part, draft.Clause)]
        parents = [clause for clause in clauses if clause.relation == "parent"]
        if len(parents) > 1:
            raise MistakeError("An event lies in one other event only.", parents[1].ranges[0][2])
        ts, dur = _time(start), _time(length)
        if not in_range(ts, dur):
            raise MistakeError(
                "The event's time is out of range: times are 64-bit integers of nanoseconds.", _at(start)
            )
        return draft.Statement(
            _text(id, id_value), _text(kind, name_text), kind[0] == '"', _text(name, unquote), _text(lane, symbol_text),
            ts, dur, collective, clauses, next((part for part in more if isinstance(part, _Pairs)), _Pairs()),
            any(part is _DEAD for part in more), _at(id), "",
        )  # fmt: skip

    def of_kind(self, parts: list[Any]) -> _Of:
        return _Of(str(parts[0]).partition(".")[2])

    def kind(self, parts: list[Any]) -> Token:
        token: Token = parts[0]
        return token

    def launch(self, parts: list[Any]) -> draft.Clause:
        return draft.Clause("launch", False, tuple(parts))

    def enqueue(self, parts: list[Any]) -> draft.Clause:
        return draft.Clause("enqueue", False, tuple(parts))

    def sync(self, parts: list[Any]) -> draft.Clause:
        return draft.Clause("sync", False, tuple(parts))

    def flow(self, parts: list[Any]) -> draft.Clause:
        return draft.Clause("flow", False, tuple(parts))

    def peer(self, parts: list[Any]) -> draft.Clause:
        return draft.Clause("peer", False, tuple(parts))

    def outgoing(self, parts: list[Any]) -> draft.Clause:
        return draft.Clause(str(parts[0]), True, tuple(parts[1:]))

    def parent(self, parts: list[Any]) -> draft.Clause:
        id = _text(parts[0], id_value)
        return draft.Clause("parent", False, ((id, id, _at(parts[0])),))

    def dead(self, parts: list[Any]) -> object:
        return _DEAD

    def interval(self, parts: list[Any]) -> draft.Range:
        first = _text(parts[0], id_value)
        last = _text(parts[1], id_value) if len(parts) > 1 else first
        if last < first:
            raise MistakeError(f"The range ends before it begins; write it as {parts[1]}..{parts[0]}.", _at(parts[0]))
        return first, last, _at(parts[0])

    # --- attributes --------------------------------------------------------------------------------------

    def attributes(self, parts: list[Any]) -> _Pairs:
        seen: dict[tuple[str, bool], int] = {}
        for pair in parts:
            if seen.setdefault((pair.key, pair.dotted), pair.at) != pair.at:
                raise MistakeError(f"The attribute {pair.key} is given twice.", pair.at)
        return _Pairs(parts)

    def pair(self, parts: list[Any]) -> draft.Pair:
        key, value = parts
        return draft.Pair(_text(key, name_text), key[0] == '"', _value(value), _at(key))

    def array(self, parts: list[Any]) -> _Json:
        return _nest([_plain(part) for part in parts], parts)

    def mapping(self, parts: list[Any]) -> _Json:
        return _nest(dict(value for value, _ in parts), [part for _, part in parts])

    def member(self, parts: list[Any]) -> tuple[tuple[str, Any], Any]:
        key, value = parts
        return (_text(key, unquote), _plain(value)), value


@attrs.frozen
class _Body:
    items: list[Any]
    members: list[tuple[str | None, draft.Range]] | None


@attrs.frozen
class _Of:
    name: str


@attrs.frozen
class _By:
    name: str


@attrs.frozen
class _On:
    lane: str


class _Pairs(list[draft.Pair]):
    """The attributes of an item."""


_DEAD: Final = object()


def _pairs(parts: Sequence[Any]) -> list[draft.Pair]:
    return next((part for part in parts if isinstance(part, _Pairs)), _Pairs())


def _block(sort: str, parts: Sequence[Token], *, named: bool = False) -> draft.BlockItem:
    name, rows = str(parts[0]) if named else "", parts[-1]
    columns = [str(part) for part in parts[named:-1]]
    return draft.BlockItem(sort, name, columns, str(rows)[1:-1], _at(rows) + 1, _at(parts[0]))


def _time(token: Token) -> int:
    """A time in ns; a bare number is ns."""
    try:
        return duration(str(token).removeprefix("+"))
    except (ValueError, UsageError):
        shown = str(token) if len(token) < 40 else f"{token[:20]}…"
        raise MistakeError(f"The time {shown} is not a whole number of nanoseconds.", _at(token)) from None


def _value(part: Any) -> Any:
    """The value of an attribute from its token."""
    if isinstance(part, _Json):
        return part.value
    if part.type == "STRING":
        return _text(part, unquote)
    if part.type == "NUMBER":
        return _text(part, _number)
    if part.type == "QUANTITY":
        return draft.Quantity(str(part))
    if part.type == "ID":
        return draft.Ref(_text(part, id_value))
    return draft.Symbol(_text(part, symbol_text)) if part.type == "SYMBOL" else draft.Word(part)


def _number(text: str) -> int | float:
    return int(text) if text.lstrip("+-").isdigit() else decimal(text)


def _plain(part: Any) -> Any:
    """A value inside of a list or object."""
    if isinstance(part, _Json):
        return part.value
    if part.type == "NAME":
        if str(part) not in CONSTANTS:
            raise MistakeError(f"The word {part} has to be in quotes here.", _at(part))
        return CONSTANTS[str(part)]
    return _value(part)


def _nest(value: Any, parts: Sequence[Any]) -> _Json:
    depth = 1 + max((part.depth for part in parts if isinstance(part, _Json)), default=0)
    if depth > DEPTH:
        token = next((part for part in parts if not isinstance(part, _Json)), None)
        raise _TooDeepError(_at(token) if token is not None else 0)
    return _Json(value, depth)


def _meta(token: Token) -> draft.MetaItem:
    """`meta key = {…};`: the key, and JSON up to the end."""
    head = _META.match(token)
    if head is None:
        raise MistakeError('Metadata is written as meta key = {"member": 1};', _at(token))
    rest = str(token)[head.end() : -1]
    try:
        if rest.count("[") + rest.count("{") > DEPTH and _depth(rest) > DEPTH:
            raise MistakeError(f"Lists and objects nest more than {DEPTH} deep here.", _at(token))
        value = json.loads(rest, parse_float=decimal)
        return draft.MetaItem(_checked(head.group(1), _at(token), name_text), value, _at(token))
    except json.JSONDecodeError as error:
        raise MistakeError(f"The metadata is not JSON: {error.msg}.", _at(token) + head.end() + error.pos) from None
    except ValueError:
        raise MistakeError("The metadata holds a number that is out of range.", _at(token)) from None


def _depth(text: str) -> int:
    """How deep brackets nest in JSON, those inside of strings left out."""
    deepest = level = 0
    for found in _BRACKETS.finditer(text):
        if found.group() in "[{":
            level += 1
            deepest = max(deepest, level)
        elif found.group() in "]}":
            level -= 1
    return deepest
