"""Redaction: a trace without what identifies its owner, with exact times and with roles that survive as words."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import attrs
import msgspec
import numpy as np

from traceir.ir import NULL_I64, Ints, Mask, Module, kinds
from traceir.ir.source import Elements
from traceir.printers.chrome import vocabulary
from traceir.printers.chrome.edits import Times
from traceir.printers.chrome.text import dumps, micros
from traceir.printers.chrome.tracks import Track
from traceir.printers.chrome.values import shown

_MODULE: Final = re.compile(r"nn\.Module: (.+)_(\d+)\Z", re.DOTALL)
_BACKWARD: Final = re.compile(r"(.+?)(Backward\d{0,2})", re.DOTALL)
_STEP: Final = re.compile(r"step\[.*\]\Z", re.DOTALL)
_DIGITS: Final = re.compile(r"\d+", re.ASCII)
_NUMBER: Final = re.compile(r"-?\d{1,20}", re.ASCII)
_WORD: Final = re.compile(r"[A-Za-z]+\d*|[^\x00-\x7f]+")
_KEY: Final = re.compile(r"[^._]+")
_PLAIN: Final = re.compile(r"[A-Za-z0-9_.+,#×\[\](): -]*\Z")
_SHORTEST: Final = 6
"""Hexadecimal digits of a pseudonym; more where two names would get the same."""
_DEEPEST: Final = 4
"""Levels of lists of numbers that stay: shapes are lists, those of several tensors lists of lists."""


@attrs.define(eq=False)
class Pseudonyms:
    """Stable pseudonyms: the same text under the same salt has the same digits in every file."""

    salt: str = ""
    _digits: dict[str, str] = attrs.field(factory=dict)
    _taken: set[str] = attrs.field(factory=set)

    def digits(self, text: str) -> str:
        """The digits that stand for a text, different ones for different texts of a file."""
        if text not in self._digits:
            key = self.salt.encode("utf-8", "replace")[:64]
            whole = hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=16, key=key).hexdigest()
            length = next(n for n in range(_SHORTEST, len(whole) + 1) if whole[:n] not in self._taken)
            self._digits[text] = whole[:length]
            self._taken.add(whole[:length])
        return self._digits[text]

    def of(self, word: str, text: str) -> str:
        """A pseudonym that begins with a word."""
        return f"{word}_{self.digits(text)}"


@attrs.define(eq=False)
class Redactor:
    """Rewrites elements, metadata and findings of one module."""

    module: Module
    pseudonyms: Pseudonyms
    _roles: list[str | None] = attrs.field(init=False)
    _symbols: list[str | None] = attrs.field(init=False)
    _names: dict[tuple[str, str, str | None], str] = attrs.field(factory=dict)

    def __attrs_post_init__(self) -> None:
        self._roles, self._symbols = self._shown("role"), self._shown("symbol")

    def _shown(self, use: str) -> list[str | None]:
        items = [item for item in shown(self.module, use) if item.dtype == "str"]
        return self.module.text(items[0].name) if items else [None] * len(self.module)

    # --- names -------------------------------------------------------------------------------------------

    def event_name(self, row: int, name: str) -> str:
        """The name of an event: as it is if it is public, else a pseudonym that begins with its role or kind."""
        kind = self.module.kinds[int(self.module["kind"][row])]
        role = self._roles[row] if kind == "dev.kernel" else None
        key = kind, name, role
        if key not in self._names:
            self._names[key] = self.name(kind, name, role, self._symbols[row])
        return self._names[key]

    def name(self, kind: str, name: str, role: str | None = None, symbol: str | None = None) -> str:
        """The same for any text that is given as the name of something of a kind."""
        if vocabulary.is_public(name, kind):
            return name
        if found := _MODULE.match(name):
            return f"nn.Module: {self.pseudonyms.of('Module', found[1])}_{found[2]}"
        if _STEP.match(name):
            return f"step[{self.pseudonyms.digits(name)}]"
        if name.startswith("Optimizer.step#"):
            return f"Optimizer.step#{self.pseudonyms.of('Optimizer', name)}.step"
        if kind == "dev.kernel":
            word = vocabulary.ROLES.get(role or "", "kernel")
            if symbol is None or symbol == name:
                return self.pseudonyms.of(word, name)
            return f"{self.pseudonyms.of(word, symbol)}<{self.pseudonyms.digits(name)}>"
        if kind == "mark.step":
            number = _DIGITS.search(name)
            return f"step {number[0]}" if number else f"step[{self.pseudonyms.digits(name)}]"
        if kind == "host.op":
            return self._operator(name)
        return self.pseudonyms.of(vocabulary.KINDS.get(kind, "event"), name)

    def _operator(self, name: str) -> str:
        """A pseudonym that still says of autograd's nodes that they are some: what runs them, and that they go back."""
        bare = name.removeprefix(vocabulary.EVALUATE)
        found = _BACKWARD.fullmatch(bare)
        word, end = (found[1], found[2]) if found else (bare, "")
        return name[: len(name) - len(bare)] + self.pseudonyms.of(vocabulary.KINDS["host.op"], word) + end

    def place(self, value: Any) -> Any:
        """A process or thread: numbers and what is little more stay."""
        if not isinstance(value, str) or vocabulary.PLACES.fullmatch(value) or vocabulary.is_public(value):
            return value
        return self.pseudonyms.of("p", value)

    def category(self, cat: str) -> str:
        """A category: the profiler's own stay, and names of kinds."""
        return (
            cat
            if cat.lower() in vocabulary.CATEGORIES or kinds.find(cat) is not None
            else self.pseudonyms.of("cat", cat)
        )

    # --- elements ----------------------------------------------------------------------------------------

    def elements(self, part: Elements, keep: Mask, rows: Ints, times: Times) -> Iterator[bytes]:
        """The texts of the elements of the file that stay, as far as something of them may and can be read."""
        ts = np.where(times.ts == NULL_I64, part.ts, times.ts).tolist()
        dur = np.where(times.dur == NULL_I64, part.dur, times.dur).tolist()
        for at in np.flatnonzero(keep).tolist():
            one = self._element(part, at, int(rows[at]), (("ts", ts[at]), ("dur", dur[at])))
            if one is not None:
                yield one

    def _element(self, part: Elements, at: int, row: int, times: Sequence[tuple[str, int]]) -> bytes | None:
        raw = part.text[part.starts[at] : part.ends[at]]
        event = _decoded(raw)
        if event is None:
            return None
        item = part.rows[at]
        if len(item.ph) > 1:
            return None  # no phase that anybody reads: it can be any text
        args = event.get("args")
        args = args if isinstance(args, dict) else {}
        if item.ph == "M":
            args = self._lane_args(str(event.get("name")), args)
            if not args:
                return None
        out: dict[str, Any] = {"ph": item.ph}
        if item.cat is not None:
            out["cat"] = self.category(item.cat)
        if "name" in event:
            out["name"] = self.event_name(row, item.name) if row >= 0 else self._other_name(item)
        out |= {key: self.place(getattr(item, key)) for key in ("pid", "tid") if key in event}
        if "id" in event:
            out["id"] = item.id if not isinstance(item.id, str) else self._id(item.id)
        out |= {key: event[key] for key in ("bp", "s") if isinstance(event.get(key), str) and len(event[key]) == 1}
        if item.ph != "M":
            args = self.counter_args(args) if item.ph == "C" else self.args(args)
        body = dumps(out)[:-1] + "".join(f', "{key}": {micros(ns)}' for key, ns in times if ns != NULL_I64)
        return (body + (f', "args": {dumps(args)}' if args else "") + "}").encode("utf-8", "replace")

    def _other_name(self, item: Any) -> str:
        if item.ph in ("s", "t", "f"):
            return self.category(item.name) if item.name else item.name
        kind = {"E": "host.range", "e": "host.async", "C": "ctr.sample"}.get(item.ph, "mark.instant")
        return self.name(kind, item.name)

    def _id(self, text: str) -> str:
        return text if re.fullmatch(r"(?:0x)?[0-9a-fA-F]{1,16}", text) else self.pseudonyms.of("id", text)

    def _lane_args(self, name: str, args: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments of an element that names or sorts a process or thread."""
        if name == "process_name":
            return {"name": "process"}
        if name == "thread_name":
            found = re.match(r"(?:thread|stream) -?\d+ ?", str(args.get("name")))
            return {"name": found[0]} if found else {}
        return self.args(args)

    def args(self, args: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments that analyses need: numbers, and texts of a public form."""
        out: dict[str, Any] = {}
        for key, value in args.items():
            if type(value) is int and key in vocabulary.NUMBERS:
                out[key] = value
                continue
            form = vocabulary.TEXTS.get(key)
            if isinstance(value, str) and form is not None:
                if form.fullmatch(value):
                    out[key] = value
                elif key in vocabulary.PSEUDONYMS:
                    out[key] = self.pseudonyms.of(vocabulary.PSEUDONYMS[key], value)
            elif (key in vocabulary.NUMBERS or form is not None) and _is_numeric(value):
                out[key] = value
        return out

    @staticmethod
    def counter_args(args: Mapping[str, Any]) -> dict[str, Any]:
        """The values of a counter, under names that say nothing."""
        values = [value for value in args.values() if _is_numeric(value) and not isinstance(value, list)]
        return {f"value{number or ''}": value for number, value in enumerate(values)}

    # --- the rest ----------------------------------------------------------------------------------------

    def metadata(self, members: Mapping[str, Any]) -> dict[str, Any]:
        """The top-level members: version numbers, the model of the devices, rank and size of the world."""
        out = {
            key: value
            for key, value in members.items()
            if key in vocabulary.VERSIONS and (_is_numeric(value) or value in ("ms", "ns"))
        }
        devices = members.get("deviceProperties")
        if isinstance(devices, list):
            out["deviceProperties"] = [_device(item) for item in devices if isinstance(item, dict)]
        spread = members.get("distributedInfo")
        if isinstance(spread, dict):
            out["distributedInfo"] = {
                key: value
                for key, value in spread.items()
                if (key in ("rank", "world_size", "pg_count") and _is_numeric(value))
                or (key == "backend" and isinstance(value, str) and vocabulary.BACKEND.fullmatch(value))
                or (key == "nccl_version" and isinstance(value, str) and vocabulary.VERSION.fullmatch(value))
            }
        return {**out, "traceir": {"redacted": True}}

    def tracks(self, tracks: Iterable[Track]) -> list[Track]:
        """What the passes found, without words that the input brought."""
        return [
            attrs.evolve(
                track,
                name=self.text(track.name),
                names=[self.text(name) for name in track.names],
                args=None if track.args is None else [self._found_args(args) for args in track.args],
            )
            for track in tracks
        ]

    def _found_args(self, args: Mapping[str, Any]) -> dict[str, Any]:
        return {self._key(key): self.text(value) if isinstance(value, str) else value for key, value in args.items()}

    def _key(self, key: str) -> str:
        """The name of a column: as it is if all its words are those of the passes' own columns."""
        own = vocabulary.COLUMNS | vocabulary.WORDS
        return key if own.issuperset(_KEY.findall(key)) else self.pseudonyms.of("column", key)

    def text(self, text: str) -> str:
        """A text of the passes: as it is if all its words are theirs; of `%id name` the id; else a pseudonym."""
        if text.startswith("%"):
            return text.partition(" ")[0]
        words = (word.lower() for word in _WORD.findall(text))
        own = _PLAIN.match(text) and all({word, word.rstrip("0123456789")} & vocabulary.WORDS for word in words)
        return text if own or vocabulary.is_public(text) else self.pseudonyms.of("text", text)


def _decoded(raw: bytes) -> dict[str, Any] | None:
    """An element as plain data, read tolerantly where it is not strict JSON; None if it is no object."""
    try:
        event = msgspec.json.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        try:
            event = json.loads(raw.decode("utf-8", "replace"), strict=False)
        except (ValueError, RecursionError):
            return None
    return event if isinstance(event, dict) else None


def _is_numeric(value: Any, depth: int = 0) -> bool:
    """Whether a value is a number, or lists of numbers of few levels; what nests deeper counts as none."""
    if type(value) is int:
        return True
    if isinstance(value, list):
        return depth < _DEEPEST and all(_is_numeric(item, depth + 1) for item in value)
    if isinstance(value, str):
        return bool(_NUMBER.fullmatch(value))
    return isinstance(value, int | float) and math.isfinite(value)


def _device(item: Mapping[str, Any]) -> dict[str, Any]:
    out = {key: value for key, value in item.items() if key in vocabulary.DEVICE and _is_numeric(value)}
    name = item.get("name")
    return out | ({"name": name} if isinstance(name, str) and vocabulary.MODEL.fullmatch(name) else {})
