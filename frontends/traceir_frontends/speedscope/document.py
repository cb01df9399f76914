"""The document: what the file says, checked, and its numbers exact."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec

from traceir.errors import InputError


class FrameRow(msgspec.Struct):
    """A function."""

    name: str
    file: str | None = None
    line: int | None = None
    col: int | None = None


class Shared(msgspec.Struct):
    """What all profiles share."""

    frames: list[FrameRow]


class Mark(msgspec.Struct):
    """A frame that is opened (`O`) or closed (`C`)."""

    type: str
    frame: int
    at: Decimal


class Profile(msgspec.Struct):
    """One thread, sampled or evented."""

    type: str
    unit: str = "none"
    name: str = ""
    startValue: Decimal = Decimal(0)  # noqa: N815 - the format's own word
    endValue: Decimal | None = None  # noqa: N815
    samples: list[list[int]] = []
    weights: list[Decimal] = []
    events: list[Mark] = []


class Document(msgspec.Struct):
    """A speedscope file."""

    shared: Shared
    profiles: list[Profile]
    exporter: str | None = None
    name: str | None = None


def read(path: str, raw: bytes, damage: str | None) -> Document:
    """The document; InputError with the place and the mend if it is not whole or no such file."""
    if damage:
        raise InputError(f"The input {path} is a gzip file that is damaged: {damage}; copy it again.")
    try:
        return msgspec.json.decode(raw.removeprefix(b"\xef\xbb\xbf"), type=Document)
    except msgspec.ValidationError as error:
        raise InputError(f"The input {path} is no speedscope profile: {_lower(error)}.") from None
    except RecursionError:
        raise InputError(
            f"The input {path} is no speedscope profile: it nests lists or objects deeper than any; record it again."
        ) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(
            f"The input {path} is no whole speedscope profile ({_lower(error)}); record it again, or copy it again."
        ) from None


def _lower(error: Exception) -> str:
    text = str(error)
    return text if text[:4] == "JSON" else text[:1].lower() + text[1:]


def plain(frame: FrameRow) -> dict[str, Any]:
    """What a frame says of itself, without what it does not say."""
    told = {"file": frame.file, "line": frame.line, "col": frame.col}
    return {"name": frame.name, **{key: value for key, value in told.items() if value is not None}}
