"""`traceir passes`, `instruments` and `printers`: list what there is, or show one with its options and columns."""

from __future__ import annotations

import argparse
import inspect
from collections.abc import Iterator
from typing import Final

import attrs

from traceir.cli import common
from traceir.errors import UsageError
from traceir.passing import Pass
from traceir.passing.options import Option, Optioned, options_of, spell
from traceir.registry import WORDS, Group, Registry

_GROUPS: Final[dict[Group, str]] = {"passes": "overlap", "instruments": "print", "printers": "folded"}
"""What can be listed and shown, each with an example."""
_CHOSEN: Final[dict[Group, str]] = {"instruments": "an instrument: --instrument", "printers": "a printer: --emit"}
"""How what is no pass is chosen."""


def execute(arguments: argparse.Namespace) -> int:
    """Run the command."""
    registry = common.registry(arguments)
    own: Group = arguments.command
    if arguments.action == "show":
        if arguments.name is None:
            raise UsageError(f"Name the {WORDS[own]} to show, as in: traceir {own} show {_GROUPS[own]}.")
        group = _group(registry, own, arguments.name)
        with common.aside():
            lines = list(_shown(registry.find(group, arguments.name), group))
        print("\n".join(lines))
        return 0
    if arguments.name is not None:
        raise UsageError(f"The list has all {own}; to show one, write: traceir {own} show {arguments.name}.")
    entries = list(registry.all(own))
    width = max((len(name) for name, _ in entries), default=0)
    for name, entry in entries:
        print(f"{name:<{width}}  {entry.summary}" + ("" if entry.provider == "traceir" else f"  ({entry.provider})"))
    return 0


def _group(registry: Registry, own: Group, name: str) -> Group:
    """The group that has a name, the command's own if none has."""
    return next((group for group in (own, *_GROUPS) if name in registry.entries[group]), own)


def _shown(cls: type[Optioned], group: Group) -> Iterator[str]:
    yield f"{cls.name()}: {cls.summary() or 'It has no docstring.'}"
    rest = (cls.__doc__ or "").strip().partition("\n")[2]
    if rest.strip():
        yield f"\n{inspect.cleandoc(rest)}"
    options = options_of(cls)
    yield "\noptions" if options else "\nno options"
    for wanted in options:
        yield _option(wanted)
        yield f"      {wanted.help}"
    yield ""
    if issubclass(cls, Pass):
        yield from _columns(cls)
        return
    first = next(
        (f"{{{one.name}={spell(one.type, one.default)}}}" for one in options if one.default is not attrs.NOTHING), ""
    )
    text = f"{cls.name()}{first}"
    yield f"{_CHOSEN[group]} " + (f"'{text}'" if first else text)


def _option(wanted: Option) -> str:
    if wanted.default is attrs.NOTHING:
        return f"  {wanted.name}  ({wanted.type_name}, has to be given)"
    return f"  {wanted.name}={spell(wanted.type, wanted.default)}  ({wanted.type_name})"


def _columns(cls: type[Pass]) -> Iterator[str]:
    yield f"reads   {', '.join(cls.reads) or 'nothing but the events'}"
    if cls.uses:
        yield f"uses    {', '.join(cls.uses)}"
    yield "writes" if cls.writes else "writes  nothing"
    for annotation in cls.writes:
        unit = f", {annotation.unit}" if annotation.unit else ""
        yield f"  {annotation.name} : {annotation.domain}<{annotation.dtype}{unit}>  {annotation.doc}"
