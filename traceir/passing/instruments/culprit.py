"""The event at which a pass failed."""

from __future__ import annotations

import re

import attrs

from traceir.ir import Module
from traceir.passing.base import Pass
from traceir.passing.instrument import Instrument
from traceir.passing.options import option
from traceir.text.words import id_value

_ID = re.compile(r"%(?:\d{1,5}:)?\d{1,18}")


@attrs.define(eq=False)
class Culprit(Instrument):
    """When a pass fails at an event, print the event with what lies around it.

    The event is the one that the error carries (`PassError(..., event=8812)`) or the first that its text names.
    """

    most: int = option(7, help="The most events to print.", least=1)

    def failed(self, item: Pass, module: Module, error: Exception) -> None:
        """Print the event in context, if the error names one that the module has."""
        from traceir import windows

        event = _named(module, error)
        if event is None:
            return
        print(f"what {item.name()} was given around %{event}:", file=self.out)
        for row in windows.around(module, [event], 1, self.most).rows.tolist():
            mark = ">" if module["id"][row] == event else " "
            print(f"  {mark} {module.event(row)}", file=self.out)


def _named(module: Module, error: Exception) -> int | None:
    given = getattr(error, "event", None)
    ids = [given] if given is not None else []
    for text in _ID.findall(str(error)):
        try:
            ids.append(id_value(text))
        except ValueError:
            continue
    return next((int(id) for id in ids if id in module["id"]), None)


__all__ = ["Culprit"]
