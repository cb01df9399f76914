"""The folded steps: a section each, with its layers, its ops, and where it idles."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

import attrs

from traceir import folding, units
from traceir.printers.folded import words
from traceir.printers.folded.lines import BLANK, Line
from traceir.printers.folded.room import Room
from traceir.printers.folded.sums import SumColumns

SPREAD = 1.2
"""The slow instances of what repeats are told if they take more than this many times the median."""
_MANY = 10
"""From so many instances on the spread is the 90th percentile; of fewer it is the slowest, which is a fact."""
_OUTLIERS = 3
"""Outlying steps that are named; the others are counted."""
_MAIN = 0.5
"""A place that has more than this share of a step's gap time is named as where the gaps are."""


@attrs.frozen
class Columns:
    """The columns of one step's section, and what its lines are told against: the step, and its `main` lane.

    `comm` says that some of the step's communication is exposed, `sums` are the columns of plug-ins.
    """

    step: folding.Step
    comm: bool
    main: str
    sums: SumColumns

    @classmethod
    def of(cls, step: folding.Step) -> Columns:
        """The columns that have something to tell in this step; the main lane is the one on which most ops run."""
        parts = [part for item in step.items for part in (item, *(item.ops if isinstance(item, folding.Stack) else ()))]
        lanes = [part.lanes[0] for part in parts if isinstance(part, folding.Op) and part.lanes]
        return cls(
            step, step.exposed_ns is not None, max(step.lanes, key=lanes.count, default=""), SumColumns.of([step.sums])
        )

    def heading(self, median: str) -> Line:
        """The heading of the section."""
        own = (median, "share", "exposed") if self.comm else (median, "share")
        return Line(
            cells=(*own, *self.sums.headings),
            text=f"shares of {units.time(self.step.work_ns)} of device work",
            indent=2,
            look="note",
            yields=(*self.sums.positions(len(own)), *((2, 1) if self.comm else (1,))),
            gives=len(self.sums.names),  # without its kernels a line says less than without one more figure
        )

    def cells(self, median: int, total: int | None, exposed: int | None, sums: tuple[str, ...]) -> tuple[str, ...]:
        """The cells of one line; `sums` are those of plug-ins' columns."""
        out = (units.time(median), "" if total is None else units.share(total, self.step.work_ns))
        return (*out, *(("" if exposed is None else units.time(exposed),) if self.comm else ()), *sums)

    def line(self, item: folding.Op | folding.Stack | folding.Template) -> tuple[str, ...]:
        """The cells of the line of an op, a stack or a template."""
        return self.cells(item.median_ns, item.total_ns, item.exposed_median_ns, self.sums.medians(item.sums))


def steps(folded: Sequence[folding.Step], room: Room) -> Iterator[Line]:
    """The steps with most work, in order of time; the rest summed in a line."""
    ranked = sorted(folded, key=lambda step: -step.work_ns)
    shown = set(map(id, ranked[: room.steps]))
    for step in folded:
        if id(step) in shown:
            yield from _step(step, room)
            yield BLANK
    rest = [step for step in folded if id(step) not in shown]
    if rest:
        work = sum(step.work_ns for step in rest)
        every = sum(step.work_ns for step in folded)
        number = sum(step.count for step in rest)
        kinds = f" of {len(rest)} other kinds" if len(rest) > 1 else ""
        yield Line(
            text=f"… {words.many(number, 'more step')}{kinds}, {units.time(work)} of device work "
            f"({units.share(work, every)} of all)",
            look="note",
        )
        yield BLANK


def _is_stack(item: folding.Op | folding.Stack) -> bool:
    return isinstance(item, folding.Stack)


def _step(step: folding.Step, room: Room) -> Iterator[Line]:
    columns = Columns.of(step)
    yield Line(label=_title(step), text=" · ".join(_facts(step, columns.main)), look="head", wraps=True)
    repeats = step.count > 1 or any(map(_is_stack, step.items))
    yield columns.heading("median" if repeats else "time")
    for stacked, items in groupby(step.items, key=_is_stack):
        chunk = list(items)
        if stacked:
            for item in chunk:
                assert isinstance(item, folding.Stack)
                yield from _stack(item, columns, room)
        else:
            ops = [item for item in chunk if isinstance(item, folding.Op)]
            yield from _ops(ops, columns, room.ops, indent=2, bars=0)
    if step.gaps is not None and step.gaps.count:
        yield from _gaps(step, step.gaps, columns, room.causes)


def _title(step: folding.Step) -> str:
    if step.count > 1:
        return f"step ×{step.count}"
    return step.name or ("outside any step" if step.grouped else "all device work")


