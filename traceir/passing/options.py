"""Options: the typed fields of a pass class are its options; text, checks and help derive from them."""

from __future__ import annotations

import contextlib
import difflib
import math
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

_FIELD: Final = type(attrs.field())
"""What stands in a class for a field until the class is decorated."""
_HINTS: Final = {
    "bool": "; write true or false",
    "duration": "; write it as 2us, 1.5ms or 300 (ns)",
    "share": "; write it as 50% or 0.5",
}
"""How to write what does not say so itself."""


_NOUNS: Final = {
    "int": "a whole number",
    "float": "a number",
    "str": "a text",
    "bool": "a bool",
    "duration": "a duration",
    "share": "a share from 0 to 1",
}
"""What a value of a type is called in a sentence; lists and choices say so themselves."""


class OptionError(UsageError):
    """A wrong option of a pass, printer or instrument; `option` is the name that was given."""

    def __init__(self, message: str, option: str) -> None:
        super().__init__(message)
        self.option = option


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
        if any(isinstance(value, _FIELD) for value in vars(type(self)).values()):
            raise UsageError(
                f"The class {type(self).__name__} is not decorated, so its options are none: write @attrs.frozen above "
                "it, or @attrs.define(eq=False) above an instrument."
            )
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
                close = difflib.get_close_matches(name, list(known), 3, 0.5)
                said = f"did you mean {' or '.join(close)}" if close else f"it has {', '.join(known) or 'none'}"
                raise OptionError(f"The {cls._what} {cls.name()} has no option {name!r}; {said}.", name)
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
        return " | ".join(map(_word, args))
    if origin is tuple:
        return f"list of {_describe(args[0])}"
    if origin in (typing.Union, types.UnionType):
        return " | ".join(_describe(arg) for arg in args if arg is not type(None)) + " | none"
    return str(getattr(kind, "__name__", kind))


def check(owner: str, wanted: Option, value: Any) -> None:
    """Raise an OptionError, in a sentence, if `value` is not of the option's type or below its least."""
    if not _fits(wanted.type, value):
        raise OptionError(_wrong(owner, wanted, value), wanted.name)
    for item in value if isinstance(value, tuple) else (value,):
        if wanted.least is not None and isinstance(item, int | float) and item < wanted.least:
            each = "each of it " if isinstance(value, tuple) else "it "
            raise OptionError(
                f"The option {wanted.name} of {owner} is {value!r}, and {each}has to be {wanted.least} or more.",
                wanted.name,
            )


def _wrong(owner: str, wanted: Option, value: object) -> str:
    """The sentence on a value that is not of the option's type."""
    hint = _HINTS.get(_leaf(wanted.type), "")
    kind = _NOUNS.get(wanted.type_name, wanted.type_name)
    kind = f"a {kind}" if kind.startswith("list of ") else kind
    return f"The option {wanted.name} of {owner} is {value!r}, and it has to be {kind}{hint}."


def _leaf(kind: Any) -> str:
    """The one type that a value, or each of a list, has to have; empty if there are several."""
    some = [arg for arg in get_args(kind) if arg not in (type(None), Ellipsis)]
    if get_origin(kind) in (tuple, typing.Union, types.UnionType):
        return _leaf(some[0]) if len(some) == 1 else ""
    return _describe(kind) if kind is bool or get_origin(kind) is Annotated else ""


def _fits(kind: Any, value: Any) -> bool:
    origin, args = get_origin(kind), get_args(kind)
    if origin is Annotated:
        if args[1] == "share":
            return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1
        return isinstance(value, int) and not isinstance(value, bool)
    if origin is Literal:
        return any(type(value) is type(arg) and value == arg for arg in args)
    if origin is tuple:
        # An empty text in a list could not be told from the empty list, and no list of names needs one.
        return isinstance(value, tuple) and all(_fits(args[0], item) and item != "" for item in value)
    if origin in (typing.Union, types.UnionType):
        return any(_fits(arg, value) for arg in args)
    if kind is float:  # a NaN is not even equal to itself, so a pass with one would be no other's equal
        return isinstance(value, int | float) and not isinstance(value, bool) and not math.isnan(value)
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, kind)


