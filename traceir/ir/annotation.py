"""Annotations: the columns that passes add, each declared before it may be written."""

from __future__ import annotations

import re
from typing import Any, Final, Literal, get_args

import attrs
import numpy as np

from traceir.errors import SchemaError
from traceir.ir.column import Array, Mask

DType = Literal["i64", "u32", "f64", "bool", "str", "id", "enum"]
Basis = Literal["measured", "derived", "guessed"]
Shown = Literal["label", "role", "symbol", "sum", "no"]

NULL_I64: Final = int(np.iinfo(np.int64).min)
"""Null of an `i64` column.

Null of `str`, `id` and `enum` is -1, of `f64` NaN, of `u32` its maximum; `bool` has none.
"""
NULL_U32: Final = int(np.iinfo(np.uint32).max)

NUMPY_TYPES: Final[dict[str, type[np.generic]]] = {
    "i64": np.int64,
    "u32": np.uint32,
    "f64": np.float64,
    "bool": np.bool_,
    "str": np.int32,
    "id": np.int32,
    "enum": np.int16,
}
_WORDS: Final[dict[str, tuple[str, ...]]] = {
    "dtype": get_args(DType),
    "basis": get_args(Basis),
    "shown": get_args(Shown),
}
_NAME = re.compile(r"[a-z][a-z0-9-]*\.[a-z][a-z0-9_.]*\Z")
_DOMAIN = re.compile(r"(event|edge|lane|module|region:[a-z][a-z0-9_]*|table:[a-z][a-z0-9_.-]*)\Z")


def _check_name(_: Annotation, __: Any, value: Any) -> None:
    if not (isinstance(value, str) and _NAME.match(value)):
        raise SchemaError(f"The annotation name {value!r} is not of the form <word>.<column>, in lower case.")


def _check_domain(_: Annotation, __: Any, value: Any) -> None:
    if not (isinstance(value, str) and _DOMAIN.match(value)):
        raise SchemaError(
            f"The annotation domain {value!r} is none of event, edge, lane, module, region:<tree> and table:<name>."
        )


def _check_word(item: Annotation, attribute: attrs.Attribute[Any], value: Any) -> None:
    """One of the few words that an attribute may be."""
    words = _WORDS[attribute.name]
    if value not in words:
        known = f"{', '.join(words[:-1])} and {words[-1]}"
        raise SchemaError(
            f"The attribute {attribute.name} of the annotation {item.name} is {value!r}, none of {known}."
        )


def _check_text(item: Annotation, attribute: attrs.Attribute[Any], value: Any) -> None:
    if not isinstance(value, str):
        raise SchemaError(
            f"The attribute {attribute.name} of the annotation {item.name} is {value!r}, and it has to be a text."
        )


def _check_values(item: Annotation, __: Any, values: Any) -> None:
    if not (isinstance(values, tuple) and all(isinstance(value, str) for value in values)):
        raise SchemaError(
            f"The values of the annotation {item.name} are {values!r}, and they have to be a tuple of texts."
        )
    twice = next((value for i, value in enumerate(values) if value in values[:i]), None)
    if twice is not None:
        raise SchemaError(f"The value {twice!r} of an enum is given twice.")


@attrs.frozen
class Annotation:
    """The declaration of a column that a pass writes.

    `name` is `<word>.<column>`, where the word is the pass's (or `coll`, `src`, `tree`). `domain` says what a
    row of it is: an event, an edge, a lane, the module, a region of a tree (`region:layers`), or a row of a
    table of the pass's own (`table:gaps`). `dtype` is the stored type: `str` holds codes of the module's
    string pool, `enum` codes of `values`, `id` rows of the events table (regions, for `tree.*`; rows of another
    table, if `unit` names one, as in `unit="table:collectives"`). `shown` tells printers what the column is for:
    the `label`, `role` or `symbol` (short name) of an event, or a time whose `sum` belongs on a line.
    """

    name: str = attrs.field(validator=_check_name)
    domain: str = attrs.field(default="event", validator=_check_domain)
    dtype: DType = attrs.field(default="i64", validator=_check_word)
    unit: str = attrs.field(default="", validator=_check_text)
    doc: str = attrs.field(default="", validator=_check_text)
    null: str = attrs.field(default="", validator=_check_text)
    basis: Basis = attrs.field(default="derived", validator=_check_word)
    values: tuple[str, ...] = attrs.field(default=(), validator=_check_values)
    shown: Shown = attrs.field(default="no", validator=_check_word)

    @property
    def word(self) -> str:
        """The part of the name before the first dot."""
        return self.name.partition(".")[0]

    @property
    def target(self) -> str:
        """The table whose rows an `id` column holds; empty for other dtypes."""
        if self.dtype != "id":
            return ""
        if self.word == "tree":
            return f"region:{self.name.partition('.')[2]}"
        return self.unit if self.unit and _DOMAIN.match(self.unit) else "event"

    @property
    def numpy_type(self) -> np.dtype[Any]:
        """The dtype of the stored array."""
        return np.dtype(NUMPY_TYPES[self.dtype])


@attrs.frozen
class Written:
    """An annotation as it stands in a module: who wrote it, and what it was computed from.

    `by` is a position in `Module.passes`; `inputs` maps the columns that the pass reads to the tokens they had.
    The annotation is stale when one of them has another token now.
    """

    annotation: Annotation
    by: int | None
    inputs: tuple[tuple[str, int], ...] = ()


@attrs.frozen
class PassRecord:
    """One pass that ran over a module: its pipeline text, options included."""

    name: str
    text: str


def null_mask(values: Array, annotation: Annotation) -> Mask:
    """Which values of a column are null, by its dtype."""
    if annotation.dtype == "bool":
        return np.zeros(len(values), bool)
    if annotation.dtype == "f64":
        return np.isnan(values)
    if annotation.dtype == "i64":
        return np.asarray(values == NULL_I64)
    if annotation.dtype == "u32":
        return np.asarray(values == NULL_U32)
    return np.asarray(values < 0)
