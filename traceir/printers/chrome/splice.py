"""The input's own text with further elements put in: untouched where nothing changed, else edited in place."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import attrs
import numpy as np

from traceir.ir import Ints, Mask, Module
from traceir.ir.health import DAMAGE
from traceir.ir.source import ChromeSource, Elements, Listing
from traceir.printers.chrome.edits import Times, edit
from traceir.printers.chrome.moves import Plan, plan
from traceir.printers.chrome.redact import Redactor
from traceir.printers.chrome.survey import Survey
from traceir.printers.chrome.text import SEPARATOR, Sink, dumps, is_strict
from traceir.printers.chrome.tracks import own_pids

_BOM = b"\xef\xbb\xbf"


def origin_of(source: ChromeSource) -> int:
    """The ns by which the file's times are ahead of the module's."""
    loaded = source.loaded
    return loaded.origin if loaded is not None else 0


def write(
    module: Module, source: ChromeSource, extra: Iterable[str], sink: Sink, *, dead: bool, redactor: Redactor | None
) -> None:
    """Write a module of a Chrome trace: copied where it is untouched, else edited. `dead`: removed events stay."""
    end = None if redactor is not None else _untouched(module, source, dead=dead)
    if end is None:
        _edit(module, source, extra, sink, dead=dead, redactor=redactor)
        return
    sink.copy(source.text(0, end))
    sink.rows(extra)
    sink.copy(source.text(end))


def _untouched(module: Module, source: ChromeSource, *, dead: bool) -> int | None:
    """Where the last element ends, if the input's text says what the module says: all rows, their times, no damage.

    None otherwise. Reads what stands before the first event and behind the last.
    """
    loaded = source.loaded
    if (
        loaded is None
        or loaded.events != len(module)
        or (loaded.ts, loaded.dur) != (module.token("ts"), module.token("dur"))
        or not (dead or module.live.all())
        or any(finding.code in DAMAGE for finding in module.health)
        or own_pids(module)
    ):
        return None
    end = after = int((module["offset"] + module["length"]).max())
    for part in source.listing(after):
        end = part.end
    head, tail = b"".join(source.text(0, int(module["offset"].min()))), b"".join(source.text(end))
    bare = _is_list(head)
    sound = is_strict(head + (b"0]" if bare else b"0]}")) and is_strict((b"[0" if bare else b'{"":[0') + tail)
    return end if sound else None


def _edit(
    module: Module, source: ChromeSource, extra: Iterable[str], sink: Sink, *, dead: bool, redactor: Redactor | None
) -> None:
    """The text without what the module no longer has, and with the module's times. Two passes over the text.

    Bytes of elements that stay are untouched but for changed times; what is damaged is written as strict JSON, or
    left out where nothing can be read.
    """
    survey = Survey.of(module, source)
    work = _Edited(survey, plan(survey, dead=dead), redactor)
    _Writer(source, sink, None if redactor is None else redactor.metadata).write(work.pieces, extra)


@attrs.define(eq=False)
class _Edited:
    """The elements that stay, edited."""

    survey: Survey
    plan: Plan
    redactor: Redactor | None

    def pieces(self, part: Elements) -> Iterator[bytes]:
        """The text of a part's elements that stay: runs of neighbours, or single ones where the text is unsound."""
        rows = self.survey.rows(part)
        keep = self.plan.kept(np.arange(part.first, part.first + len(part)), rows)
        times = self._times(part, rows, keep)
        if self.redactor is not None:
            yield from self.redactor.elements(part, keep, rows, times)
            return
        text, starts, ends = edit(part, times) if times.any else (part.text, part.starts, part.ends)
        if not part.sound:
            for at in np.flatnonzero(keep).tolist():
                if (one := _sound(text[starts[at] : ends[at]])) is not None:
                    yield one
            return
        borders = np.flatnonzero(np.diff(np.concatenate([[False], keep, [False]]).astype(np.int8)))
        for low, high in borders.reshape(-1, 2).tolist():
            yield text[starts[low] : ends[high - 1]]

    def _times(self, part: Elements, rows: Ints, keep: Mask) -> Times:
        """The new times of a part's elements that stay."""
        out = Times.none(len(part))
        module, survey, plan = self.survey.module, self.survey, self.plan
        if not survey.moved:
            return out
        low, high = np.searchsorted(plan.moved, [part.first, part.first + len(part)])
        at = plan.moved[low:high] - part.first
        out.ts[at], out.dur[at] = plan.ts[low:high], plan.dur[low:high]
        known = np.flatnonzero((rows >= 0) & keep)
        row = rows[known]
        changed = module["ts"][row] != survey.was_ts[row]
        out.ts[known[changed]] = module["ts"][row[changed]] + survey.origin
        changed = module["dur"][row] != survey.was_dur[row]
        changed[changed] = [part.rows[at].ph == "X" for at in known[changed].tolist()]
        out.dur[known[changed]] = module["dur"][row[changed]]
        return out


