"""Flame graphs: any module's host frames, or its kernels by layer, as collapsed stacks or a speedscope profile."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, ClassVar, Final, TextIO

import attrs
import msgspec
import numpy as np

import traceir as tir
from traceir.ir import Module
from traceir.printers.base import Printer, Result, Style
from traceir.printers.flame.paths import DEFAULT, Flames, Level, Of, Profile, flames

_BREAKS: Final = re.compile(r"[\r\n\t\v\f\x00-\x1f\x7f\x85\u2028\u2029]+")
_SCHEMA: Final = "https://www.speedscope.app/file-format-schema.json"
_BEYOND_ASCII: Final = re.compile(r"[^\x00-\x7f]")


@attrs.frozen
class _Flame(Printer):
    """What the two have in common: what is drawn, and by what."""

    prints_parts: ClassVar[bool] = True
    of: Of = tir.option(
        "auto", help="The frames of host threads, or device work; auto: device work where there is some."
    )
    by: tuple[Level, ...] = tir.option(DEFAULT, help="What device work lies in, from the outside in.")
    each: bool = tir.option(False, help="Keep each step, layer and block apart; else like ones add up.")


@attrs.frozen
class Collapsed(_Flame):
    """Collapsed stacks with their own time in ns, for flame graphs."""

    word: ClassVar[str] = "collapsed"

    def write(self, result: Result, out: TextIO, style: Style) -> None:
        """Write a line per distinct stack, sorted; the numbers add up to all time drawn.

        A semicolon in a name becomes a colon, a line break a blank: the format can hold neither.
        """
        found = flames(result.module, self.of, self.by, each=self.each)
        own = np.zeros(len(found.frame), np.int64)
        for profile in found.profiles:
            np.add.at(own, profile.path, profile.own)
        names = [_BREAKS.sub(" ", name.replace(";", ":")).strip() or "(no name)" for name in found.names]
        lines: dict[str, int] = {}
        for path in np.flatnonzero(own > 0).tolist():
            stack = ";".join(names[frame] for frame in found.stack(path))
            lines[stack] = lines.get(stack, 0) + int(own[path])
        for stack in sorted(lines):
            out.write(_shown(f"{stack} {lines[stack]}", style) + "\n")


@attrs.frozen
class Speedscope(_Flame):
    """A profile for speedscope.app: threads in time, or device work in order."""

    word: ClassVar[str] = "speedscope"

    def write(self, result: Result, out: TextIO, style: Style) -> None:
        """Write one document: a profile per thread with frames as they open and close, or one per device.

        Device work is shown one after another, without the gaps between (kernels of several streams overlap). Frames
        that end after the one around them are cut there: the format wants them nested.
        """
        module = result.module
        found = flames(module, self.of, self.by, each=self.each)
        clocked = "os.function" in module.kinds or all(item.code != "no_clock" for item in module.health)
        unit = "nanoseconds" if clocked and module.meta.get("trace_clock") != "ticks" else "none"
        out.write(f'{{"$schema": "{_SCHEMA}", "exporter": "traceir@{tir.__version__}", "name": ')
        out.write(_json(module.name, style) + ', "activeProfileIndex": 0,\n"shared": {"frames": [')
        _listed(({"name": name} for name in found.names), out, style)
        out.write('\n]},\n"profiles": [')
        for at, profile in enumerate(found.profiles):
            out.write(",\n" if at else "\n")
            told = _sampled(found, profile) if profile.lane is None else _evented(module, found, profile)
            out.write(_json({**told, "unit": unit}, style))
        out.write("\n]}\n")


def _sampled(found: Flames, profile: Profile) -> dict[str, Any]:
    known = {path: found.stack(path) for path in np.unique(profile.path).tolist()}
    samples = [known[path] for path in profile.path.tolist()]
    weights = profile.own.tolist()
    return {
        "type": "sampled", "name": profile.name, "startValue": 0, "endValue": sum(weights), "samples": samples,
        "weights": weights,
    }  # fmt: skip


def _evented(module: Module, found: Flames, profile: Profile) -> dict[str, Any]:
    """Frames opened and closed in order; a frame begins where the one before it was cut, if it begins earlier."""
    events: list[dict[str, Any]] = []
    open_: list[tuple[int, int, int]] = []  # row, frame, end
    parent, last = module.parent, 0
    frames = found.frame[profile.path].tolist()
    items = zip(profile.row.tolist(), frames, profile.start.tolist(), profile.end.tolist(), strict=True)
    for row, frame, start, end in items:
        above = int(parent[row])
        while open_ and open_[-1][0] != above:
            _, shut, at = open_.pop()
            last = max(last, at)
            events.append({"type": "C", "frame": shut, "at": last})
        last = max(last, start)
        events.append({"type": "O", "frame": frame, "at": last})
        open_.append((row, frame, max(last, min(end, open_[-1][2]) if open_ else end)))
    while open_:
        _, shut, at = open_.pop()
        last = max(last, at)
        events.append({"type": "C", "frame": shut, "at": last})
    lane = profile.lane
    assert lane is not None
    name = lane.label or lane.name
    if lane.kind == "host.thread" and re.fullmatch(r"(?:0x)?[0-9A-Fa-f]+", str(lane.tid)):
        name = f'Thread {lane.tid} "{lane.label}"' if lane.label else f"Thread {lane.tid}"
    return {"type": "evented", "name": name, "startValue": 0, "endValue": last, "events": events}


def _listed(items: Iterator[dict[str, Any]], out: TextIO, style: Style) -> None:
    for at, item in enumerate(items):
        out.write((",\n" if at else "\n") + _json(item, style))


def _json(value: Any, style: Style) -> str:
    try:
        text = msgspec.json.encode(value).decode()
    except UnicodeEncodeError:  # a name with half a surrogate pair is no UTF-8
        text = msgspec.json.encode(_mended(value)).decode()
    return text if style.unicode else _BEYOND_ASCII.sub(_escaped, text)


def _mended(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _mended(item) for key, item in value.items()}
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value


def _escaped(found: re.Match[str]) -> str:
    units = found.group().encode("utf-16-be")
    return "".join(f"\\u{units[at] << 8 | units[at + 1]:04x}" for at in range(0, len(units), 2))


def _shown(line: str, style: Style) -> str:
    text = line.encode("utf-8", "replace").decode()
    return text if style.unicode else text.encode("ascii", "backslashreplace").decode()


__all__ = ["Collapsed", "Speedscope"]
