"""The text form is a contract: texts that other tools hold must be read as they are, and printed as they always were.

`tests/golden/text/<case>.tir` is written by hand; beside it stands what it is printed as, in both spellings.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import pytest

from tests.conftest import ROOT
from traceir.ir import Module
from traceir.registry import Registry
from traceir.testing import assert_equal, assert_sound
from traceir.text import Spelling, parse, spell
from traceir.text.spelling import Form

REGISTRY: Final = Registry.installed()
GOLDEN: Final = ROOT / "tests" / "golden" / "text"
CASES: Final = ("contract", "every", "blocks")
FORMS: Final[tuple[Form, ...]] = ("statements", "table")


def written(case: str) -> str:
    """The text of a case as it is written by hand."""
    return (GOLDEN / f"{case}.tir").read_text("utf-8")


def text_of(module: Module, form: Form) -> str:
    """The text of a module with all that it holds; only statements hold the source's arguments."""
    return "".join(spell(module, Spelling(form, dead=True, args=form == "statements"), registry=REGISTRY))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("case", CASES)
def test_what_is_written_by_hand_is_printed_as_ever(case: str, form: Form, golden: Callable[[str, str], None]) -> None:
    """The stored text; it is read to the same module, and printed again as it stands."""
    module = parse(written(case), registry=REGISTRY)
    assert_sound(module)
    text = text_of(module, form)
    golden(f"text/{case}.{form}.tir", text)
    again = parse(text, registry=REGISTRY)
    assert_equal(module, again)
    assert text_of(again, form) == text


ATTRIBUTES: Final = """#[traceir "1"]
module @m {
  pass p1 = x;
  column tree.s : event<id> by p1;
  column x.a : region:s<i64> by p1;
  column x.b : region:s<i64> by p1;
  regions s [parent kind name index x.a x.b] {
    _ "s" "r.0" 0 _ 5
    _ "s" "r.1" 1 7 6
  }
}
"""


def test_attributes_of_regions_stand_in_the_order_of_their_declarations() -> None:
    """Also where the first region has nothing of the first column."""
    module = parse(ATTRIBUTES, registry=REGISTRY)
    text = text_of(module, "statements")
    assert "region @r.1 : s {a=7, b=6} by p1 {" in text
    assert text_of(parse(text, registry=REGISTRY), "statements") == text
    assert text_of(parse(text, registry=REGISTRY), "table") == text_of(module, "table")


def test_null_is_the_same_in_rows_of_numbers_and_of_words() -> None:
    """The index of a region may be null in either."""
    rows = ATTRIBUTES.replace('"s" "r.0" 0', '"s" "r.0" _')
    codes = rows.replace('"s" "r.0"', "0 1").replace('"s" "r.1"', "0 2")
    codes = codes.replace("  regions", '  strings {\n"s"\n"r.0"\n"r.1"\n}\n  regions')
    assert_equal(parse(rows, registry=REGISTRY), parse(codes, registry=REGISTRY))
