"""Where events came from: a handle on the input that decodes raw arguments only when somebody looks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from traceir.ir.column import Ints


class Source(Protocol):
    """A frontend's handle on its input. Reading raises `InputError` if the file has changed since loading."""

    path: str
    """The path that the user gave (`-` for standard input)."""

    frontend: str
    """The name of the frontend that made the module."""

    def raw(self, offset: int, length: int) -> bytes:
        """The event's own bytes, exactly as the input has them."""
        ...

    def args(self, offsets: Ints, lengths: Ints) -> Sequence[Mapping[str, Any]]:
        """The decoded arguments of events by their place in the input; an empty mapping where there are none."""
        ...
