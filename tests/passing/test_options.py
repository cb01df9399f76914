"""Options: what a pass class declares is what text, checks and help are made of."""

from __future__ import annotations

from typing import Any, Literal

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

import traceir as tir
from tests.passing.toys import registry
from traceir.errors import UsageError
from traceir.passing import pipeline
from traceir.passing.options import Option, check, options_of, parse, spell

TEXTS = st.text(st.characters(codec="utf-8"), max_size=8)
WORDS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8)
FLOATS = st.floats(allow_nan=False)
KINDS: dict[str, tuple[Any, st.SearchStrategy[Any]]] = {
    "int": (int, st.integers()),
    "float": (float, FLOATS),
    "bool": (bool, st.booleans()),
    "str": (str, TEXTS),
    "duration": (tir.Duration, st.integers(-(10**12), 10**15)),
    "share": (tir.Share, st.floats(0, 1)),
    "choice": (Literal["compute", "any"], st.sampled_from(["compute", "any"])),
    "numbers": (Literal[1, 2], st.sampled_from([1, 2])),
    "maybe int": (int | None, st.none() | st.integers()),
    "maybe str": (str | None, st.none() | TEXTS | st.just("none")),
    "maybe duration": (tir.Duration | None, st.none() | st.integers(0, 10**15)),
    "int or str": (int | str, st.integers() | st.text("abc-", min_size=1)),
    "strs": (tuple[str, ...], st.lists(WORDS, max_size=4).map(tuple)),
    "durations": (tuple[tir.Duration, ...], st.lists(st.integers(0, 10**15), max_size=4).map(tuple)),
    "floats": (tuple[float, ...], st.lists(FLOATS, max_size=4).map(tuple)),
    "choices": (tuple[Literal["a", "b"], ...], st.lists(st.sampled_from(["a", "b"]), max_size=3).map(tuple)),
    "str or int": (str | int, st.integers() | TEXTS | st.integers().map(str)),
    "bool or str": (bool | str, st.booleans() | TEXTS | st.sampled_from(["true", "false"])),
    "str or number": (str | float | int | None, st.none() | st.integers() | FLOATS | TEXTS | FLOATS.map(repr)),
    "duration or word": (Literal["auto", "2us"] | tir.Duration, st.sampled_from(["auto", "2us"]) | st.integers(0)),
    "share or str": (tir.Share | str, st.floats(0, 1) | TEXTS | st.just("50%")),
    "switch": (Literal[True, False], st.booleans()),
    "mixed": (Literal["1", 1, True, "true", "none"] | None, st.sampled_from(["1", 1, True, "true", "none", None])),
    "number or words": (int | Literal["7", "x"], st.integers() | st.sampled_from(["7", "x"])),
    "mixed list": (tuple[int | str, ...], st.lists(st.integers() | WORDS | st.just("7"), max_size=4).map(tuple)),
    "maybe strs": (tuple[str, ...] | None, st.none() | st.lists(WORDS, max_size=3).map(tuple)),
}


@pytest.mark.parametrize("name", KINDS)
@given(data=st.data())
def test_a_spelled_value_parses_back(name: str, data: st.DataObject) -> None:
    """`parse(spell(v)) == v` for every type of option, in a pipeline too."""
    kind, values = KINDS[name]
    value = data.draw(values)
    parsed = parse("p", Option("x", kind, None, ""), spell(kind, value))
    assert parsed == value
    assert isinstance(parsed, str) is isinstance(value, str)
    assert isinstance(parsed, bool) is isinstance(value, bool)
    (item,) = pipeline.parse_items(f"p{{x={spell(kind, value)}}}")
    assert parse("p", Option("x", kind, None, ""), dict(item.settings)["x"]) == value


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (tir.Duration, "2us", 2_000),
        (tir.Duration, "1.5ms", 1_500_000),
        (tir.Duration, "300", 300),
        (tir.Duration, "0.000000001s", 1),
        (tir.Duration, "-0.5us", -500),
        (tir.Duration, "3µs", 3_000),
        (tir.Share, "50%", 0.5),
        (tir.Share, "1", 1.0),
        (tuple[str, ...], "a+b", ("a", "b")),
        (tuple[str, ...], "", ()),
        (tuple[str, ...], '"a+b"+c', ("a+b", "c")),
        (str, "a+b", "a+b"),
        (str, 'say "hi"', 'say "hi"'),
        (str | None, "none", None),
        (str | None, '"none"', "none"),
        (bool, "true", True),
        (tir.Duration, '"2us"', 2_000),
        (tir.Share, '"50%"', 0.5),
        (tuple[tir.Duration, ...], '"2us"+3', (2_000, 3)),
        (str | int, "7", 7),
        (str | int, '"7"', "7"),
        (int | None, '"7"', 7),
        (bool | str, "true", True),
        (bool | str, '"true"', "true"),
        (float | int, str(2**53 + 1), 2**53 + 1),
        (Literal["1", 1], "1", 1),
        (Literal["1", 1], '"1"', "1"),
        (Literal[1, 2], '"2"', 2),
        (Literal[True, False], "false", False),
        (tuple[int | str, ...], '7+"7"', (7, "7")),
    ],
)
def test_texts_that_people_write(kind: Any, text: str, value: object) -> None:
    """The one grammar: durations with units, shares with percent, lists with plus, quotes where needed."""
    assert parse("p", Option("x", kind, None, ""), text) == value


