"""Access: which columns somebody looked at, so that nobody has to remember to say so."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

import attrs


@attrs.frozen(eq=False)
class Access:
    """The names of the columns read from a module and whatever was made from it, but for those set on the way."""

    read: set[str] = attrs.field(factory=set)


class NoColumnError(KeyError):
    """A column was asked for that the module does not have. As a KeyError its argument is the column's name."""

    def __init__(self, name: str, known: Iterable[str] = ()) -> None:
        super().__init__(name)
        self._known = known

    def __str__(self) -> str:
        near = difflib.get_close_matches(str(self.args[0]), list(self._known), 3)
        hint = f"; did you mean {' or '.join(near)}" if near else ""
        return f"The module has no column {self.args[0]}{hint}."


__all__ = ["Access", "NoColumnError"]