def parse(owner: str, wanted: Option, text: str) -> Any:
    """The value of an option from its text; an OptionError says what would be right."""
    try:
        value = _parse(wanted.type, text)
    except ValueError:
        raise OptionError(_wrong(owner, wanted, text), wanted.name) from None
    check(owner, wanted, value)
    return value


def _parse(kind: Any, text: str) -> Any:
    origin, args = get_origin(kind), get_args(kind)
    if origin is tuple:
        return tuple(_parse(args[0], item) for item in _parts(text)) if text not in ("", '""') else ()
    if origin in (typing.Union, types.UnionType):
        return _parse_any(args, text)
    bare = "+".join(map(_unquote, _parts(text)))
    if origin is Annotated:
        return _share(bare) if args[1] == "share" else duration(bare)
    if origin is Literal:
        found = [arg for arg in args if _word(arg) == bare]
        if not found:
            raise ValueError(text)
        return next((arg for arg in found if isinstance(arg, str) is _quoted(text)), found[0])
    if kind is bool:
        if bare not in ("true", "false"):
            raise ValueError(text)
        return bare == "true"
    return kind(bare)


def _parse_any(kinds: tuple[Any, ...], text: str) -> Any:
    """The value for one of several types: what is in quotes is a text if it can be, what is not only if it has to be.

    Of numbers, whole ones come first, which lose no digits. `none` is null, `"none"` the word.
    """
    if text == "none" and type(None) in kinds:
        return None
    for kind in sorted((kind for kind in kinds if kind is not type(None)), key=lambda kind: _rank(kind, text)):
        with contextlib.suppress(ValueError):
            value = _parse(kind, text)
            if _fits(kind, value):
                return value
    raise ValueError(text)


def _rank(kind: Any, text: str) -> int:
    """Where a type stands in the order in which those of a union are tried."""
    args = get_args(kind)
    if kind is str or (get_origin(kind) is Literal and any(isinstance(arg, str) for arg in args)):
        return 0 if _quoted(text) else 3
    return 2 if kind is float or (get_origin(kind) is Annotated and args[1] == "share") else 1


def _word(value: object) -> str:
    """A constant as it is written: `true`, `7`, `any`."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _parts(text: str) -> list[str]:
    """The items of a list as written, quotes kept; a text that is no list of items is one item."""
    return re.findall(rf"(?:^|\+)({_PART})", text, re.S) if _PARTS.match(text) else [text]


def _quoted(text: str) -> bool:
    """Whether a text is one item in quotes."""
    return len(text) > 1 and text[0] == text[-1] == '"' and len(_parts(text)) == 1 and bool(_PARTS.match(text))


def _unquote(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text[1:-1], flags=re.S) if _quoted(text) else text


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
        return _told_apart(kind, value, text)
    if origin is Literal:
        return _told_apart(kind, value, quote(_word(value)))
    if origin is Annotated and args[1] == "duration":
        unit = next((u for u in ("s", "ms", "us") if value and value % _UNITS[u] == 0), "ns")
        return f"{value // _UNITS[unit]}{unit}" if value else "0ns"
    if origin is tuple:
        return "+".join(spell(args[0], item) for item in value) if value else '""'
    if isinstance(value, bool):
        return _word(value)
    # A plus parts the items of lists, and a number in quotes could be taken for a text: 1e16, not 1e+16.
    return quote(repr(value).replace("e+", "e") if isinstance(value, float) else str(value))


def _told_apart(kind: Any, value: object, text: str) -> str:
    """A text in quotes if without them it would mean something else, such as a number."""
    if not isinstance(value, str) or _quoted(text):
        return text
    return text if _parse(kind, text) == value else f'"{text}"'


def quote(text: str) -> str:
    """The text as it stands in a pipeline: bare where it can be, else in double quotes."""
    if _BARE.match(text):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
