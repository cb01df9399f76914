"""Promises: what a pass must not change, what it must declare, and what its results are bound to."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterator
from pathlib import Path

import attrs

from traceir.errors import PassError, SchemaError, TraceirError
from traceir.ir import Annotation, Module, PassRecord, Written
from traceir.ir.module import CORE, FIXED
from traceir.passing.base import Pass
from traceir.passing.context import PassContext
from traceir.passing.removal import with_removal
from traceir.passing.report import Report

ALWAYS = frozenset((*CORE, "edges"))
"""What a pass may read without anybody writing it."""


def apply(item: Pass, module: Module, context: PassContext) -> Module:
    """What a pass makes of a module, its promises checked; whatever goes wrong is an error that names the pass."""
    try:
        for column in item.reads:
            if column not in module and column not in ALWAYS:
                raise PassError(f"The pass {item.name()} reads {column}, and the pass that declares it wrote none.")
        # A pass that runs again says anew what it finds.
        module = attrs.evolve(module, health=tuple(f for f in module.health if f.by != item.name()))
        result = item.run(module, context)
        if not isinstance(result, Module):
            raise PassError(f"The pass {item.name()} returned {result!r}, and it has to return a module.")
        _check_promises(item, module, result)
        result = _stamp(item, module, result)
        for sentence in item.check(result):
            raise PassError(f"The pass {item.name()} breaks its own law: {sentence}")
    except SchemaError as error:
        raise PassError(f"The pass {item.name()} failed: {error}") from error
    except TraceirError as error:
        if item.name() not in str(error):
            error.add_note(f"This happened in the pass {item.name()}.")
        raise
    except (Exception, SystemExit) as error:
        failure = PassError(f"The pass {item.name()} failed: {type(error).__name__}: {error}.")
        for sentence in _hints(item, module, error):
            failure.add_note(sentence)
        raise failure from error
    return result


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
        raise PassError(f"The report of the pass {item.name()} failed: {type(error).__name__}: {error}.") from error
    if report is not None and not (isinstance(report, Report) and attrs.has(type(report))):
        raise PassError(
            f"The report of the pass {item.name()} is a {type(report).__name__}, and it has to be an attrs class "
            "derived from traceir.Report."
        )
    return report


def _check_promises(item: Pass, before: Module, after: Module) -> None:
    """Raise PassError if a pass changed what it must not, or wrote what it did not declare."""
    if len(before) != len(after):
        raise PassError(f"The pass {item.name()} changed the number of rows; removal is done by the column live.")
    for name in CORE:
        if before.token(name) == after.token(name):
            continue
        if name in FIXED:
            raise PassError(f"The pass {item.name()} changed {name}, which is what the source recorded.")
        if item.annotates:
            raise PassError(f"The pass {item.name()} changed {name}, though it only annotates.")
    _check_written(item, before, after)


def _check_written(item: Pass, before: Module, after: Module) -> None:
    """Raise PassError if a new column is not among the annotations that the pass declares."""
    declared = {annotation.name: annotation for annotation in item.writes}
    for domain, table in after.tables.items():
        old = before.tables.get(domain)
        for name, column in table.columns.items():
            if old is not None and name in old and old.columns[name].token == column.token:
                continue
            if "." not in name and (name in CORE or domain == "edge" or domain.startswith("region:")):
                continue
            if name not in declared:
                raise PassError(f"The pass {item.name()} wrote the column {name}, which it does not declare.")
            _check_type(item, declared[name], domain, column.data.dtype)


def _check_type(item: Pass, annotation: Annotation, domain: str, dtype: object) -> None:
    if annotation.domain != domain:
        raise PassError(
            f"The pass {item.name()} wrote {annotation.name} on {domain}, and declares it on {annotation.domain}."
        )
    if annotation.numpy_type != dtype:
        raise PassError(
            f"The pass {item.name()} wrote {annotation.name} as {dtype}, "
            f"and {annotation.dtype} is {annotation.numpy_type}."
        )


def _stamp(item: Pass, before: Module, after: Module) -> Module:
    """The module with the record of the pass, and its annotations bound to what they were computed from.

    What a pass that rewrites times or liveness notes down (such as the original times) is history: it cannot
    be computed again from the module that the pass made, so it is bound to nothing and never stale.
    """
    inputs = tuple((name, after.token(name)) for name in item.inputs()) if item.annotates else ()
    by = len(after.passes)
    written = {
        annotation.name: Written(annotation, by, inputs)
        for annotation in item.writes
        if annotation.name in after.tables.get(annotation.domain, ())
    }
    after = with_removal(before, after, item.text(every=False), by)
    return attrs.evolve(
        after,
        annotations={**after.annotations, **written},
        passes=(*after.passes, PassRecord(item.name(), item.text(every=False))),
        health=tuple(f if f in before.health else attrs.evolve(f, by=item.name()) for f in after.health),
    )
