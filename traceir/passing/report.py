"""Reports: what a pass found, as plain data that JSON and pages are made from."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import attrs

Unit = Literal["ns", "count", "share", "B", "text"]


@attrs.frozen
class Fact:
    """One figure of a page: `label` and `value`, its unit, and the denominator of a share.

    A null value is printed as `unknown` with `note` as the reason. A `share` is given as a fraction of 1. `of`
    names the denominator; with `whole`, its value, the share is printed beside the figure.
    """

    label: str
    value: int | float | str | None
    unit: Unit = "count"
    of: str = ""
    note: str = ""
    whole: int | None = None


@attrs.frozen
class Block:
    """A titled table of a page; cells are texts. A `detail` gives way where the page has no room for it."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""
    detail: bool = False


class Report:
    """Base of reports: an attrs class whose fields are the keys of the JSON object.

    `headline` and `blocks` say how it looks on a page; without them the scalar fields become facts and the
    lists tables, so that a plug-in's report is shown without further code.
    """

    def headline(self) -> Sequence[Fact]:
        """The figures that belong at the head of the page."""
        return ()

    def blocks(self) -> Sequence[Block] | None:
        """The tables of the page's tail, or None to have them made from the fields."""
        return None


def to_json(value: Any) -> Any:
    """Plain JSON data of a report: attrs objects become objects, tuples lists, and what is no finite number null."""
    if attrs.has(type(value)):
        return {field.name: to_json(getattr(value, field.name)) for field in attrs.fields(type(value))}
    if isinstance(value, Mapping):
        return {str(key): to_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if hasattr(value, "item"):  # a numpy scalar
        return to_json(value.item())
    return value
