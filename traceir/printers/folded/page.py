"""Composing the page: head, folded steps, tables of the reports, and what is wrong with the trace."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

import attrs

from traceir import folding, units
from traceir.passing import Block, Fact, Report, to_json
from traceir.printers.base import Result, Style
from traceir.printers.folded.lines import BLANK, Line
from traceir.printers.folded.render import render

_MARK_MOST = 32
_DEVICES_MOST = 4
SCREEN = 60
"""Lines of a page: what a large terminal shows at once. A page that is longer has its smaller parts summed."""


@attrs.frozen
class Room:
    """How much of each part is shown; what is left out is summed in a line that says so."""

    steps: int
    ops: int
    layer_ops: int
    rows: int
    findings: int
    details: bool = False


_ALL = Room(10**6, 10**6, 10**6, 10**6, 10**6, details=True)
_ROOMS = (
    Room(steps=6, ops=14, layer_ops=24, rows=6, findings=5, details=True),
    Room(steps=6, ops=14, layer_ops=24, rows=6, findings=5),
    Room(steps=5, ops=9, layer_ops=20, rows=5, findings=4),
    Room(steps=4, ops=7, layer_ops=16, rows=4, findings=3),
    Room(steps=3, ops=5, layer_ops=12, rows=3, findings=3),
    Room(steps=2, ops=4, layer_ops=8, rows=2, findings=2),
)
"""From generous to tight: the first with which the page fits a screen is taken."""


def compose(result: Result, style: Style) -> list[Line]:
    """The lines of the page. Sections are separated by blank lines. `verbose` leaves nothing out."""
    steps = folding.fold(result.module) if result.module.work.any() else ()
    for room in (_ALL,) if style.verbose else _ROOMS:
        lines = _compose(result, steps, room, style.width)
        if style.verbose or sum(1 for _ in render(lines, style)) <= SCREEN:
            break
    return lines


def _compose(result: Result, steps: Sequence[folding.Step], room: Room, width: int) -> list[Line]:
    lines = [*_head(result, width), *_steps(steps, room)]
    for name, report in result.reports.items():
        lines.extend(_tail(name, report, room))
    lines.extend(_health(result, room))
    while lines and lines[-1] == BLANK:
        lines.pop()
    return lines


def _head(result: Result, width: int) -> Iterator[Line]:
    module = result.module
    origin = result.inputs[0] if result.inputs else None
    about = [origin.frontend if origin else ""]
    about += [str(module.meta[key]) for key in ("vendor",) if module.meta.get(key)]
    about.append(f"{units.count(len(module))} events")
    if module.meta.get("rank") is not None:
        world = module.meta.get("world")
        about.append(f"rank {module.meta['rank']}" + (f" of {world}" if world else ""))
    devices = [device for device in module.devices if device >= 0]
    if len(devices) > _DEVICES_MOST:
        about.append(f"{len(devices)} devices")
    else:
        about.append("no device" if not module.devices else ", ".join(f"@gpu{device}" for device in devices) or "@gpu")
    yield Line(label=module.name, text=" · ".join(part for part in about if part), look="title", wraps=True)
    facts = [fact for report in result.reports.values() for fact in report.headline()]
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


def _steps(steps: Sequence[folding.Step], room: Room) -> Iterator[Line]:
    ranked = sorted(steps, key=lambda step: -step.work_ns)
    shown = set(map(id, ranked[: room.steps]))
    for step in steps:
        if id(step) in shown:
            yield from _step(step, room)
            yield BLANK
    rest = [step for step in steps if id(step) not in shown]
    if rest:
        work = sum(step.work_ns for step in rest)
        every = sum(step.work_ns for step in steps)
        number = sum(step.count for step in rest)
        yield Line(
            text=f"… {number} more steps of {len(rest)} other kinds, {units.time(work)} of device work "
            f"({units.share(work, every)} of all)",
            look="note",
        )
        yield BLANK


def _step(step: folding.Step, room: Room) -> Iterator[Line]:
    title = step.name or ("outside any step" if step.grouped else "all device work")
    each = " each" if step.count > 1 else ""
    about = [text for text in (step.phase, _short(step.mark)) if text]
    if step.count > 1:
        title = f"step ×{step.count}"
        about = [
            f"{'' if step.contiguous else 'some of '}{step.name} … {step.last}",
            *([step.phase] if step.phase else []),
        ]
    about.append(f"{_many(step.kernels, 'device event')}{each} from {_many(step.launches, 'launch', 'launches')}")
    about.append(f"{units.time(step.span_ns)} on {_lanes(step.lanes)}")
    if step.idle_ns:
        about.append(f"device idle {units.time(step.idle_ns)} of it")
    if step.slowest is not None and step.slowest[1] > 1.2 * step.span_ns:
        about.append(f"slowest {step.slowest[0]}, {units.time(step.slowest[1])}")
    yield Line(label=title, text=" · ".join(about), look="head", wraps=True)
    comm = step.exposed_ns is not None
    median = "median" if step.count > 1 or any(isinstance(item, folding.Stack) for item in step.items) else "time"
    yield Line(
        label="",
        cells=(median, "share", *(("exposed, all",) if comm else ())),
        text=f"of {units.time(step.work_ns)} summed durations",
        indent=2,
        look="note",
    )
    for stacked, items in groupby(step.items, key=lambda item: isinstance(item, folding.Stack)):
        chunk = list(items)
        if stacked:
            for item in chunk:
                assert isinstance(item, folding.Stack)
                yield from _stack(item, step, comm, room)
        else:
            ops = [item for item in chunk if isinstance(item, folding.Op)]
            yield from _ops(ops, step, comm, room.ops, indent=2, bar=False)


def _many(number: int, one: str, several: str = "") -> str:
    return f"{units.count(number)} {one if number == 1 else several or one + 's'}"


def _short(mark: str) -> str:
    """A mark's text, cut where it is longer than a person reads in passing."""
    return mark if len(mark) <= _MARK_MOST else mark[: _MARK_MOST - 1] + "…"


