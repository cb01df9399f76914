"""The columns of a text: those it declares, and those that the passes it records are known to write."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import attrs

from traceir.errors import SchemaError, UsageError
from traceir.ir import Annotation, PassRecord
from traceir.ir.annotation import NUMPY_TYPES
from traceir.ir.module import CORE
from traceir.ir.window import EXTERN
from traceir.passing import Pass
from traceir.registry import Registry
from traceir.text.draft import ColumnItem, Pair, PassItem
from traceir.text.errors import MistakeError
from traceir.text.names import nearest, suggestion

_TEXTS: Final = ("doc", "null", "basis", "shown")


@attrs.define(eq=False)
class Columns:
    """The passes and columns of a text. A column that it does not declare is looked up in the passes it records."""

    passes: list[PassRecord] = attrs.field(factory=list)
    labels: dict[str, int] = attrs.field(factory=dict)
    known: dict[str, tuple[Annotation, int | None]] = attrs.field(factory=dict)
    """The columns in use, with the pass that wrote each."""
    places: dict[str, int] = attrs.field(factory=dict)
    _classes: list[type[Pass] | None] = attrs.field(factory=list)
    _offered: dict[str, tuple[Annotation, int | None]] = attrs.field(factory=dict)

    @classmethod
    def read(cls, passes: Sequence[PassItem], columns: Sequence[ColumnItem], registry: Registry) -> Columns:
        """The columns that a text declares."""
        out = cls()
        for item in passes:
            if item.label in out.labels:
                raise MistakeError(f"The pass {item.label} is given twice.", item.at)
            out.labels[item.label] = len(out.passes)
            out.passes.append(PassRecord(item.name, item.text))
            out._classes.append(written_by(item.name, registry))
        for by, kind in enumerate(out._classes):
            out._offered.update({a.name: (a, by) for a in (kind.writes if kind is not None else ())})
        out._offered.update({a.name: (a, None) for a in EXTERN})
        for column in columns:
            if column.name in out.known:
                raise MistakeError(f"The column {column.name} is declared twice.", column.at)
            maker = out.maker(column.by, column.at)
            out.known[column.name] = out._annotation(column, maker), maker
            out.places[column.name] = column.at
        return out

    def maker(self, label: str | None, at: int) -> int | None:
        """The pass that a label stands for."""
        if label is None:
            return None
        if label not in self.labels:
            raise MistakeError(f"There is no pass {label}{suggestion(label, self.labels)}", at, label)
        return self.labels[label]

    def find(self, name: str, at: int) -> Annotation:
        """The declaration of a column that is written at an offset; a mistake names the nearest if there is none."""
        if name not in self.known:
            if name not in self._offered:
                close = " or ".join(nearest(name, [*self.known, *self._offered]))
                said = f"did you mean {close}?" if close else f"declare it: column {name} : event<i64>;"
                raise MistakeError(f"The column {name} is not declared; {said}", at, name)
            self.known[name] = self._offered[name]
            self.places[name] = at
        return self.known[name][0]

    def imply(self, annotation: Annotation, by: int | None, at: int) -> Annotation:
        """The declaration of a column that the text uses in a form that needs none; declared now if it was not."""
        if annotation.name not in self.known:
            offered = self._offered.get(annotation.name)
            fits = offered is not None and offered[0].domain == annotation.domain
            self.known[annotation.name] = offered if offered is not None and fits else (annotation, by)
            self.places[annotation.name] = at
        return self.known[annotation.name][0]

    def of_domain(self, domain: str) -> Iterator[Annotation]:
        """The declared columns of a domain."""
        return (annotation for annotation, _ in list(self.known.values()) if annotation.domain == domain)

    def inputs(self, by: int | None) -> tuple[str, ...]:
        """What the results of a pass depend on.

        Of a pass that is not installed nobody knows: then on all that the source recorded, so that its columns count
        as stale as soon as any of that is changed. A column without a pass is the text's own, and depends on nothing.
        """
        if by is None:
            return ()
        kind = self._classes[by]
        if kind is None:
            return (*CORE, "edges")
        return kind.inputs() if kind.annotates else ()

    def _annotation(self, item: ColumnItem, by: int | None) -> Annotation:
        kind = self._classes[by] if by is not None else None
        said = (item.name, item.domain, item.dtype, item.unit)
        offered = next((a for a in (kind.writes if kind is not None else ()) if brief(a) == said), None)
        if item.dtype not in NUMPY_TYPES:
            known = suggestion(item.dtype, NUMPY_TYPES)
            raise MistakeError(f"There is no dtype {item.dtype}{known}", item.at, item.dtype)
        given: dict[str, Any] = {}
        for pair in item.pairs:
            given[pair.key] = _field(pair)
        try:
            if offered is not None:
                return attrs.evolve(offered, **given)
            return Annotation(item.name, item.domain, item.dtype, item.unit, **given)  # type: ignore[arg-type]
        except SchemaError as error:
            raise MistakeError(str(error), item.at) from None


def brief(annotation: Annotation) -> tuple[str, str, str, str]:
    """What a `column` line says without attributes."""
    return annotation.name, annotation.domain, annotation.dtype, annotation.unit


def written_by(name: str, registry: Registry) -> type[Pass] | None:
    """The class of a pass, or None if it is not installed (its columns are then taken as the text declares them)."""
    if name not in registry.entries["passes"]:
        return None
    try:
        found: type[Pass] = registry.find("passes", name)
    except UsageError:
        return None
    return found


def _field(pair: Pair) -> Any:
    if pair.key == "values" and isinstance(pair.value, list) and all(isinstance(v, str) for v in pair.value):
        return tuple(pair.value)
    if pair.key in _TEXTS and isinstance(pair.value, str):
        return str(pair.value)
    if pair.key in (*_TEXTS, "values"):
        what = "a list of texts" if pair.key == "values" else "a text"
        raise MistakeError(f"The attribute {pair.key} of a column is {what} in quotes.", pair.at)
    raise MistakeError(f"A column has no attribute {pair.key}{suggestion(pair.key, (*_TEXTS, 'values'))}", pair.at)
