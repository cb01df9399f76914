"""What printers are given: the module, the reports of its passes, and the style of the output."""

from __future__ import annotations

from collections.abc import Mapping
from typing import IO, ClassVar, TextIO

import attrs

from traceir.ir import Module
from traceir.passing import Report
from traceir.passing.options import Optioned


@attrs.frozen
class InputInfo:
    """One input of a run, as the JSON report names it."""

    path: str
    frontend: str
    events: int


@attrs.frozen
class Style:
    """How text is laid out: columns, colour, and whether the output can show characters beyond ASCII."""

    width: int = 100
    color: bool = False
    unicode: bool = True
    verbose: bool = False


@attrs.frozen(eq=False)
class Result:
    """What a run made: the module after its last pass, and the reports by the passes' names, in order."""

    module: Module
    reports: Mapping[str, Report]
    inputs: tuple[InputInfo, ...]

    @property
    def pipeline(self) -> str:
        """The text of the passes that ran, inserted ones included."""
        return ",".join(record.text for record in self.module.passes)

    @property
    def unreliable(self) -> list[tuple[str, str]]:
        """The (result, health code) pairs that rest on a damaged part of the trace, of passes that ran."""
        ran = {"module", *(record.name for record in self.module.passes)}
        return [
            (result, finding.code)
            for finding in self.module.health
            for result in finding.poisons
            if result.partition(".")[0] in ran
        ]


class Printer(Optioned):
    """Base of printers: `word` is the name for `--emit`, as in `--emit 'tir{form=table}'`.

    Subclass it, decorate with `@attrs.frozen`; fields made by `traceir.option` are its options.
    """

    _what: ClassVar[str] = "printer"
    word: ClassVar[str] = ""
    prints_parts: ClassVar[bool] = False
    """Whether it can print a window: a part of a run, with no reports."""
    is_binary: ClassVar[bool] = False
    """Whether it writes bytes, by `write_bytes`, and not text."""

    @classmethod
    def name(cls) -> str:
        """The word of the printer."""
        return cls.word

    def write(self, result: Result, out: TextIO, style: Style) -> None:
        """Write the result as text."""
        raise NotImplementedError

    def write_bytes(self, result: Result, out: IO[bytes]) -> None:
        """Write the result as bytes; asked of a printer that `is_binary`."""
        raise NotImplementedError
