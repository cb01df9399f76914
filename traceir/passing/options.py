"""Options: the typed fields of a pass class are its options; text, checks and help derive from them."""

from __future__ import annotations

import contextlib
import re
import types
import typing
from typing import Annotated, Any, ClassVar, Final, Literal, Self, get_args, get_origin

import attrs

from traceir.errors import UsageError

Duration = Annotated[int, "duration"]
"""An option in ns, written `2us`, `1.5ms`, `300ns`, `1s` or as a bare integer (ns)."""
Share = Annotated[float, "share"]
"""An option between 0 and 1, written `50%` or `0.5`."""

_UNITS: Final = {"ns": 1, "us": 1_000, "µs": 1_000, "ms": 1_000_000, "s": 1_000_000_000}
_DURATION = re.compile(r"(-?\d+)(?:\.(\d+))?\s*(ns|us|µs|ms|s)?\Z")
_BARE = re.compile(r"[A-Za-z0-9_.:/%µ-]+\Z")
_PART = r'(?:"(?:\\.|[^"\\])*"|[^+"]*)'
_PARTS = re.compile(rf"{_PART}(?:\+{_PART})*\Z", re.S)


def option(default: Any = attrs.NOTHING, *, help: str, least: float | None = None) -> Any:
    """Declare an option of a pass or printer: its default and one sentence of help, and the least value of a number.

    The annotation gives its type.
    """
    return attrs.field(default=default, metadata={"help": help, "least": least})


@attrs.frozen
class Option:
    """One option of a pass or printer as people see it."""

    name: str
    type: Any
    default: Any
    help: str
    least: float | None = None

    @property
    def type_name(self) -> str:
        """The type in words: `compute | any`, `duration`, `list of str`."""
        return _describe(self.type)


class Optioned:
    """Base of what is chosen by name and set by options: its fields made by `option` are its options."""

    _what: ClassVar[str] = "pass"
    """What messages call it."""

    def __attrs_post_init__(self) -> None:
        for wanted in options_of(type(self)):
            check(self.name(), wanted, getattr(self, wanted.name))

    @classmethod
    def name(cls) -> str:
        """The word that chooses it."""
        raise NotImplementedError

    @classmethod
    def summary(cls) -> str:
        """The first line of the docstring."""
        return (cls.__doc__ or "").strip().partition("\n")[0]

    @classmethod
    def from_text(cls, given: dict[str, str]) -> Self:
        """One from the texts of its options; unknown options and bad values are UsageErrors."""
        known = {wanted.name: wanted for wanted in options_of(cls)}
        values: dict[str, Any] = {}
        for name, text in given.items():
            if name not in known:
                has = f"it has {', '.join(known)}" if known else "it has none"
                raise UsageError(f"The {cls._what} {cls.name()} has no option {name!r}; {has}.")
            values[name] = parse(cls.name(), known[name], text)
        for name, wanted in known.items():
            if wanted.default is attrs.NOTHING and name not in values:
                raise UsageError(f"The {cls._what} {cls.name()} needs its option {name} ({wanted.type_name}).")
        return cls(**values)

    def text(self, *, every: bool = False) -> str:
        """Its spelling in a pipeline; options at their defaults are left out unless `every`."""
        parts = [
            f"{wanted.name}={spell(wanted.type, getattr(self, wanted.name))}"
            for wanted in options_of(type(self))
            if every or getattr(self, wanted.name) != wanted.default
        ]
        return f"{self.name()}{{{','.join(parts)}}}" if parts else self.name()


def options_of(cls: type) -> tuple[Option, ...]:
    """The options of a pass or printer class, in the order of its fields."""
    hints = typing.get_type_hints(cls, include_extras=True)
    return tuple(
        Option(
            field.name,
            hints[field.name],
            _default(field),
            field.metadata.get("help", ""),
            field.metadata.get("least"),
        )
        for field in attrs.fields(cls)
        if field.init and field.metadata.get("option", True)
    )


def _default(field: Any) -> Any:
    if isinstance(field.default, attrs.Factory):  # type: ignore[arg-type]
        return field.default.factory()
    return field.default


def _describe(kind: Any) -> str:
    origin, args = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return str(args[1])
    if origin is Literal:
        return " | ".join(map(str, args))
    if origin is tuple:
        return f"list of {_describe(args[0])}"
    if origin in (typing.Union, types.UnionType):
        return " | ".join(_describe(arg) for arg in args if arg is not type(None)) + " | none"
    return str(getattr(kind, "__name__", kind))