def _stack(stack: folding.Stack, step: folding.Step, comm: bool, room: Room) -> Iterator[Line]:
    label = f"layer ×{stack.layers}" + (f" (×{stack.instances})" if stack.instances > 1 else "")
    about = [f"{stack.evidence}" + (f", confidence {stack.confidence:.2f}" if stack.confidence is not None else "")]
    if stack.partial:
        about.append("partial: cut by the window")
    if stack.variants > 1:
        about.append(f"{stack.variants} variants")
    if stack.slowest is not None and stack.median_ns and stack.slowest.time_ns > 1.2 * stack.median_ns:
        slow = stack.slowest
        where = f"layer {slow.layer}" + (f" of {slow.step}" if slow.step and step.count > 1 else "")
        more = f" ({slow.label} ×{slow.factor:.1f})" if slow.factor < float("inf") else f" ({slow.label})"
        about.append(f"slowest: {where}, {units.time(slow.time_ns)}{more}")
    yield Line(
        label=label,
        cells=_cells(stack.median_ns, stack.total_ns, step.work_ns, stack.exposed_ns, comm),
        text=" · ".join(about),
        indent=2,
        look="fold",
    )
    yield from _ops(stack.ops, step, comm, room.layer_ops, indent=4, bar=True)


def _cells(median: int, total: int, whole: int, exposed: int | None, comm: bool) -> tuple[str, ...]:
    cells = (units.time(median), units.share(total, whole))
    return (*cells, "" if exposed is None else units.time(exposed)) if comm else cells


def _ops(
    ops: Sequence[folding.Op], step: folding.Step, comm: bool, most: int, *, indent: int, bar: bool
) -> Iterator[Line]:
    """A line per op in order of time; when they are too many the small ones are summed in one line."""
    keep = set(map(id, sorted(ops, key=lambda op: -op.total_ns)[: most if len(ops) <= most else most - 1]))
    for op in ops:
        if id(op) not in keep:
            continue
        yield Line(
            label=op.label,
            cells=_cells(op.median_ns, op.total_ns, step.work_ns, op.exposed_ns, comm),
            text=_about(op, step),
            indent=indent,
            bar=bar,
            look="comm" if op.exposed_ns is not None else "op",
        )
    rest = [op for op in ops if id(op) not in keep]
    if rest:
        total = sum(op.total_ns for op in rest)
        names = ", ".join(op.label for op in sorted(rest, key=lambda op: -op.total_ns))
        yield Line(
            label=f"… {len(rest)} more",
            cells=_cells(sum(op.median_ns for op in rest), total, step.work_ns, None, comm),
            text=names,
            indent=indent,
            bar=bar,
            look="note",
        )


