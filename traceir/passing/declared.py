"""What a class declares of itself, checked where it enters: its word, its options, its columns."""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Iterator
from typing import Annotated, Any, Final, Literal, get_args, get_origin
from weakref import WeakKeyDictionary

import attrs

from traceir.errors import UsageError
from traceir.ir import Annotation
from traceir.passing.base import Pass
from traceir.passing.options import Optioned, check, options_of
from traceir.passing.words import said

WORD: Final = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*\Z")
"""A word of a pipeline, as in `pipeline.lark`."""
_DECLARATIONS: Final = ("reads", "uses", "writes", "drops", "annotates")
_PLAIN: Final = (int, float, bool, str)


_KNOWN: Final[WeakKeyDictionary[type, tuple[str, ...]]] = WeakKeyDictionary()


def mistakes(cls: type[Optioned]) -> tuple[str, ...]:
    """What is wrong with the declaration of a pass, an instrument or a printer; a sentence each, none if it is right.

    Looked at are the word, the options (their types, their defaults) and, of a pass, the columns that it reads and
    writes and whether it has a `run`. Never raises, whatever the class's own methods do; remembered by class.
    """
    if cls not in _KNOWN:
        _KNOWN[cls] = tuple(_mistakes(cls))
    return _KNOWN[cls]


def _mistakes(cls: type[Optioned]) -> Iterator[str]:
    if "__attrs_attrs__" not in vars(cls):  # a decorated base does not make its own options fields
        yield f"The class {cls.__name__} is not decorated: write @attrs.frozen above it."
        return
    hidden = list(_hidden(cls))
    yield from hidden
    if hidden:  # what they hide cannot be asked for
        return
    if sentence := wrong_word(cls):
        yield sentence
    yield from _options(cls)
    if issubclass(cls, Pass):
        yield from _columns(cls)
        if cls.run is Pass.run:
            yield (
                f"The pass {cls.__name__} has no run(self, module, context), which makes the new module; write one, or "
                "begin the name of the class with an underscore if it is only a base of others."
            )


def _fields(cls: Any) -> tuple[Any, ...]:
    return tuple(attrs.fields(cls))


def _hidden(cls: type[Optioned]) -> Iterator[str]:
    """Fields under a name that the base needs for itself, such as `reads: tuple[str, ...] = (…)`."""
    base = Pass if issubclass(cls, Pass) else Optioned
    for field in _fields(cls):
        if hasattr(base, field.name):
            mend = f"write {field.name} = … without a type" if field.name in _DECLARATIONS else "rename it"
            yield f"The field {field.name} of the class {cls.__name__} would be an option; {mend}."


def wrong_word(cls: type[Optioned]) -> str | None:
    """Why a class cannot be called by its word, as a sentence; None if it can. Never raises."""
    try:
        word: object = cls.name()
    except (Exception, SystemExit) as error:  # a plug-in's method may fail in any way
        return f"The name() of the class {cls.__name__} fails: {_told(error)}"
    if isinstance(word, str) and WORD.match(word):
        return None
    return (
        f"The class {cls.__name__} is called {word!r}, which no pipeline can name: a word is lower-case letters and "
        "digits from a letter on, in parts joined by single hyphens, such as slow-copies."
    )


def _options(cls: type[Optioned]) -> Iterator[str]:
    bare = [field.name for field in _fields(cls) if field.type is None]
    for name in bare:
        yield f"The option {name} of the class {cls.__name__} has no type; write it as {name}: int = tir.option(…)."
    if bare:
        return
    try:
        options = options_of(cls)
    except (Exception, SystemExit) as error:  # an annotation that names nothing, a factory that fails
        yield f"The options of the class {cls.__name__} cannot be understood: {_told(error)}"
        return
    for option in options:
        if not supported(option.type):
            yield (
                f"The option {option.name} of the class {cls.__name__} is a {_spelled(option.type)}; it has to be an "
                "int, float, bool, str, Literal, tir.Duration or tir.Share, a tuple[…, ...] of one of these, or a "
                "union of some of these or None."
            )
        elif option.default is not attrs.NOTHING:
            try:
                check(cls.__name__, option, option.default)
            except UsageError as error:
                yield f"A default is wrong: {str(error)[:1].lower()}{str(error)[1:]}"


def supported(kind: Any) -> bool:
    """Whether an option can be of this type: one that a pipeline can spell and read back."""
    origin, args = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return args[1] in ("duration", "share")
    if origin is Literal:
        return all(isinstance(arg, str | int) for arg in args)
    if origin is tuple:
        return len(args) == 2 and args[1] is Ellipsis and get_origin(args[0]) is not tuple and supported(args[0])
    if origin in (typing.Union, types.UnionType):
        some = [arg for arg in args if arg is not type(None)]
        return bool(some) and all(map(supported, some))
    return kind in _PLAIN


def _columns(cls: type[Pass]) -> Iterator[str]:
    for key in ("reads", "uses", "drops"):
        given: object = getattr(cls, key)
        if not isinstance(given, tuple) or not all(isinstance(name, str) for name in given):
            yield (
                f"In the class {cls.__name__} {key} is {given!r}, and it has to be a tuple of names of columns, such "
                f'as {key} = ("dur",).'
            )
    writes: object = cls.writes
    if not isinstance(writes, tuple) or not all(isinstance(item, Annotation) for item in writes):
        shown = f"tir.Annotation({writes.name!r}, …)" if isinstance(writes, Annotation) else repr(writes)
        yield (
            f"In the class {cls.__name__} writes is {shown}, and it has to be a tuple of annotations, such as "
            'writes = (tir.Annotation("word.column"),), with the comma.'
        )
        return
    names = [item.name for item in writes]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"The class {cls.__name__} declares in writes the column {name} twice."
    for item in writes:
        # A text may hold such columns, written by who knows whom; a class that declares one can write nothing into it.
        if item.dtype == "enum" and not item.values:
            yield f"The column {item.name} of the class {cls.__name__} is an enum without values; give it values=(…)."
        elif item.dtype != "enum" and item.values:
            yield f"The column {item.name} of the class {cls.__name__} has values, and is no enum but {item.dtype}."
    if not isinstance(cls.annotates, bool):
        yield f"In the class {cls.__name__} annotates is {cls.annotates!r}, and it has to be True or False."


def _spelled(kind: Any) -> str:
    return kind.__name__ if isinstance(kind, type) and not get_args(kind) else str(kind)


def _told(error: BaseException) -> str:
    return " ".join(said(error).split())


__all__ = ["WORD", "mistakes", "supported", "wrong_word"]
