"""Where events came from: a handle on the input that decodes raw arguments only when somebody looks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import attrs

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


@attrs.frozen(eq=False)
class Elements:
    """Consecutive elements of the event list of a Chrome trace, kept as events or not, as the input has them.

    `text` are the input's bytes from the first element to the end of the last, at `offset`; `starts` and `ends` are
    i64 positions in it, `ts` and `dur` i64 ns as recorded (null where there is no usable number). `rows` are the
    decoded elements with the attributes `ph`, `cat`, `name`, `pid`, `tid` and `id`. The ordinal of an element is its
    event's id. `sound` says that `text` is strict JSON, elements parted by one comma each.
    """

    first: int
    offset: int
    text: bytes
    starts: Ints
    ends: Ints
    ts: Ints
    dur: Ints
    rows: Sequence[Any]
    sound: bool

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def end(self) -> int:
        """The offset in the input after the last element."""
        return self.offset + len(self.text)


class Listing(Protocol):
    """One reading of a Chrome trace, from its beginning to its end; iterate once, then ask for the rest."""

    metadata: Mapping[str, Any]
    """The members of the top-level object but the event list, those that have been read so far."""

    truncated: bool
    """Whether the text ended before its list of events did; known at the end."""

    def __iter__(self) -> Iterator[Elements]: ...


@attrs.frozen
class Loaded:
    """What a frontend made of an input: how many events, the tokens of their times, and where instant 0 lies.

    A module with as many rows and the same tokens is what was read. `origin` is the ns by which the input's own times
    are ahead of the module's.
    """

    events: int
    ts: int
    dur: int
    origin: int


@runtime_checkable
class ChromeSource(Source, Protocol):
    """A source whose input is Chrome trace JSON, so that it can be written out again as it is."""

    @property
    def loaded(self) -> Loaded | None:
        """What was made of it; None if there was no event."""
        ...

    def listing(self, after: int = 0) -> Listing:
        """The elements in order; with `after`, the offset of some element's end, only those behind it."""
        ...

    def text(self, start: int, end: int | None = None) -> Iterator[bytes]:
        """The text between two offsets in pieces, to its end without `end`."""
        ...
