"""Texts that once were read or printed wrongly, each with what is right."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest

import traceir as tir
from tests.build import Ev, module
from traceir.cli.main import main
from traceir.ir import Annotation, Written
from traceir.testing import assert_equal
from traceir.text import ParseError, Spelling, parse, spell

HEAD = '#[traceir "1"]\nmodule @m {\n  lane @g : dev.stream;\n'
EVENT = '  %1 = dev.kernel("k") @g [0 +1];\n'


def text_of(item: tir.Module, **options: Any) -> str:
    return "".join(spell(item, Spelling(**options)))


def small() -> tir.Module:
    return module([Ev("dev.kernel", "k", 0, 5), Ev("dev.kernel", "k", 9, 5)])


@pytest.mark.parametrize("form", ["statements", "table"])
def test_a_text_says_the_values_of_its_enums(form: Any) -> None:
    """Another version of the pass may have others, and then the text's are right."""
    given = tir.PassManager.parse("infer").run(small())
    known = given.annotations["infer.class"].annotation
    moved = attrs.evolve(known, values=("new", *known.values))
    column = given["infer.class"] + np.int16(1)
    other = attrs.evolve(
        given.with_columns({"infer.class": np.where(given["infer.class"] < 0, -1, column).astype(np.int16)}),
        annotations={**given.annotations, "infer.class": Written(moved, 0)},
    )
    again = parse(text_of(other, form=form))
    assert again.text("infer.class") == given.text("infer.class")
    assert again.annotations["infer.class"].annotation == moved


@pytest.mark.parametrize("value", [[[["é"]]], "é"])
def test_ascii_means_the_same(value: Any, tmp_path: Path) -> None:
    """In metadata as elsewhere."""
    trace = {
        "traceEvents": [{"ph": "X", "cat": "cpu_op", "name": "é", "pid": 1, "tid": 1, "ts": 1, "dur": 1}],
        "é": value,
    }
    (tmp_path / "a.json").write_text(json.dumps(trace), "utf-8")
    assert (
        main(
            ["run", "--passes", "", "--emit", "tir", "--ascii", "-o", str(tmp_path / "a.tir"), str(tmp_path / "a.json")]
        )
        == 0
    )
    text = (tmp_path / "a.tir").read_text("utf-8")
    assert text.isascii()
    again = parse(text)
    assert again.meta == tir.load(tmp_path / "a.json").meta
    assert again.event(0).name == "é"


def test_what_nests_too_deep_is_a_text() -> None:
    """The innermost lists are printed as their JSON, so that the text can be read."""
    deep: Any = 1
    for _ in range(70):
        deep = [deep]
    again = parse(text_of(attrs.evolve(small(), meta={"deep": deep})))
    inner = again.meta["deep"]
    for _ in range(64):
        assert isinstance(inner, list)
        (inner,) = inner
    assert json.loads(inner) == [[[[[[1]]]]]]
    assert text_of(again) == text_of(parse(text_of(again)))


@pytest.mark.parametrize("columns", ["overlap", "coll", "infer", "tree", "group"])
@pytest.mark.parametrize("emit", ["folded", "json", "tir"])
def test_a_text_of_some_columns_can_be_printed(columns: str, emit: str, example: Path, tmp_path: Path) -> None:
    """What its passes would report of columns that are not there is left out."""
    path = str(tmp_path / "p.tir")
    assert main(
        ["run", "-q", "--passes", "overlap", "--emit", f"tir{{columns={columns}}}", "-o", path, str(example)]
    ) in (0, 2)
    if Path(path).exists():
        assert main(["print", "-q", "--emit", emit, "-o", str(tmp_path / "out"), path]) == 0


@pytest.fixture
def example() -> Path:
    """The example of a decoder."""
    return Path(__file__).parents[2] / "examples" / "decoder_tp8_graph.json.gz"


@pytest.mark.parametrize("key", ["clock", "source", "origin", "origin_ns", "lane", "meta", "a.b", ""])
@pytest.mark.parametrize("value", [5, "x", None, [1]])
def test_metadata_may_have_any_key(key: str, value: Any) -> None:
    """Also one that means something else in the header."""
    item = attrs.evolve(small(), meta={"origin_ns": 3, key: value})
    assert_equal(item, parse(text_of(item)))