def check(owner: str, wanted: Option, value: Any) -> None:
    """Raise a UsageError, in a sentence, if `value` is not of the option's type."""
    if not _fits(wanted.type, value):
        raise UsageError(f"The option {wanted.name} of {owner} is {value!r}, and it has to be {wanted.type_name}.")
    if wanted.least is not None and isinstance(value, int | float) and value < wanted.least:
        raise UsageError(f"The option {wanted.name} of {owner} is {value!r}, and it has to be {wanted.least} or more.")


def _fits(kind: Any, value: Any) -> bool:
    origin, args = get_origin(kind), get_args(kind)
    if origin is Annotated:
        if args[1] == "share":
            return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1
        return isinstance(value, int) and not isinstance(value, bool)
    if origin is Literal:
        return value in args
    if origin is tuple:
        # An empty text in a list could not be told from the empty list, and no list of names needs one.
        return isinstance(value, tuple) and all(_fits(args[0], item) and item != "" for item in value)
    if origin in (typing.Union, types.UnionType):
        return any(_fits(arg, value) for arg in args)
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, kind)


def parse(owner: str, wanted: Option, text: str) -> Any:
    """The value of an option from its text; a UsageError says what would be right."""
    try:
        value = _parse(wanted.type, text)
    except ValueError:
        raise UsageError(
            f"The option {wanted.name} of {owner} is {text!r}, and it has to be {wanted.type_name}."
        ) from None
    check(owner, wanted, value)
    return value


def _parse(kind: Any, text: str) -> Any:
    origin, args = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return _share(text) if args[1] == "share" else duration(text)
    if origin is tuple:
        return tuple(_parse(args[0], item) for item in _parts(text)) if text not in ("", '""') else ()
    if origin in (typing.Union, types.UnionType):
        return _parse_any(args, text)
    text = "+".join(map(_unquote, _parts(text)))
    if origin is Literal:
        return next((arg for arg in args if str(arg) == text), text)
    if kind is bool:
        if text not in ("true", "false"):
            raise ValueError(text)
        return text == "true"
    return kind(text)


def _parse_any(kinds: tuple[Any, ...], text: str) -> Any:
    """The value for the first of several types that the text fits; `none` is null, `"none"` the word."""
    if text == "none" and type(None) in kinds:
        return None
    for kind in kinds:
        if kind is type(None):
            continue
        with contextlib.suppress(ValueError):
            value = _parse(kind, text)
            if _fits(kind, value):
                return value
    raise ValueError(text)


def _parts(text: str) -> list[str]:
    """The items of a list as written, quotes kept; a text that is no list of items is one item."""
    return re.findall(rf"(?:^|\+)({_PART})", text, re.S) if _PARTS.match(text) else [text]


def _unquote(text: str) -> str:
    quoted = len(text) > 1 and text[0] == text[-1] == '"' and _PARTS.match(text)
    return re.sub(r"\\(.)", r"\1", text[1:-1], flags=re.S) if quoted else text


def duration(text: str) -> int:
    """The ns of a duration as options spell it (a bare integer is ns); ValueError if it is none, or no whole number."""
    found = _DURATION.match(text)
    if not found:
        raise ValueError(text)
    whole, part, unit = found.groups()
    scale = _UNITS[unit or "ns"]
    digits: str = part or "0"
    fraction, rest = divmod(int(digits) * scale, int(10 ** len(digits)))
    if rest:
        raise ValueError(text)
    return int(whole) * scale + (-fraction if whole.startswith("-") else fraction)


def _share(text: str) -> float:
    return float(text[:-1]) / 100 if text.endswith("%") else float(text)


def spell(kind: Any, value: Any) -> str:
    """The shortest text of a value that parses back to it, as it stands in a pipeline."""
    origin, args = get_origin(kind), get_args(kind)
    if value is None:
        return "none"
    if origin in (typing.Union, types.UnionType):
        text = spell(next(arg for arg in args if arg is not type(None) and _fits(arg, value)), value)
        return f'"{text}"' if text == "none" else text
    if origin is Annotated and args[1] == "duration":
        unit = next((u for u in ("s", "ms", "us") if value and value % _UNITS[u] == 0), "ns")
        return f"{value // _UNITS[unit]}{unit}" if value else "0ns"
    if origin is tuple:
        return "+".join(spell(args[0], item) for item in value) if value else '""'
    if isinstance(value, bool):
        return str(value).lower()
    return quote(repr(value) if isinstance(value, float) else str(value))


def quote(text: str) -> str:
    """The text as it stands in a pipeline: bare where it can be, else in double quotes."""
    if _BARE.match(text):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