@pytest.mark.parametrize(
    ("kind", "text", "what"),
    [
        (int, "two", "a whole number"),
        (bool, "yes", "a bool; write true or false"),
        (tir.Duration, "2 weeks", "a duration; write it as 2us, 1.5ms or 300 (ns)"),
        (tir.Duration, "0.5ns", "a duration; write it as 2us, 1.5ms or 300 (ns)"),
        (tir.Duration, "0.1234567891s", "a duration; write it as 2us, 1.5ms or 300 (ns)"),
        (tuple[tir.Duration, ...] | None, "x", "a list of duration | none; write it as 2us, 1.5ms or 300 (ns)"),
        (tir.Share, "150%", "a share from 0 to 1; write it as 50% or 0.5"),
        (tir.Share, "nan", "a share from 0 to 1; write it as 50% or 0.5"),
        (float, "nan", "a number"),
        (Literal["share", "bool"], "x", "share | bool"),
        (Literal[True, 2], "3", "true | 2"),
        (Literal["compute", "any"], "bogus", "compute | any"),
        (tuple[int, ...], "1+x", "a list of int"),
        (int | None, "x", "int | none"),
    ],
)
def test_a_bad_text_is_a_usage_error(kind: Any, text: str, what: str) -> None:
    """The sentence has the option, the pass, the text and what would be right."""
    with pytest.raises(UsageError) as error:
        parse("overlap", Option("versus", kind, None, ""), text)
    assert str(error.value) in (
        f"The option versus of overlap is {text!r}, and it has to be {what}.",
        f"The option versus of overlap is {1.5 if text == '150%' else text}, and it has to be {what}.",
    )


@attrs.frozen
class Many(tir.Pass):
    """Have options of many types."""

    versus: Literal["compute", "any"] = tir.option("compute", help="What hides.")
    min_ns: tir.Duration = tir.option(2_000, help="Shortest.")
    share: tir.Share = tir.option(0.5, help="Least.")
    names: tuple[str, ...] = tir.option((), help="Which.")
    deep: bool = tir.option(False, help="Whether.")
    top: int | None = tir.option(None, help="How many.")
    note: str = tir.option("", help="Words.")


@attrs.frozen
class Needy(tir.Pass):
    """Need an option."""

    what: str = tir.option(help="What.")


@given(st.builds(Many, *(values for values in (
    KINDS["choice"][1], KINDS["duration"][1], KINDS["share"][1], KINDS["strs"][1], KINDS["bool"][1],
    KINDS["maybe int"][1], KINDS["str"][1],
))))  # fmt: skip
def test_a_pass_is_its_text(item: Many) -> None:
    """A pipeline of any passes parses back to them, with only changed options or with every one spelled out."""
    known = registry(Many)
    for every in (False, True):
        text = pipeline.spell([item, Many(), item], every=every)
        assert pipeline.parse(text, known) == [item, Many(), item]
    assert Many().text() == "many"


def test_options_come_from_the_class() -> None:
    """Names, types in words, defaults and help, in order of the fields."""
    assert [(option.name, option.type_name, option.default) for option in options_of(Many)] == [
        ("versus", "compute | any", "compute"),
        ("min_ns", "duration", 2_000),
        ("share", "share", 0.5),
        ("names", "list of str", ()),
        ("deep", "bool", False),
        ("top", "int | none", None),
        ("note", "str", ""),
    ]
    assert options_of(Many)[0].help == "What hides."


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"versus": "bogus"}, "The option versus of many is 'bogus', and it has to be compute | any."),
        (
            {"min_ns": 1.5},
            "The option min_ns of many is 1.5, and it has to be a duration; write it as 2us, 1.5ms or 300 (ns).",
        ),
        (
            {"min_ns": True},
            "The option min_ns of many is True, and it has to be a duration; write it as 2us, 1.5ms or 300 (ns).",
        ),
        ({"share": 2}, "The option share of many is 2, and it has to be a share from 0 to 1; write it as 50% or 0.5."),
        ({"names": ("a", "")}, "The option names of many is ('a', ''), and it has to be a list of str."),
        ({"names": ["a"]}, "The option names of many is ['a'], and it has to be a list of str."),
    ],
)
def test_values_are_checked_in_python_too(values: dict[str, Any], message: str) -> None:
    """Constructing a pass with a bad value fails with the same sentence as its text."""
    with pytest.raises(UsageError) as error:
        Many(**values)
    assert str(error.value) == message


@attrs.frozen
class Bounded(tir.Pass):
    """Have options with a least value."""

    top: int = tir.option(1, help="How many.", least=1)
    each: tuple[int, ...] = tir.option((), help="How many of each.", least=1)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"top": 0}, "top of bounded is 0, and it has to be 1 or more."),
        ({"each": (2, 0)}, "each of bounded is (2, 0), and each of it has to be 1 or more."),
    ],
)
def test_a_least_value_is_checked_in_lists_too(values: dict[str, Any], said: str) -> None:
    """Each number of a list has to be as large."""
    assert Bounded(each=(1, 2)).text() == "bounded{each=1+2}"
    with pytest.raises(UsageError) as error:
        Bounded(**values)
    assert str(error.value) == f"The option {said}"


@pytest.mark.parametrize(
    ("kind", "value"), [(float, float("nan")), (Literal[1, 2], True), (Literal[True], 1), (tir.Share, float("nan"))]
)
def test_what_looks_alike_is_told_apart(kind: Any, value: object) -> None:
    """NaN is no number, and True is not 1."""
    with pytest.raises(UsageError, match="it has to be"):
        check("p", Option("x", kind, None, ""), value)


def test_a_required_option_is_asked_for() -> None:
    """A pass without its required option is a UsageError, not a TypeError."""
    with pytest.raises(UsageError, match=r"The pass needy needs its option what \(str\)\."):
        Needy.from_text({})
    assert Needy.from_text({"what": "x"}).text() == "needy{what=x}"
