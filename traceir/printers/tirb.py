"""The binary form as a printer: what is read back in no time."""

from __future__ import annotations

from typing import IO, ClassVar

import attrs

from traceir.binary import write
from traceir.printers.base import Printer, Result


@attrs.frozen
class Tirb(Printer):
    """The IR in binary, which traceir reads back faster than text."""

    word: ClassVar[str] = "tirb"
    prints_parts: ClassVar[bool] = True
    is_binary: ClassVar[bool] = True

    def write_bytes(self, result: Result, out: IO[bytes]) -> None:
        """Write the module with all that passes wrote; arguments of events stay in the input."""
        write(result.module, out)
