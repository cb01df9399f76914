"""The base of all passes: options as fields, columns read and written as class data."""

from __future__ import annotations

from typing import ClassVar

from traceir.ir import Annotation, Module
from traceir.ir.module import CORE
from traceir.passing.context import PassContext
from traceir.passing.options import Optioned
from traceir.passing.report import Report
from traceir.passing.words import hyphened


class Pass(Optioned):
    """A transform from module to module. Subclass it, decorate with `@attrs.frozen`, declare, write `run`.

    The first line of the docstring is the pass's summary. Fields made by `option` are its options. Class data:

    - `reads`: columns that it needs. Annotations among them are produced first if they are missing or stale.
      Core columns (`ts`, `kind`, … and `edges`) named here narrow what its results depend on; a pass that
      names none depends on all of them. `live` is always among them, and what `run` reads besides is noticed.
    - `uses`: columns that it reads if they are there. `args` among these says that it decodes the source's arguments.
    - `writes`: the annotations that it may write; writing anything else is an error.
    - `drops`: the annotations of others that it may take away, as the inverse of another pass does.
    - `annotates`: it changes no `ts`, `dur`, `live` or row (checked by tokens, so at no cost).
    """

    reads: ClassVar[tuple[str, ...]] = ()
    uses: ClassVar[tuple[str, ...]] = ()
    writes: ClassVar[tuple[Annotation, ...]] = ()
    drops: ClassVar[tuple[str, ...]] = ()
    annotates: ClassVar[bool] = True

    @classmethod
    def name(cls) -> str:
        """The word of the pass in pipelines: `DeadGaps` is `dead-gaps`."""
        return hyphened(cls.__name__)

    @classmethod
    def inputs(cls) -> tuple[str, ...]:
        """All columns that its results depend on: reads, uses, `live`, and all core columns if it names none."""
        core = tuple(name for name in cls.reads if name in CORE or name == "edges")
        return tuple(dict.fromkeys((*cls.reads, *cls.uses, "live", *(() if core else (*CORE, "edges")))))

    def ready(self) -> None:
        """Raise a UsageError that names the option if one cannot be used, such as a file that is not there.

        The command line calls it for the passes that were asked for, before the input is read. What can be told from
        the value alone is a validator's to say.
        """

    def run(self, module: Module, context: PassContext) -> Module:
        """The new module. The input is never changed; its arrays are read-only."""
        raise NotImplementedError

    def report(self, module: Module) -> Report | None:
        """What the pass found, as a pure function of the module: JSON, pages and docs come from it."""
        return None

    def check(self, module: Module) -> list[str]:
        """The conservation laws that the module breaks after this pass, a sentence each; none if all hold."""
        return []