def _facts(step: folding.Step, main: str) -> Iterator[str]:
    several = step.count > 1
    lanes = sorted(step.lanes, key=lambda name: name != main)  # the others stay in order of their time
    if several:
        yield f"{'' if step.contiguous else 'some of '}{step.name} … {step.last}"
    yield from (text for text in (step.phase, "" if several else words.short(step.mark)) if text)
    each = " each" if several else ""
    launches = words.many(step.launches, "launch", "launches")
    yield f"{words.many(step.kernels, 'device event')}{each} from {launches}"
    yield f"{'median ' if several else ''}{units.time(step.span_ns)} on {words.lanes(lanes)}"
    if step.outliers:
        yield from words.outliers(step.outliers, several=True, most=_OUTLIERS)
    elif step.slowest is not None:
        yield f"fastest {units.time(step.fastest_ns)}, slowest {step.slowest[0]} {units.time(step.slowest[1])}"
    if step.idle_ns and step.gaps is None:
        yield f"device idle {units.time(step.idle_ns)} of it"
    if step.unknown_ns:
        yield f"unknown roles {units.share(step.unknown_ns, step.work_ns)} of device work"


def _stack(stack: folding.Stack, columns: Columns, room: Room) -> Iterator[Line]:
    label = f"layer ×{stack.layers}" + (f" (×{stack.instances})" if stack.instances > 1 else "")
    about = [text for text in (_spread(stack),) if text]
    several = columns.step.count > 1
    odd = words.outliers(stack.outliers, several=several) if len(stack.templates) == 1 else []
    if stack.outliers and stack.outliers[0].delta_ns > 0:
        about += odd
        odd = []
    if len(stack.templates) > 1:
        about.append(
            " and ".join(f"{item.title} ×{round(item.count / stack.instances)}" for item in stack.templates[:3])
        )
    if len(stack.lanes) > 1:
        about.append(" beside ".join(f"@{name} {units.time(time)}" for name, time in stack.lanes[:3]))
    extents = list(_extents(stack.templates[0])) if len(stack.templates) == 1 else []
    if stack.templates and stack.templates[0].span_ns > SPREAD * stack.templates[0].busy_ns:
        about += extents
        extents = []
    if stack.evidence:
        sure = f", confidence {stack.confidence:.2f}" if stack.confidence is not None else ""
        about.append(f"evidence {stack.evidence}{sure}")
    if stack.partial:
        about.append("partial: cut by the window")
    about += odd
    about += extents
    yield Line(
        label=label,
        cells=columns.line(stack),
        text=" · ".join(about),
        indent=2,
        look="fold",
    )
    yield from _ops(stack.ops, columns, room.layer_ops, indent=4, bars=1)
    if len(stack.templates) > 1:
        for item in stack.templates:
            yield from _template(item, stack, columns, room)