MISTAKES = [
    (HEAD + '  column x.a : event<f64>;\n  %1 = dev.kernel("k") @g [0 +1] {x.a=1' + "0" * 400 + "};\n}\n", 5,
     "The number 10000000000000000000… is out of the range of f64."),
    (HEAD + "  column x.a : event<i64>;\n" + EVENT + "  values [id x.a] {\n  1 2\n  1 3\n  }\n}\n", 8,
     "This event stands in the block twice."),
    (HEAD + "  lane @h : dev.stream {device=99999999999999999999};\n}\n", 4,
     "The attribute device has to be a whole number of 64 bits."),
    (HEAD + "  health x : info {first=-3};\n}\n", 4, "The attribute first has to be an id such as %4."),
    (HEAD + "  health x : info {count=-5};\n}\n", 4, "The attribute count has to be a whole number from 0 on."),
    (HEAD + "  health x : info {poisons=[1, 2]};\n}\n", 4, "The attribute poisons has to be a list of texts."),
    (HEAD + EVENT + "  region @r : step = { @g: %5..%9 };\n}\n", 5,
     "No event of the range %5..%9 is in this text."),
    ('#[traceir "1"]\nmodule @m {origin=5, "origin_ns"=7} {\n}\n', 2, "The metadata origin_ns is given twice."),
    (HEAD + '  column x.a : event<enum> {values=["a", "a"]};\n}\n', 4, "The value 'a' of an enum is given twice."),
]  # fmt: skip


@pytest.mark.parametrize(("text", "line", "message"), MISTAKES)
def test_a_mistake_is_said(text: str, line: int, message: str) -> None:
    """Nothing is clamped, overwritten or lost without a word."""
    with pytest.raises(ParseError) as caught:
        parse(text)
    assert (caught.value.line, caught.value.message) == (line, message)


@pytest.mark.parametrize("cell", ["1e1", "2.0", "inf"])
def test_a_whole_number_is_spelled_as_one(cell: str) -> None:
    """Whether or not a column of decimals stands beside it."""
    head = HEAD + "  column x.a : table:t<i64>;\n  column x.b : table:t<f64>;\n"
    for row, columns in ((f"{cell} 0.5", "x.a x.b"), (cell, "x.a")):
        with pytest.raises(ParseError, match="has to be a whole number"):
            parse(f"{head}  table t [{columns}] {{\n{row}\n}}\n}}\n")


def test_listed_regions_are_printed_in_linear_time() -> None:
    """Eight times as many runs take nowhere near 64 times as long (it was quadratic)."""
    from time import process_time

    def seconds(runs: int) -> float:
        rows = np.arange(2 * runs)
        built = tir.ModuleBuilder(
            name="m", strings=tir.Strings(["k"]), lanes=[tir.Lane("a", "host.thread"), tir.Lane("b", "host.thread")],
            kinds=["host.op"], id=rows, kind=rows * 0, name_code=rows * 0, ts=rows, dur=rows * 0, lane=rows % 2,
        ).build()  # fmt: skip
        regions = [tir.ir.Region("s", f"s.{i}", i, -1) for i in range(runs)]
        both = built.with_tree("s", regions, (rows // 2).astype(np.int32)).with_tree(
            "t", [], np.full(2 * runs, -1, np.int32)
        )
        both = both.with_tree("u", regions, (rows // 2).astype(np.int32))
        annotations = {f"tree.{name}": Written(Annotation(f"tree.{name}", dtype="id"), None) for name in "stu"}
        both = attrs.evolve(both, annotations=annotations)
        began = process_time()
        text_of(both, tree="s", form="statements")
        return process_time() - began

    seconds(100)
    assert seconds(16_000) < 30 * max(seconds(2_000), 0.01)


@pytest.mark.parametrize(("maker", "stale"), [("pass p1 = theirs;", True), ("", False)])
def test_columns_of_a_pass_that_is_not_installed_go_stale(maker: str, stale: bool) -> None:
    """What they were computed from is unknown, so that any change counts; a text's own columns depend on nothing."""
    by = " by p1" if maker else ""
    given = parse(
        HEAD
        + f"  {maker}\n  column theirs.cost : event<i64, ns>{by};\n"
        + EVENT.replace(";", " {theirs.cost=3};")
        + "}"
    )
    assert not given.stale("theirs.cost")
    changed = given.with_columns({"dur": given["dur"] + 1})
    assert changed.stale("theirs.cost") is stale
    assert ("theirs.cost=3" in text_of(changed)) is not stale
    assert ("// The column theirs.cost is stale and left out." in text_of(changed)) is stale
