"""Reports: what they may hold, and whom an error names when somebody's report is none."""

from __future__ import annotations

import enum
import io
import json
import math
from collections.abc import Callable
from typing import Any

import attrs
import numpy as np
import pytest

import traceir as tir
from traceir.errors import PassError, SchemaError
from traceir.passing import to_json
from traceir.printers import Printer, Result, Style
from traceir.printers.folded import Folded
from traceir.printers.json import Json
from traceir.text import parse

MODULE = parse('#[traceir "1"]\nmodule @m {\n  lane @g : dev.stream {device=0, stream=7};\n}\n')


class Colour(enum.StrEnum):
    """A text of its own type."""

    RED = "red"


@attrs.frozen
class Told(tir.Report):
    """A report whose parts a test gives."""

    value: Any = 0
    heads: Any = ()
    tables: Any = None

    def headline(self) -> Any:
        """What the test gives, or what calling it gives."""
        return self.heads() if callable(self.heads) else self.heads

    def blocks(self) -> Any:
        """What the test gives, or what calling it gives."""
        return self.tables() if callable(self.tables) else self.tables


def shown(report: tir.Report, printer: Printer) -> str:
    out = io.StringIO()
    printer.write(Result(MODULE, {"mine": report}, ()), out, Style(100))
    return out.getvalue()


def block(rows: Any, columns: Any = ("a", "b")) -> Callable[[], list[tir.Block]]:
    return lambda: [tir.Block("T", columns, rows)]


def fails() -> list[Any]:
    raise ZeroDivisionError("division by zero")


@pytest.mark.parametrize(
    ("report", "sentence"),
    [
        (Told(heads=fails), "The headline of the report of the pass mine failed: ZeroDivisionError: division by zero."),
        (
            Told(heads="busy"),
            "The headline of the report of the pass mine is 'busy', and it has to be a list of traceir.Fact.",
        ),
        (Told(heads=("busy",)), "is ('busy',), and it has to be a list of traceir.Fact."),
        (Told(heads=lambda: None), "The headline of the report of the pass mine is None, and it has to be a list"),
        (
            Told(heads=tir.Fact("a", 1)),
            "The headline of the report of the pass mine is Fact(label='a', value=1, unit='count'",
        ),
        (
            Told(heads=lambda: [tir.Fact("range", 1, "parsec")]),  # type: ignore[arg-type]
            "The headline of the report of the pass mine cannot be shown: The unit of the fact 'range' is 'parsec', "
            "and it has to be one of ns, count, share, B, text.",
        ),
        (
            Told(heads=lambda: [tir.Fact("a", [1])]),  # type: ignore[arg-type]
            "The value of the fact 'a' is [1], and it has to be a number, a text or None.",
        ),
        (
            Told(heads=lambda: [tir.Fact("a", 1, whole="2")]),  # type: ignore[arg-type]
            "The whole of the fact 'a' is '2', and it has to be a number or None.",
        ),
        (Told(tables=fails), "The blocks of the report of the pass mine failed: ZeroDivisionError: division by zero."),
        (Told(tables=("a",)), "The blocks of the report of the pass mine is ('a',), and it has to be a list of"),
        (
            Told(tables=block([("x", 1)])),
            "The blocks of the report of the pass mine cannot be shown: Row 0 of the block 'T' is ('x', 1), and it "
            "has to be a tuple of texts; traceir.units spells figures.",
        ),
        (Told(tables=block([("x", "1"), ("y",)])), "Row 1 of the block 'T' has 1 cells, and it has to have 2."),
        (Told(tables=block([("x", "1"), ("y",)], ())), "Row 1 of the block 'T' has 1 cells, and it has to have 2."),
        (Told(tables=block([()], ())), "Row 0 of the block 'T' has 0 cells, and it has to have 1."),
        (Told(tables=block(["xy"])), "Row 0 of the block 'T' is 'xy', and it has to be a tuple of texts"),
        (Told(tables=block("xy")), "The rows of the block 'T' are 'xy', and they have to be a tuple of tuples."),
        (Told(tables=block((), "ab")), "The columns of the block 'T' is 'ab', and it has to be a tuple of texts."),
    ],
)
def test_a_page_names_the_pass_whose_report_is_wrong(report: Told, sentence: str) -> None:
    """A PassError, so exit code 4 and no internal error."""
    with pytest.raises(PassError) as error:
        shown(report, Folded())
    assert sentence in str(error.value)
    assert " mine " in str(error.value)


