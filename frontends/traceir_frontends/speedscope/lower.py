"""From a document to a module: a lane per profile, its stacks as nested frames."""

from __future__ import annotations

import re
from decimal import Context, Decimal, localcontext
from typing import Final

import attrs

from traceir.errors import InputError
from traceir.ir import Finding, Lane, Module
from traceir_frontends.speedscope.document import Document, FrameRow, Profile, plain
from traceir_frontends.stacks import Frame, Stacks
from traceir_frontends.whole import name_of

_NS: Final = {"nanoseconds": 1, "microseconds": 1_000, "milliseconds": 1_000_000, "seconds": 1_000_000_000}
_UNITS: Final = (*_NS, "none", "bytes")
_THREAD: Final = re.compile(r'Thread (?P<tid>(?:0x)?[0-9A-Fa-f]+)(?: "(?P<name>.*)")?\Z')
_LEAST, _MOST = Decimal(-(1 << 61)), Decimal(1 << 62)
"""Times in ns beyond these are damage; the two are less than 2^63 apart, so no length can wrap."""
_DIGITS: Final = 60
"""Digits of sums of times: a time that is read has at most 31 before its point."""


@attrs.define
class _Reading:
    """What was met on the way."""

    path: str
    left_open: int = 0
    clockless: set[str] = attrs.field(factory=set)


def lower(path: str, document: Document) -> Module:
    """The module of a document; InputError where it contradicts its own format. O(frames in all stacks)."""
    reading = _Reading(path)
    stacks = Stacks(path, [Frame(_shown(frame), plain(frame)) for frame in document.shared.frames])
    with localcontext(Context(prec=_DIGITS)):
        _profiles(path, document, stacks, reading)
    told = {"profile": document.name, "exporter": document.exporter}
    meta = {key: value for key, value in told.items() if value}
    return stacks.build("speedscope", name_of(path), _findings(reading), meta)


def _profiles(path: str, document: Document, stacks: Stacks, reading: _Reading) -> None:
    for number, profile in enumerate(document.profiles):
        if profile.unit not in _UNITS:
            raise InputError(f"The input {path} gives its profile {number} the unit {profile.unit!r}, which is none.")
        if profile.unit not in _NS:
            reading.clockless.add(profile.unit)
        stacks.begin(_lane(profile, number))
        if profile.type == "sampled":
            _sampled(stacks, profile, number, reading)
        elif profile.type == "evented":
            _evented(stacks, profile, number, reading)
        else:
            raise InputError(
                f"The input {path} says that its profile {number} is {profile.type!r}, which is neither sampled nor "
                "evented."
            )


def _sampled(stacks: Stacks, profile: Profile, number: int, reading: _Reading) -> None:
    if len(profile.samples) != len(profile.weights):
        raise InputError(
            f"The input {reading.path} gives its profile {number} {len(profile.samples)} samples and "
            f"{len(profile.weights)} weights; there has to be one for each."
        )
    at = profile.startValue
    for place, (stack, weight) in enumerate(zip(profile.samples, profile.weights, strict=True)):
        for frame in stack:
            _known(stacks, frame, f"sample {place} of profile {number}", reading)
        if _checked(weight, reading) < 0:
            raise InputError(
                f"The input {reading.path} gives sample {place} of profile {number} the weight {weight}, and time does "
                "not run backwards."
            )
        stacks.become(stack, _ns(at, profile, reading))
        at += weight
    stacks.end(_ns(at, profile, reading))


def _evented(stacks: Stacks, profile: Profile, number: int, reading: _Reading) -> None:
    last = None
    for place, mark in enumerate(profile.events):
        where = f"event {place} of profile {number}"
        _known(stacks, mark.frame, where, reading)
        at = _ns(mark.at, profile, reading)
        if last is not None and at < last:
            raise InputError(
                f"The input {reading.path} is out of order: {where} is at {mark.at}, which is before the one before it."
            )
        last = at
        if mark.type == "O":
            stacks.open(mark.frame, at)
        elif mark.type != "C":
            raise InputError(f"The input {reading.path} has an event that neither opens nor closes: {where}.")
        elif stacks.innermost != mark.frame:
            innermost = stacks.innermost
            found = (
                "nothing is open" if innermost is None else f"{stacks.frames[innermost].name!r} is the innermost open"
            )
            raise InputError(
                f"The input {reading.path} closes frames out of order: {where} closes "
                f"{stacks.frames[mark.frame].name!r} while {found}."
            )
        else:
            stacks.close(at)
    end = last if profile.endValue is None else _ns(profile.endValue, profile, reading)
    if last is not None and end is not None:
        reading.left_open += stacks.end(max(last, end))


def _known(stacks: Stacks, frame: int, where: str, reading: _Reading) -> None:
    if not 0 <= frame < len(stacks.frames):
        raise InputError(
            f"The input {reading.path} has {len(stacks.frames)} frames, and {where} names the frame {frame}."
        )


def _ns(value: Decimal, profile: Profile, reading: _Reading) -> int:
    scaled = _checked(value, reading) * _NS.get(profile.unit, 1)
    if not _LEAST <= scaled <= _MOST:
        raise InputError(f"The input {reading.path} has the time {value:.6g}, which no clock shows.")
    return int(scaled.to_integral_value())


def _checked(value: Decimal, reading: _Reading) -> Decimal:
    """The value; InputError if it is no number, or one that arithmetic would stumble over."""
    if not value.is_finite() or value.adjusted() > _DIGITS // 2:
        raise InputError(f"The input {reading.path} has the time {str(value)[:20]}, which no clock shows.")
    return value


def _lane(profile: Profile, number: int) -> Lane:
    thread = _THREAD.match(profile.name)
    if thread is not None:
        return Lane(f"cpu.t{thread['tid']}", "host.thread", tid=thread["tid"], label=thread["name"] or "")
    return Lane(f"cpu.p{number}", "host.thread", label=profile.name)


def _shown(frame: FrameRow) -> str:
    """A frame as profilers of Python spell it: `file.py(12): function`."""
    if not frame.file:
        return frame.name
    return f"{frame.file}({frame.line}): {frame.name}" if frame.line is not None else f"{frame.file}: {frame.name}"


def _findings(reading: _Reading) -> list[Finding]:
    out = []
    if reading.left_open:
        out.append(
            Finding(
                "open_events", "warning", reading.left_open, f"{reading.left_open} frames are never closed; they end "
                "with their profile.",
            )
        )  # fmt: skip
    if reading.clockless:
        units = " and ".join(sorted(reading.clockless))
        out.append(
            Finding(
                "no_clock", "info", 1, f"Lengths of profiles with the unit {units} are no times; they are shown as ns.",
            )
        )  # fmt: skip
    return out
