"""The head of the page, and what is wrong with the trace."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from traceir import units
from traceir.passing import Fact
from traceir.passing.report import headline_of
from traceir.printers.base import Result
from traceir.printers.folded.lines import BLANK, Line
from traceir.printers.folded.room import Room

_DEVICES_MOST = 4


def head(result: Result, width: int) -> Iterator[Line]:
    """What the trace is, and the figures of all reports; broken between facts at `width`."""
    module = result.module
    origin = result.inputs[0] if result.inputs else None
    about = [origin.frontend if origin else ""]
    vendor = str(module.meta.get("vendor") or "")
    if vendor not in about:  # a vendor's own profiler is often called after it
        about.append(vendor)
    about.append(f"{units.count(len(module))} events")
    if module.meta.get("rank") is not None:
        world = module.meta.get("world")
        about.append(f"rank {module.meta['rank']}" + (f" of {world}" if world else ""))
    devices = [device for device in module.devices if device >= 0]
    if len(devices) > _DEVICES_MOST:
        about.append(f"{len(devices)} devices")
    else:
        names = [module.device_name(device) for device in devices or module.devices]
        about.append(", ".join(f"@{name}" for name in names) or "no device")
    yield Line(label=module.name, text=" · ".join(part for part in about if part), look="title", wraps=True)
    facts = [fact for name, report in result.reports.items() for fact in headline_of(name, report)]
    for timed in (True, False):  # times first, since they are what people look for
        yield from _packed([_joined(fact) for fact in facts if (fact.unit == "ns") == timed], width)
    if result.unreliable:
        doubts = ", ".join(f"{name} ({code})" for name, code in result.unreliable)
        yield Line(text=f"unreliable: {doubts}; see below", look="warning", wraps=True)
    if not module.work.any():
        span = units.time(module.span_ns)
        yield Line(
            text=f"The trace shows no device work; its {units.count(len(module))} events span {span}.", wraps=True
        )
    yield BLANK


def _joined(fact: Fact) -> str:
    """A fact whose label stays with the beginning of its value when the line wraps (by no-break spaces)."""
    label = fact.label.replace(" ", "\u00a0")
    return f"{label}\u00a0{units.fact(fact)}"


def _packed(texts: Sequence[str], width: int) -> Iterator[Line]:
    """Lines of facts, broken between them; one that is longer than a line wraps within itself."""
    row = ""
    for text in texts:
        if row and len(row) + 3 + len(text) > width:
            yield Line(text=row, wraps=True)
            row = ""
        row += ("   " if row else "") + text
    if row:
        yield Line(text=row, wraps=True)


def health(result: Result, room: Room) -> Iterator[Line]:
    """What is wrong with the trace, the worst first, and which results rest on it."""
    findings = sorted(result.module.health, key=lambda f: ("error", "warning", "info").index(f.level))
    poisoned: dict[str, list[str]] = {}
    for name, code in result.unreliable:
        poisoned.setdefault(code, []).append(name)
    shown = [f for f in findings if room.everything or f.level != "info" or f.code in poisoned]
    if not shown:
        return
    for finding in shown[: room.findings]:
        poison = f" Unreliable: {', '.join(poisoned[finding.code])}." if finding.code in poisoned else ""
        yield Line(
            label=f"{finding.level} {finding.code} ×{units.count(finding.count)}",
            text=finding.message + poison,
            look="error" if finding.level == "error" else "warning",
            wraps=True,
        )
    if len(shown) > room.findings:
        yield Line(text=f"… {len(shown) - room.findings} more findings (--verbose)", look="note")
