"""The base of all passes: options as fields, columns read and written as class data."""

from __future__ import annotations

import re
from typing import Any, ClassVar, Self

import attrs

from traceir.errors import UsageError
from traceir.ir import Annotation, Module
from traceir.ir.module import CORE
from traceir.passing import options
from traceir.passing.context import PassContext
from traceir.passing.report import Report

_HUMPS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


class Pass:
    """A transform from module to module. Subclass it, decorate with `@attrs.frozen`, declare, write `run`.

    The first line of the docstring is the pass's summary. Fields made by `option` are its options. Class data:

    - `reads`: columns that it needs. Annotations among them are produced first if they are missing or stale.
      Core columns (`ts`, `kind`, … and `edges`) named here narrow what its results depend on; a pass that
      names none depends on all of them.
    - `uses`: columns that it reads if they are there.
    - `writes`: the annotations that it may write; writing anything else is an error.
    - `annotates`: it changes no `ts`, `dur`, `live` or row (checked by tokens, so at no cost).
    """

    reads: ClassVar[tuple[str, ...]] = ()
    uses: ClassVar[tuple[str, ...]] = ()
    writes: ClassVar[tuple[Annotation, ...]] = ()
    annotates: ClassVar[bool] = True

    def __attrs_post_init__(self) -> None:
        for wanted in options.options_of(type(self)):
            options.check(self.name(), wanted, getattr(self, wanted.name))

    @classmethod
    def name(cls) -> str:
        """The word of the pass in pipelines: `DeadGaps` is `dead-gaps`."""
        return _HUMPS.sub("-", cls.__name__).lower()

    @classmethod
    def summary(cls) -> str:
        """The first line of the docstring."""
        return (cls.__doc__ or "").strip().partition("\n")[0]

    @classmethod
    def inputs(cls) -> tuple[str, ...]:
        """All columns that its results depend on: reads, uses, and the core columns."""
        core = tuple(name for name in cls.reads if name in CORE or name == "edges")
        return (*dict.fromkeys((*cls.reads, *cls.uses)), *(() if core else (*CORE, "edges")))

    @classmethod
    def from_text(cls, given: dict[str, str]) -> Self:
        """A pass from the texts of its options; unknown options and bad values are UsageErrors."""
        known = {wanted.name: wanted for wanted in options.options_of(cls)}
        values: dict[str, Any] = {}
        for name, text in given.items():
            if name not in known:
                has = f"it has {', '.join(known)}" if known else "it has none"
                raise UsageError(f"The pass {cls.name()} has no option {name!r}; {has}.")
            values[name] = options.parse(cls.name(), known[name], text)
        for name, wanted in known.items():
            if wanted.default is attrs.NOTHING and name not in values:
                raise UsageError(f"The pass {cls.name()} needs its option {name} ({wanted.type_name}).")
        return cls(**values)

    def text(self, *, every: bool = False) -> str:
        """Its spelling in a pipeline; options at their defaults are left out unless `every`."""
        parts = [
            f"{wanted.name}={options.spell(wanted.type, getattr(self, wanted.name))}"
            for wanted in options.options_of(type(self))
            if every or getattr(self, wanted.name) != wanted.default
        ]
        return f"{self.name()}{{{','.join(parts)}}}" if parts else self.name()

    def run(self, module: Module, context: PassContext) -> Module:
        """The new module. The input is never changed; its arrays are read-only."""
        raise NotImplementedError

    def report(self, module: Module) -> Report | None:
        """What the pass found, as a pure function of the module: JSON, pages and docs come from it."""
        return None

    def check(self, module: Module) -> list[str]:
        """The conservation laws that the module breaks after this pass, a sentence each; none if all hold."""
        return []