def _sound(raw: bytes) -> bytes | None:
    """An element as strict JSON: itself where it is, else what can be read of it; None if that is nothing."""
    if is_strict(raw):
        return raw
    try:
        value = json.loads(raw.decode("utf-8", "replace"), strict=False)
    except (ValueError, RecursionError):
        return None
    return dumps(value).encode("utf-8", "replace") if isinstance(value, dict) else None


@attrs.define(eq=False)
class _Writer:
    """Writes a document again: its head, the elements that it is given for each part, further ones, and its tail."""

    source: ChromeSource
    sink: Sink
    redact: Callable[[Mapping[str, Any]], Mapping[str, Any]] | None = None
    """What to write instead of the top-level members, all of them at the end; None: themselves."""
    _first: bool = attrs.field(default=True, init=False)

    def write(self, pieces: Callable[[Elements], Iterable[bytes]], extra: Iterable[str]) -> None:
        """Write the document; head and tail as they are where they are sound, else from the members that were read."""
        listing = self.source.listing()
        end, head = -1, b""
        members: set[str] = set()
        for part in listing:
            if end < 0:
                head = b"".join(self.source.text(0, part.offset)).removeprefix(_BOM)
                members = set(listing.metadata)
                self._begin(listing, head)
            end = part.end
            for piece in pieces(part):
                self.element(piece)
        if end < 0:
            head = next(iter(self.source.text(0, 64)), b"").removeprefix(_BOM)
            members = set(listing.metadata)
            self._begin(listing, b"[" if _is_list(head) else b"")
        self.sink.rows(extra, first=self._first)
        tail = b"".join(self.source.text(end)) if end >= 0 and not listing.truncated else b""
        bare = _is_list(head)
        sound = tail and self.redact is None and is_strict((b"[0" if bare else b'{"":[0') + tail)
        if self.redact is not None:
            self.sink.write(_tail(self.redact(listing.metadata), set(), bare=False))
        else:
            self.sink.write(tail if sound else _tail(listing.metadata, members, bare=bare))

    def _begin(self, listing: Listing, head: bytes) -> None:
        if self.redact is not None:
            self.sink.write(_head({}, bare=False))
        else:
            self.sink.write(head if _is_head(head) else _head(listing.metadata, bare=_is_list(head)))

    def element(self, text: bytes) -> None:
        """Write one element, or a run of them, behind those before."""
        self.sink.write(text if self._first else SEPARATOR + text)
        self._first = False


def _is_list(head: bytes) -> bool:
    """Whether the document is the list itself."""
    return head.lstrip()[:1] == b"["


def _is_head(head: bytes) -> bool:
    return is_strict(head + (b"]" if _is_list(head) else b"]}"))


def _members(members: Mapping[str, Any], without: set[str]) -> list[str]:
    return [f"{dumps(key)}: {dumps(value)}" for key, value in members.items() if key not in without]


def _head(members: Mapping[str, Any], *, bare: bool) -> bytes:
    """The beginning of a document with the members read so far."""
    if bare:
        return b"[\n  "
    parts = [*_members(members, {"traceEvents"}), '"traceEvents": [\n  ']
    return ("{\n  " + ",\n  ".join(parts)).encode("utf-8", "replace")


def _tail(members: Mapping[str, Any], written: set[str], *, bare: bool) -> bytes:
    """The end of a document with the members that its beginning did not have."""
    if bare:
        return b"\n]\n"
    parts = ["\n  ]", *_members(members, {*written, "traceEvents"})]
    return (",\n  ".join(parts) + "\n}\n").encode("utf-8", "replace")
