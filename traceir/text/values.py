"""Values of columns: from what is written to what is stored, by the column's dtype."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import attrs
import numpy as np

from traceir.ir import NULL_I64, Annotation, Array
from traceir.ir.annotation import NULL_U32
from traceir.passing.options import duration
from traceir.text.draft import BlockItem, Pair, Quantity, Ref, Symbol, Word
from traceir.text.errors import MistakeError
from traceir.text.ids import Ids
from traceir.text.names import Names, suggestion
from traceir.text.rows import Cells, place

NULLS: Final[Mapping[str, Any]] = {
    "i64": NULL_I64, "u32": NULL_U32, "f64": float("nan"), "bool": False, "str": -1, "id": -1, "enum": -1,
}  # fmt: skip
_LIMITS: Final = {"i64": (-(1 << 63), 1 << 63), "u32": (0, 1 << 32)}
CONSTANTS: Final = {
    "true": True, "false": False, "null": None, "NaN": float("nan"), "Infinity": float("inf"),
}  # fmt: skip
"""The words of JSON, and what its writers spell for floats that it has not."""
_KINDS: Final = {
    "i64": "a whole number", "u32": "a whole number from 0 to 4294967295", "f64": "a number", "bool": "true or false",
    "str": "a text in quotes", "enum": "one of its values",
}  # fmt: skip


@attrs.frozen(eq=False)
class Values:
    """Turns written values into stored ones. `lanes` and `ids` resolve names, `pool` takes texts."""

    pool: Names
    lanes: Names
    ids: Ids

    def empty(self, annotation: Annotation, length: int) -> Array:
        """A column of nulls (of false, for `bool`)."""
        return np.full(length, NULLS[annotation.dtype], annotation.numpy_type)

    def stored(self, annotation: Annotation, value: Any, at: int, *, codes: bool = False) -> Any:
        """What is stored for a value; an error at the offset if it does not fit. `codes`: numbers may be codes."""
        if value is None or (isinstance(value, Word) and value in ("_", "null")):
            return NULLS[annotation.dtype]
        if isinstance(value, Quantity) and annotation.unit != "ns":
            raise MistakeError(f"The column {annotation.name} is not one of ns, so {value.text} is no value of it.", at)
        found = self._convert(annotation, value, at, codes)
        if found is None:
            raise MistakeError(self._wanted(annotation), at)
        return found

    def column(self, annotation: Annotation, cells: Cells, block: BlockItem, name: str) -> Array:
        """The stored column for the cells of a block."""
        if cells.values is None or cells.null is None:
            stored = np.empty(len(cells.objects), annotation.numpy_type)
            for code, value in enumerate(cells.objects):
                try:
                    stored[code] = self.stored(annotation, value, 0, codes=True)
                except MistakeError as mistake:
                    row, number = int(np.argmax(cells.codes == code)), block.columns.index(name)
                    raise MistakeError(mistake.message, place(block, row, number)) from None
            found: Array = stored[cells.codes]
            return found
        values = np.where(cells.null, 0, cells.values)
        if annotation.target == "event":
            rows = self.ids.rows(values)
            self._check(block, name, (rows < 0) & ~cells.null, "The event of this id is not in the text.")
            values = rows
        elif annotation.dtype != "f64":
            low, high = self._limits(annotation)
            wrong = ((values < low) | (values >= high)) & ~cells.null
            self._check(block, name, wrong, self._wanted(annotation))
        out: Array = np.where(cells.null, NULLS[annotation.dtype], values).astype(annotation.numpy_type)
        return out

    def _limits(self, annotation: Annotation) -> tuple[int, int]:
        """The least value that may be stored, and the first that may not."""
        if annotation.dtype in _LIMITS:
            return _LIMITS[annotation.dtype]
        limits = {"bool": 2, "str": len(self.pool), "enum": len(annotation.values), "id": 1 << 31}
        return 0, len(self.lanes) if annotation.target == "lane" else limits[annotation.dtype]

    def _check(self, block: BlockItem, name: str, wrong: Array, message: str) -> None:
        if wrong.any():
            raise MistakeError(message, place(block, int(np.argmax(wrong)), block.columns.index(name)))

    def _wanted(self, annotation: Annotation) -> str:
        what = _KINDS.get(annotation.dtype, "")
        if annotation.dtype == "id":
            what = {"event": "an event's id such as %4", "lane": "a lane such as @gpu0.s7"}.get(
                annotation.target, f"the number of a row of {annotation.target}"
            )
        if annotation.dtype == "enum":
            what = f"one of {', '.join(annotation.values[:12])}{' …' if len(annotation.values) > 12 else ''}"
        unit = f" of {annotation.unit}" if annotation.unit and annotation.dtype in ("i64", "f64", "u32") else ""
        return f"The value of {annotation.name} has to be {what}{unit}."

    def _convert(self, annotation: Annotation, value: Any, at: int, codes: bool) -> Any:
        return getattr(self, f"_{annotation.dtype}")(annotation, value, at, codes)

    def _i64(self, annotation: Annotation, value: Any, at: int, codes: bool) -> int | None:
        number = _timed(annotation, value)
        if not isinstance(number, int) or isinstance(number, bool):
            return None
        low, high = _LIMITS[annotation.dtype]
        if not low <= number < high:
            raise MistakeError(f"The number {number} is out of the range of {annotation.dtype}.", at)
        return number

    _u32 = _i64

    def _f64(self, annotation: Annotation, value: Any, at: int, codes: bool) -> float | None:
        number = _timed(annotation, value)
        if isinstance(number, Word) and number == "inf":
            return float("inf")
        try:
            return float(number) if isinstance(number, int | float) and not isinstance(number, bool) else None
        except OverflowError:
            raise MistakeError(f"The number {str(number)[:20]}… is out of the range of f64.", at) from None

    def _bool(self, annotation: Annotation, value: Any, at: int, codes: bool) -> bool | None:
        if isinstance(value, Word):
            return {"true": True, "false": False}.get(value)
        return bool(value) if isinstance(value, bool) or (codes and value in (0, 1)) else None

    def _str(self, annotation: Annotation, value: Any, at: int, codes: bool) -> int | None:
        if codes and isinstance(value, int):
            return value if 0 <= value < len(self.pool) else None
        return self.pool.code(value) if isinstance(value, str) and not isinstance(value, Word | Symbol) else None

    def _enum(self, annotation: Annotation, value: Any, at: int, codes: bool) -> int | None:
        if codes and isinstance(value, int):
            return value if 0 <= value < len(annotation.values) else None
        if not isinstance(value, str) or isinstance(value, Symbol):
            return None
        if not annotation.values:
            raise MistakeError(
                f"The column {annotation.name} declares no values: write {{values=[…]}} behind it, or record the pass "
                "that writes it.",
                at,
            )
        if value not in annotation.values:
            raise MistakeError(
                f"The value {value} is none of {annotation.name}{suggestion(value, annotation.values)}", at
            )
        return annotation.values.index(value)

    def _id(self, annotation: Annotation, value: Any, at: int, codes: bool) -> int | None:
        if annotation.target == "event":
            id = value.id if isinstance(value, Ref) else value if codes and isinstance(value, int) else None
            return self.ids.row(id, at) if id is not None else None
        if annotation.target == "lane" and isinstance(value, Symbol):
            if value not in self.lanes.codes:
                raise MistakeError(f"There is no lane @{value}{suggestion(value, self.lanes.codes, sigil='@')}", at)
            return self.lanes.codes[value]
        if not isinstance(value, int) or isinstance(value, bool):
            return None
        low, high = self._limits(annotation)
        return value if low <= value < high else None


def _timed(annotation: Annotation, value: Any) -> Any:
    """A number, from a time with a unit if the column is one of times."""
    if not isinstance(value, Quantity):
        return value
    try:
        return duration(value.text.lstrip("+"))
    except ValueError:
        return value


def plain(pair: Pair) -> Any:
    """The value of an attribute that is not a column's: what JSON could hold; anything else is a MistakeError."""
    value = pair.value
    if isinstance(value, Word) and value in CONSTANTS:
        return CONSTANTS[value]
    if isinstance(value, Word | Symbol | Ref | Quantity):
        raise MistakeError(
            f"The value of {pair.key} has to be a number, a text in quotes, true, false, null or a list.", pair.at
        )
    return value