def _about(op: folding.Op, step: folding.Step) -> str:
    # A label that is the kernel's own name, for want of a better one, need not be said twice.
    parts = [f"×{op.kernels}" if set(op.symbols) == {op.label} else _runs(op.symbols)]
    if op.present < op.instances:
        parts.append(f"in {op.present} of {op.instances}")
    if op.present > 3 and op.p90_ns > 1.5 * op.median_ns:
        parts.append(f"p90 {units.time(op.p90_ns)}")
    if op.lanes[:1] != step.lanes[:1] or len(op.lanes) > 1:
        parts.append(_lanes(op.lanes))
    return "   ".join(parts)


def _runs(symbols: Sequence[str]) -> str:
    """Kernel names in order, a repeated one as `name ×3`, at most four of them."""
    parts = []
    for name, run in groupby(symbols):
        number = len(list(run))
        parts.append(f"{name} ×{number}" if number > 1 else name)
    if len(parts) > 4:
        distinct = list(dict.fromkeys(symbols))
        more = f" … {len(distinct) - 3} more names" if len(distinct) > 3 else ""
        return f"{len(symbols)} kernels: " + " · ".join(distinct[:3]) + more
    return " · ".join(parts)


def _lanes(lanes: Sequence[str]) -> str:
    shown = ", ".join(f"@{name}" for name in lanes[:2])
    return shown + (f" and {len(lanes) - 2} more" if len(lanes) > 2 else "")


def _tail(name: str, report: Report, room: Room) -> Iterator[Line]:
    blocks = report.blocks()
    if blocks is None:
        blocks = _generic(name, report)
    for block in blocks:
        if block.detail and not room.details:
            continue
        yield Line(label=block.title, text=block.note, look="head", wraps=True)
        rows = block.rows[: room.rows]
        if block.columns:
            yield Line(label=block.columns[0], cells=block.columns[1:] or ("",), indent=2, look="note")
        for row in rows:
            yield Line(label=row[0], cells=row[1:] or ("",), indent=2)
        if len(rows) < len(block.rows):
            yield Line(text=f"… {len(block.rows) - len(rows)} more (--verbose)", indent=2, look="note")
        yield BLANK


def _generic(name: str, report: Report) -> list[Block]:
    """Tables made from a report's fields: scalars as one table, each list of objects as another."""
    data = to_json(report) if attrs.has(type(report)) else {}
    scalars = tuple((key, _cell(key, value)) for key, value in data.items() if not isinstance(value, list | dict))
    blocks = [Block(name, (), scalars)] if scalars else []
    for key, value in data.items():
        if isinstance(value, dict):
            blocks.append(Block(f"{name} {key}", (), tuple((k, _cell(k, v)) for k, v in value.items())))
        elif isinstance(value, list):
            if value and all(isinstance(item, dict) for item in value):
                columns = tuple(value[0])
                rows = tuple(tuple(_cell(column, item.get(column)) for column in columns) for item in value)
                blocks.append(Block(f"{name} {key}", columns, rows))
            else:
                blocks.append(Block(f"{name} {key}", (), tuple((_cell(key, item),) for item in value)))
    return blocks or [Block(name, (), (), "nothing found")]


def _cell(key: str, value: object) -> str:
    if value is None:
        return "unknown"
    if isinstance(value, int) and not isinstance(value, bool) and key.endswith("_ns"):
        return units.time(value)
    if isinstance(value, float):
        return f"{value:.4g}"
    return units.count(value) if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _health(result: Result, room: Room) -> Iterator[Line]:
    findings = sorted(result.module.health, key=lambda f: ("error", "warning", "info").index(f.level))
    shown = [f for f in findings if room is _ALL or f.level != "info"]
    if not shown:
        return
    poisoned: dict[str, list[str]] = {}
    for name, code in result.unreliable:
        poisoned.setdefault(code, []).append(name)
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