def _template(item: folding.Template, stack: folding.Stack, columns: Columns, room: Room) -> Iterator[Line]:
    """One of several kinds of layers: which layers, and what it does not have alike with the others."""
    number = round(item.count / stack.instances)
    more = f" (×{stack.instances})" if stack.instances > 1 else ""
    about = [f"{'layers' if len(item.numbers) > 1 else 'layer'} {words.numbers(item.numbers)}"]
    if item is not stack.templates[0]:
        more_ns = item.median_ns - stack.templates[0].median_ns
        about.append(f"{units.time(abs(more_ns))} {'more' if more_ns >= 0 else 'less'} than {stack.templates[0].title}")
    about += words.outliers(item.outliers, several=columns.step.count > 1)
    about += _extents(item)
    yield Line(
        label=f"{item.title} ×{number}{more}",
        cells=columns.line(item),
        text=" · ".join(about),
        indent=4,
        bar=True,
        look="fold",
    )
    own = [item.ops[place] for place in item.own]
    yield from _ops(own, columns, max(room.layer_ops // len(stack.templates), 2), indent=6, bars=2)


def _extents(item: folding.Template) -> Iterator[str]:
    """How long a layer takes from its first to its last event, how much of that its work runs, and on the host."""
    span, busy = units.time(item.span_ns), units.time(item.busy_ns)
    yield f"spans {span}" + (f", busy {busy}" if busy != span else "")
    if item.host_ns is not None:
        yield f"launched within {units.time(item.host_ns)}"


def _spread(item: folding.Op | folding.Stack) -> str:
    """How far the slow instances lie from the median; empty if that is not far, or one instance is all there is."""
    instances = item.present if isinstance(item, folding.Op) else item.layers * item.instances
    if instances < 2:
        return ""
    word, value = ("p90", item.p90_ns) if instances >= _MANY else ("max", item.max_ns)
    return f"{word} {units.time(value)}" if value > SPREAD * item.median_ns else ""


def _ops(ops: Sequence[folding.Op], columns: Columns, most: int, *, indent: int, bars: int) -> Iterator[Line]:
    """A line per op in order of time; when they are too many the small ones are summed in one line."""
    keep = set(map(id, sorted(ops, key=lambda op: -op.total_ns)[: most if len(ops) <= most else most - 1]))
    for op in ops:
        if id(op) not in keep:
            continue
        some = f" ({op.present}/{op.instances})" if op.present < op.instances else ""
        yield Line(
            label=op.label + some,
            cells=columns.line(op),
            text=_about(op, columns.main),
            indent=indent,
            bar=bars > 0,
            bars=max(bars, 1),
            look="comm" if op.exposed_ns is not None else "op",
        )
    rest = [op for op in ops if id(op) not in keep]
    if rest:
        names = ", ".join(op.label for op in sorted(rest, key=lambda op: -op.total_ns))
        exposed = [op.exposed_median_ns for op in rest if op.exposed_median_ns is not None]
        yield Line(
            label=f"… {len(rest)} more",
            cells=columns.cells(
                sum(op.median_ns for op in rest),
                sum(op.total_ns for op in rest),
                sum(exposed) if exposed else None,
                columns.sums.medians_added([op.sums for op in rest]),
            ),
            text=names,
            indent=indent,
            bar=bars > 0,
            bars=max(bars, 1),
            look="note",
        )


def _about(op: folding.Op, main: str) -> str:
    """What is out of the ordinary first (another lane, a wide spread), since a long list of kernels is cut."""
    parts = [words.lanes(op.lanes)] if op.lanes != (main,) else []
    parts += [text for text in (_spread(op),) if text]
    # A label that is the kernel's own name, for want of a better one, need not be said twice.
    parts += [f"×{op.kernels}" if set(op.symbols) == {op.label} else words.runs(op.symbols)]
    return "   ".join(parts)


def _gaps(step: folding.Step, gaps: folding.Gaps, columns: Columns, most: int) -> Iterator[Line]:
    """A step's idle time, with a line for each of its main causes: how many gaps, and where most of them lie."""
    several = step.count > 1
    about = [f"{units.share(gaps.median_ns, step.span_ns * gaps.devices)} of the span"]
    if gaps.devices > 1:
        about.append(f"summed over {gaps.devices} devices")
    shown = gaps.causes[:most] if len(gaps.causes) > 1 else ()
    if not shown:  # then the causes come first, since the end of a line may be cut
        about.insert(0, words.causes([(cause.name, cause.total_ns) for cause in gaps.causes], gaps.total_ns, 10**6))
        if len(gaps.causes) == 1:
            about += _where(gaps.causes[0], step)
    elif len(shown) < len(gaps.causes):
        rest = gaps.causes[most:]
        about.append(f"causes below, and {len(rest)} more of {units.time(sum(cause.total_ns for cause in rest))}")
    cells = columns.cells(gaps.median_ns, None, None, ())
    yield Line(label="gaps", cells=cells, text=" · ".join(about), indent=2, look="gap")
    for cause in shown:
        text = [f"{units.share(cause.total_ns, gaps.total_ns)} of gaps", *_where(cause, step)]
        if several and cause.present < step.count:
            text.append(f"in {cause.present} of {step.count} steps")
        cells = columns.cells(cause.median_ns, None, None, ())
        yield Line(label=cause.name, cells=cells, text=" · ".join(text), indent=4, bar=True, look="gap")


def _where(cause: folding.Cause, step: folding.Step) -> Iterator[str]:
    longest, common, several = cause.longest, cause.common, step.count > 1
    if cause.count == 1:
        yield f"one, {_spot(longest, several)}"
        return
    number = f"{units.count(cause.count)} gaps" + (f" in {step.count} steps" if several else "")
    if longest.total_ns <= _MAIN * cause.total_ns < common.total_ns:
        where = "the first op of layers" if common.border else common.label
        yield f"{number}, {units.share(common.total_ns, cause.total_ns)} before {where} (×{units.count(common.times)})"
        yield f"longest {units.time(longest.total_ns)}"
    else:
        yield number
        yield f"longest {units.time(longest.total_ns)} {_spot(longest, several)}"


def _spot(place: folding.Place, several: bool) -> str:
    step = f" of {place.step}" if several and place.step else ""
    if place.layer < 0:
        return f"before {place.label}{step}"
    if place.border:
        return f"before layer {place.layer}{step}"
    return f"before {place.label} in layer {place.layer}{step}"
