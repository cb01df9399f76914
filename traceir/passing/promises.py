"""Promises: what a pass must not change, what it must declare, and what its results are bound to."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path

import attrs

from traceir.errors import PassError, SchemaError, TraceirError
from traceir.ir import Module, PassRecord, Written
from traceir.ir.access import Access
from traceir.ir.module import CORE
from traceir.passing.base import Pass
from traceir.passing.context import PassContext
from traceir.passing.integrity import check_promises
from traceir.passing.removal import with_removal
from traceir.passing.report import Report
from traceir.passing.words import said

ALWAYS = frozenset((*CORE, "edges", "args"))
"""What a pass may read without anybody writing it; `args` are the source's arguments of events."""


def apply(item: Pass, module: Module, context: PassContext) -> Module:
    """What a pass makes of a module, its promises checked; whatever goes wrong is an error that names the pass."""
    try:
        for column in item.reads:
            if column not in module and column not in ALWAYS:
                raise PassError(f"The pass {item.name()} reads {column}, and the pass that declares it wrote none.")
        # A pass that runs again says anew what it finds.
        module = attrs.evolve(module, health=tuple(f for f in module.health if f.by != item.name()))
        access = Access()
        result = item.run(module.watched(access), context)
        if not isinstance(result, Module):
            raise PassError(f"The pass {item.name()} returned {result!r}, and it has to return a module.")
        written, result = result.written, result.watched(None)
        check_promises(item, module, result, written)
        result = _stamp(item, module, result, access.read, written)
        _check_laws(item, result)
    except SchemaError as error:
        raise PassError(f"The pass {item.name()} failed: {error}") from error
    except TraceirError as error:
        if item.name() not in str(error):
            error.add_note(f"This happened in the pass {item.name()}.")
        raise
    except (Exception, SystemExit) as error:
        failure = PassError(f"The pass {item.name()} failed: {said(error)}")
        for sentence in _hints(item, module, error):
            failure.add_note(sentence)
        raise failure from error
    return result


def _check_laws(item: Pass, result: Module) -> None:
    """Raise PassError if the pass's own laws do not hold in what it made."""
    broken = item.check(result)
    if isinstance(broken, str) or not isinstance(broken, Sequence):
        raise PassError(f"The method check of the pass {item.name()} gave {broken!r}, and it has to give a list.")
    if broken:
        more = f" (and {len(broken) - 1} more)" if len(broken) > 1 else ""
        raise PassError(f"The pass {item.name()} breaks its own law: {broken[0]}{more}")


def _hints(item: Pass, module: Module, error: BaseException) -> Iterator[str]:
    """Where in the pass's own file it failed, and what to do if it asked for a column that is not there."""
    file = getattr(sys.modules.get(type(item).__module__), "__file__", None)
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    if frames:
        yield f"It failed in {Path(frames[-1].filename).name}, line {frames[-1].lineno}: {frames[-1].line}"
    asked = error.args[0] if isinstance(error, KeyError) and error.args else None
    if isinstance(asked, str) and "." in asked and asked not in module and asked not in item.reads:
        yield f"No pass has written the column {asked}: name it in reads, and whoever writes it runs before."


def report_of(item: Pass, module: Module) -> Report | None:
    """A pass's report; whatever goes wrong is an error that names the pass."""
    try:
        report = item.report(module)
    except (Exception, SystemExit) as error:
        raise PassError(f"The report of the pass {item.name()} failed: {said(error)}") from error
    if report is not None and not (isinstance(report, Report) and attrs.has(type(report))):
        raise PassError(
            f"The report of the pass {item.name()} is a {type(report).__name__}, and it has to be an attrs class "
            "derived from traceir.Report."
        )
    return report


def _stamp(item: Pass, before: Module, after: Module, read: set[str], set_: frozenset[str]) -> Module:
    """The module with the record of the pass, and what it wrote bound to what that was computed from.

    That is what the pass declares, and what it was seen to read besides. A column of its own that it wrote in an
    earlier run with these options, and not now, goes: it would speak of a module that is no more. What a pass that
    rewrites times or liveness notes down (such as the original times) is history: it cannot be computed again from
    the module that the pass made, so it is bound to nothing and never stale.
    """
    by = len(after.passes)
    now = {one.name: one for one in item.writes if _written(one.name, before, after, set_)}
    reads = dict.fromkeys((*item.inputs(), *sorted(read - now.keys())))
    inputs = tuple((name, after.token(name)) for name in reads) if item.annotates else ()
    written = {name: Written(annotation, by, inputs) for name, annotation in now.items()}
    record = PassRecord(item.name(), item.text(every=False))
    gone = {
        name
        for name, one in after.annotations.items()
        if name not in now
        and (
            (item.annotates and one.by is not None and after.passes[one.by] == record)
            or name not in after.tables.get(one.annotation.domain, ())  # on regions or rows that were made anew
        )
    }
    after = with_removal(before, _without(after, gone), record.text, by)
    return attrs.evolve(
        after,
        annotations={**after.annotations, **written},
        passes=(*after.passes, record),
        health=tuple(f if f in before.health else attrs.evolve(f, by=item.name()) for f in after.health),
    )


def _written(name: str, before: Module, after: Module, set_: frozenset[str]) -> bool:
    """Whether a column was set, be it to the values that it had."""
    return name in after and (name in set_ or after.token(name) != before.token(name))


def _without(module: Module, names: set[str]) -> Module:
    """The module without these annotations; tables that nothing is left of stay, empty of columns."""
    if not names:
        return module
    tables = {
        domain: attrs.evolve(table, columns={name: c for name, c in table.columns.items() if name not in names})
        for domain, table in module.tables.items()
    }
    return attrs.evolve(
        module,
        tables=tables,
        annotations={name: one for name, one in module.annotations.items() if name not in names},
    )
