"""Cells: stored values as text, by the column's dtype."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from traceir.ir import Annotation, Array, Module, null_mask
from traceir.text.words import BARE, id_text, quote, symbol

_TAKEN = frozenset({"inf", "null", "_"})
"""Words that mean something else as a value of a row."""


@attrs.frozen(eq=False)
class Cell:
    """Spells the values of a column of a module."""

    module: Module
    annotation: Annotation

    def text(self, values: Array, row: int) -> str | None:
        """The spelling of one value; None for null (for false, if the column is `bool`)."""
        return self.texts(values[row : row + 1])[0]

    def texts(self, values: Array, *, bare: bool = False) -> list[str | None]:
        """The spellings of values, None for null (for false, if the column is `bool`). `bare`: enums without quotes."""
        null = null_mask(values, self.annotation).tolist()
        given = self._spelled(values, bare)
        return [None if missing else text for missing, text in zip(null, given, strict=True)]

    def _spelled(self, values: Array, bare: bool) -> Sequence[str | None]:
        dtype, listed = self.annotation.dtype, values.tolist()
        if dtype == "bool":
            return ["true" if value else None for value in listed]
        if dtype == "f64":
            return list(map(repr, listed))
        if dtype == "str":
            texts = self.module.strings.texts
            known = {code: quote(texts[code]) for code in set(listed) if code >= 0}
            return [known.get(code) for code in listed]
        if dtype == "enum":
            names = [enum_word(name) if bare else quote(name) for name in self.annotation.values]
            return [names[code] if code >= 0 else None for code in listed]
        if dtype == "id":
            return self._ids(values)
        return list(map(str, listed))

    def _ids(self, values: Array) -> Sequence[str | None]:
        target = self.annotation.target
        if target == "event":
            ids = self.module["id"]
            return [id_text(int(ids[row])) if row >= 0 else None for row in values.tolist()]
        if target == "lane":
            names = [symbol(lane.name) for lane in self.module.lanes]
            return [names[row] if row >= 0 else None for row in values.tolist()]
        return list(map(str, values.tolist()))


def enum_word(text: str) -> str:
    """An enum's value as a cell of a row."""
    return text if BARE.match(text) and text not in _TAKEN else quote(text)
