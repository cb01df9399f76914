"""The watch over a run: tells every instrument of what happens, whatever one of them does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import attrs

from traceir.errors import PassError, TraceirError
from traceir.passing.instrument import Instrument
from traceir.passing.words import said

if TYPE_CHECKING:
    from traceir.ir import Module
    from traceir.passing.base import Pass


@attrs.frozen(eq=False)
class Watch:
    """The instruments of a run, in their order. All of them are told before an error of one of them is raised."""

    instruments: tuple[Instrument, ...]

    def tell(self, hook: str, *given: object) -> None:
        """Call a hook of each; the first error is raised when all are told."""
        errors = [error for error in self._call(hook, *given) if error is not None]
        if errors:
            raise errors[0]

    def failed(self, item: Pass, module: Module, error: Exception) -> None:
        """Tell that a pass failed; what goes wrong in that is a note of the pass's error, and never replaces it."""
        for trouble in self._call("failed", item, module, error):
            if trouble is not None:
                error.add_note(str(trouble))

    @contextmanager
    def open(self) -> Iterator[None]:
        """Call `closed` of each at the end, however it comes; an error of theirs does not hide another."""
        try:
            yield
        except BaseException as error:
            for trouble in self._call("closed"):
                if trouble is not None:
                    error.add_note(str(trouble))
            raise
        self.tell("closed")

    def _call(self, hook: str, *given: object) -> Iterator[Exception | None]:
        for instrument in self.instruments:
            called: Callable[..., None] = getattr(instrument, hook)
            try:
                called(*given)
            except TraceirError as error:
                yield error
            except (Exception, SystemExit) as error:
                trouble = PassError(f"The instrument {instrument.name()} failed in {hook}: {said(error)}")
                trouble.__cause__ = error
                yield trouble
            else:
                yield None


__all__ = ["Watch"]
