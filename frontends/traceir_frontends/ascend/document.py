"""The text of a timeline: a list of Chrome events whose times are strings, read piece by piece like any of them."""

from __future__ import annotations

from typing import Any, Final

import attrs
import msgspec

from traceir.ir import NULL_I64
from traceir_frontends.ascend.times import nanoseconds
from traceir_frontends.kineto.decode import Piece, PieceDecoder
from traceir_frontends.kineto.reader import Document
from traceir_frontends.kineto.repair import BROKEN, loose, mend


class Args(msgspec.Struct, gc=False):
    """The arguments that the frontend itself needs."""

    connection: Any = msgspec.field(name="connection_id", default=NULL_I64)
    task_type: Any = msgspec.field(name="Task Type", default=None)
    new_stream: Any = msgspec.field(name="Physic Stream Id", default=NULL_I64)
    old_stream: Any = msgspec.field(name="Stream Id", default=NULL_I64)
    task: Any = msgspec.field(name="Task Id", default=NULL_I64)
    context: Any = msgspec.field(name="Subtask Id", default=NULL_I64)
    part_stream: Any = msgspec.field(name="stream id", default=NULL_I64)
    part_task: Any = msgspec.field(name="task id", default=NULL_I64)
    part_context: Any = msgspec.field(name="context id", default=NULL_I64)
    name: Any = None
    labels: Any = None
    sort_index: Any = None


class Token(msgspec.Struct, gc=False):
    """An event with its times as text."""

    ph: str = ""
    cat: str | None = None
    name: str = ""
    pid: int | str | float | None = None
    tid: int | str | float | None = None
    ts: msgspec.Raw = msgspec.Raw(b"")
    dur: msgspec.Raw = msgspec.Raw(b"")
    id: int | str | float | None = None
    args: Args | None = None


_TOKENS: Final = msgspec.json.Decoder(list[Token])
_TOKEN: Final = msgspec.json.Decoder(Token)
_FIELDS: Final = {item.encode_name: item.name for item in msgspec.structs.fields(Args)}


@attrs.define
class TokenDecoder(PieceDecoder):
    """Decodes lists of events with their times as exact text."""

    def decode(self, view: memoryview, at: int) -> Piece:
        """The events of the JSON list in `view`, which begins at `at` of the buffer; DecodeError if it is none."""
        tokens = _TOKENS.decode(view)
        ts = nanoseconds([bytes(token.ts) for token in tokens])
        return self._placed(view, at, tokens, ts, nanoseconds([bytes(token.dur) for token in tokens]))


class Timeline(Document):
    """One timeline: iterate over `pieces`, whose events have the attributes of `Token`."""

    def _walk(self) -> tuple[Piece | None, bool]:
        """The slow way through damaged text, after which each event is decoded as the others are."""
        piece, closed = super()._walk()
        self.damage.counts.pop("string_time", None)  # they are the format's own
        self.damage.first.pop("string_time", None)
        if piece is None:
            return None, closed
        buffer = self.window.buffer
        events = [
            again(bytes(memoryview(buffer)[start:end])) if event.ph else Token()
            for event, start, end in zip(piece.events, piece.starts.tolist(), piece.ends.tolist(), strict=True)
        ]
        return attrs.evolve(piece, events=events), closed


def again(raw: bytes) -> Token:
    """An event from bytes that may be no strict JSON; one without a phase if they are none at all."""
    try:
        return _TOKEN.decode(raw)
    except BROKEN:
        found, value = mend(raw), loose(raw)
    args = value.get("args") if isinstance(value, dict) else None
    if found is None:
        return Token()
    known = {_FIELDS[key]: item for key, item in args.items() if key in _FIELDS} if isinstance(args, dict) else None
    return Token(
        found.ph, found.cat, found.name, found.pid, found.tid, found.ts, found.dur, found.id,
        None if known is None else Args(**known),
    )  # fmt: skip
