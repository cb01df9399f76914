"""`traceir passes`: list the passes, or show one with its options and columns."""

from __future__ import annotations

import argparse

from traceir.cli import common
from traceir.errors import UsageError
from traceir.passing import Pass
from traceir.passing.options import options_of, spell


def execute(arguments: argparse.Namespace) -> int:
    """Run the command."""
    registry = common.registry(arguments)
    if arguments.action == "show":
        if arguments.name is None:
            raise UsageError("Name the pass to show, as in: traceir passes show overlap.")
        _show(registry.find("passes", arguments.name))
        return 0
    if arguments.name is not None:
        raise UsageError(f"The list has all passes; to show one, write: traceir passes show {arguments.name}.")
    entries = list(registry.all("passes"))
    width = max((len(name) for name, _ in entries), default=0)
    for name, entry in entries:
        print(f"{name:<{width}}  {entry.summary}" + ("" if entry.provider == "traceir" else f"  ({entry.provider})"))
    return 0


def _show(cls: type[Pass]) -> None:
    print(f"{cls.name()}: {cls.summary()}")
    rest = (cls.__doc__ or "").strip().partition("\n")[2]
    if rest.strip():
        print(_dedent(rest))
    print("\noptions" if options_of(cls) else "\nno options")
    for wanted in options_of(cls):
        print(f"  {wanted.name}={spell(wanted.type, wanted.default)}  ({wanted.type_name})")
        print(f"      {wanted.help}")
    print(f"\nreads   {', '.join(cls.reads) or 'nothing but the events'}")
    if cls.uses:
        print(f"uses    {', '.join(cls.uses)}")
    print("writes" if cls.writes else "writes  nothing")
    for annotation in cls.writes:
        unit = f", {annotation.unit}" if annotation.unit else ""
        print(f"  {annotation.name} : {annotation.domain}<{annotation.dtype}{unit}>  {annotation.doc}")


def _dedent(text: str) -> str:
    import inspect

    return "\n" + inspect.cleandoc(text)
