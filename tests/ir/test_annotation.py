"""Declarations of columns: what they may say."""

from __future__ import annotations

from typing import Any

import pytest

from traceir.errors import SchemaError
from traceir.ir import Annotation


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"name": "a"}, "The annotation name 'a' is not of the form <word>.<column>, in lower case."),
        ({"name": None}, "The annotation name None is not of the form <word>.<column>, in lower case."),
        (
            {"domain": "table"},
            "The annotation domain 'table' is none of event, edge, lane, module, region:<tree> and table:<name>.",
        ),
        (
            {"dtype": "int"},
            "The attribute dtype of the annotation x.a is 'int', none of i64, u32, f64, bool, str, id and enum.",
        ),
        (
            {"shown": "maybe"},
            "The attribute shown of the annotation x.a is 'maybe', none of label, role, symbol, sum and no.",
        ),
        (
            {"basis": ["derived"]},
            "The attribute basis of the annotation x.a is ['derived'], none of measured, derived and guessed.",
        ),
        ({"unit": None}, "The attribute unit of the annotation x.a is None, and it has to be a text."),
        ({"doc": 1}, "The attribute doc of the annotation x.a is 1, and it has to be a text."),
        ({"values": "abc"}, "The values of the annotation x.a are 'abc', and they have to be a tuple of texts."),
        ({"values": (1, 2)}, "The values of the annotation x.a are (1, 2), and they have to be a tuple of texts."),
        ({"values": ("a", "a")}, "The value 'a' of an enum is given twice."),
    ],
)
def test_a_wrong_declaration_is_a_sentence(given: dict[str, Any], sentence: str) -> None:
    """It names the column and the attribute."""
    with pytest.raises(SchemaError) as error:
        Annotation(**{"name": "x.a", **given})
    assert str(error.value) == sentence