@pytest.mark.parametrize("printer", [Json(), Folded()], ids=["json", "folded"])
@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (object(), "The field value is of type object, and it has to be a number, a text, a bool, None, or a list"),
        ({1, 2}, "The field value is of type set, and"),
        ([{"a": (1, b"b")}], "The field value[0].a[1] is of type bytes, and"),
        (np.array([object()]), "The field value is of type ndarray, and"),
        (np.datetime64("2024-01-01"), "The field value is of type datetime64, and"),
        ({(1, 2): 3}, "The field value has the key (1, 2), and keys have to be texts or integers."),
        (MODULE, "The field value.strings is of type Strings, and"),
    ],
)
def test_what_has_no_form_in_json_is_refused_by_pass_and_field(value: object, sentence: str, printer: Printer) -> None:
    """Before, it was a RecursionError in one printer and the text of an object in the other."""
    with pytest.raises(PassError) as error:
        shown(Told(value), printer)
    assert str(error.value).startswith(f"The fields of the report of the pass mine cannot be shown: {sentence}")


def test_numpy_is_plain_data() -> None:
    """Scalars and arrays of any shape; no finite number is null."""
    found = {
        "scalar": np.int32(3), "flag": np.bool_(True), "nan": np.float32("nan"), "text": np.str_("a"),
        "array": np.arange(3), "floats": np.array([0.5, math.inf]), "square": np.zeros((2, 1), np.uint8),
        "double": np.float64(0.25), "colour": Colour.RED, 7: [1.5, None, True], np.int64(8): (),
    }  # fmt: skip
    data = to_json(found)
    assert data == {
        "scalar": 3, "flag": True, "nan": None, "text": "a", "array": [0, 1, 2], "floats": [0.5, None],
        "square": [[0], [0]], "double": 0.25, "colour": "red", "7": [1.5, None, True], "8": [],
    }  # fmt: skip
    plain = {type(value) for value in data.values()}
    assert plain == {int, bool, type(None), str, list, float}
    assert json.loads(shown(Told(found), Json()))["results"]["mine"]["value"] == data


def test_a_fact_of_numpy_is_printed_as_a_number() -> None:
    """An int64 is no int to Python; NaN is unknown."""
    page = shown(
        Told(
            heads=[
                tir.Fact("many", np.int64(12_345)),
                tir.Fact("part", math.nan, "share", note="no work"),
                tir.Fact("communication", "none", "ns"),
            ]
        ),
        Folded(),
    )
    assert "communication none\nmany 12 345   part unknown (no work)\n" in page.replace("\u00a0", " ")


def test_lists_may_stand_for_tuples_in_a_block() -> None:
    """They are what authors write."""
    assert tir.Block("T", ["a", "b"], [["x", "y"]]) == tir.Block("T", ("a", "b"), (("x", "y"),))


def test_an_object_alone_is_no_field() -> None:
    """`to_json` by itself has no field to name."""
    with pytest.raises(SchemaError, match=r"^It is of type object, and it has to be"):
        to_json(object())


def test_keys_stand_in_the_order_of_the_fields() -> None:
    """As the class declares them, in the report and in the objects below it."""
    found = json.loads(shown(Told([tir.Fact("a", 1)]), Json()))["results"]["mine"]
    assert list(found) == ["value", "heads", "tables"]
    assert list(found["value"][0]) == ["label", "value", "unit", "of", "note", "whole"]
