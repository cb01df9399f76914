"""`assert_pass`: it passes what is right, and its diff names what is not."""

from __future__ import annotations

from pathlib import Path

import attrs
import numpy as np
import pytest

import traceir as tir
from traceir.errors import UsageError
from traceir.registry import Registry
from traceir.testing import assert_pass
from traceir.text import ParseError

LANES = """
  lane @gpu0.s7 : dev.stream {device=0, stream=7};
  lane @gpu0.s20 : dev.stream {device=0, stream=20};"""
BEFORE = f"""#[traceir "1"]
module @before {{{LANES}
  %1 = dev.kernel("nvjet_a") @gpu0.s7 [0 +1000];
  %2 = dev.kernel("ncclDevKernel_AllReduce_Sum_bf16_RING_LL") @gpu0.s20 [600 +800];
}}
"""
AFTER = f"""#[traceir "1"]
module @after {{{LANES}
  %1 = dev.kernel("nvjet_a") @gpu0.s7 [0 +1000];
  %2 = dev.kernel("ncclDevKernel_AllReduce_Sum_bf16_RING_LL") @gpu0.s20 [600 +800] {{
    overlap.hidden_by="gemm", overlap.exposed=400}};
}}
"""
COLUMNS = ("overlap.exposed", "overlap.hidden_by")


@attrs.frozen
class Late(tir.Pass):
    """Mark what starts late; not installed anywhere."""

    after: tir.Duration = tir.option(500, least=0, help="From when on a start is late.")
    writes = (tir.Annotation("late.by", unit="ns", null="in time"),)

    def run(self, module: tir.Module, context: tir.PassContext) -> tir.Module:
        late = module["ts"] - self.after
        return module.with_columns({"late.by": np.where(late > 0, late, tir.NULL_I64)})


@attrs.frozen
class Shorten(tir.Pass):
    """Remove what is short."""

    annotates = False

    def run(self, module: tir.Module, context: tir.PassContext) -> tir.Module:
        return module.with_columns({"live": module["dur"] >= 900})


def test_what_the_pass_gives_is_accepted_in_any_order_of_columns_and_returned() -> None:
    after = assert_pass(BEFORE, AFTER, "overlap", COLUMNS)
    assert after.name == "before"
    assert [record.name for record in after.passes] == ["infer", "collectives", "overlap"]


def test_a_difference_is_shown_as_a_diff_of_lines() -> None:
    with pytest.raises(AssertionError) as failure:
        assert_pass(BEFORE, AFTER.replace("=400", "=401"), "overlap{versus=any}", COLUMNS)
    lines = str(failure.value).splitlines()
    assert lines[0] == "The pass overlap{versus=any} gives something else:"
    assert lines[1:3] == ["--- after, as the test says", "+++ after overlap{versus=any}"]
    changed = [line for line in lines[3:] if line[0] in "+-"]
    assert [line[0] for line in changed] == ["-", "+"]
    assert "overlap.exposed=401" in changed[0]
    assert "overlap.exposed=400" in changed[1]


def test_a_column_that_the_test_forgets_is_a_difference_and_a_null_is_not() -> None:
    with pytest.raises(AssertionError, match=r"\+ .*overlap\.hidden_by=\"gemm\""):
        assert_pass(BEFORE, AFTER.replace('overlap.hidden_by="gemm", ', ""), "overlap", COLUMNS)
    assert_pass(BEFORE, BEFORE, Late(after=600))
    with pytest.raises(AssertionError, match=r"\+ .*late\.by=1"):
        assert_pass(BEFORE, BEFORE, Late(after=599))


def test_all_columns_that_a_pass_writes_are_compared_unless_some_are_chosen() -> None:
    with pytest.raises(AssertionError, match=r"\n\+  table overlap \["):
        assert_pass(BEFORE, AFTER, "overlap")
    kinds = AFTER.replace("%2 = dev", "%2 = coll.all_reduce of dev")
    assert_pass(BEFORE, kinds, "overlap", (*COLUMNS, "coll.kind"))
    with pytest.raises(AssertionError, match=r"\n-  %2 = coll\.all_reduce of"):
        assert_pass(BEFORE, kinds.replace("bf16_RING", "bf16_TREE"), "overlap", (*COLUMNS, "coll.kind"))


def test_columns_of_a_pass_that_is_not_installed_need_no_declaration() -> None:
    after = BEFORE.replace("[600 +800]", "[600 +800] {late.by=100}")
    assert_pass(BEFORE, after, Late())
    with pytest.raises(AssertionError, match="gives something else"):
        assert_pass(BEFORE, after, Late(after=400))
    assert_pass(BEFORE.replace("%1 =", "pass p1 = late;\n  %1 =", 1), after, Late())


def test_what_the_text_before_gives_is_not_computed_again() -> None:
    columns = (
        "  column infer.role : event<str>;\n"
        '  column infer.class : event<enum> {values=["compute", "comm"]};\n'
        '  column coll.kind : event<enum> {values=["all_reduce"]};\n'
    )
    given = BEFORE.replace("  %1", f"{columns}  %1")
    given = given.replace("[0 +1000]", '[0 +1000] {infer.role="zorp", infer.class=compute}')
    given = given.replace("%2 = dev", "%2 = coll.all_reduce of dev").replace("+800]", "+800] {infer.class=comm}")
    after = assert_pass(given, AFTER.replace("gemm", "zorp"), "overlap", COLUMNS)
    assert [record.name for record in after.passes] == ["overlap"]


def test_removed_events_and_moved_ones_are_seen() -> None:
    assert_pass(BEFORE, BEFORE.replace("[600 +800]", "[600 +800] dead"), Shorten())
    with pytest.raises(AssertionError, match=r"\n\+ .* dead;"):
        assert_pass(BEFORE, BEFORE, Shorten())


def test_trees_and_tables_are_compared_with_what_their_rows_say() -> None:
    text = BEFORE.replace("  %1", "  region @step.0 : step of steps {\n  %1").replace("\n}\n", "\n}}\n")
    module = assert_pass(text, text, Late(after=900), ("tree",))
    assert module.has_tree("steps")
    with pytest.raises(AssertionError, match=r"region @step\.1"):
        assert_pass(text, text.replace("step.0", "step.1"), Late(after=900), ("tree",))


def test_a_plugin_file_is_tested_by_its_word(tmp_path: Path) -> None:
    path = tmp_path / "shift.py"
    path.write_text(
        "import attrs\nimport traceir as tir\n\n@attrs.frozen\nclass Shift(tir.Pass):\n    'Write a column.'\n"
        "    writes = (tir.Annotation('shift.by'),)\n    def run(self, module, context):\n"
        "        return module.with_columns({'shift.by': module['ts'] + 1})\n"
    )
    registry = Registry.installed()
    registry.add_file(path)
    after = BEFORE.replace("+1000]", "+1000] {shift.by=1}").replace("+800]", "+800] {shift.by=601}")
    assert_pass(BEFORE, after, "shift", registry=registry)


def test_mistakes_in_the_texts_are_named_with_their_place() -> None:
    with pytest.raises(ParseError, match="<before>:5"):
        assert_pass(BEFORE.replace("@gpu0.s7 [", "@gpu0.s8 ["), AFTER, "overlap")
    with pytest.raises(ParseError, match="<after>:7"):
        assert_pass(BEFORE, AFTER.replace("overlap.exposed", "overlap.exposd"), "overlap")
    with pytest.raises(UsageError, match=r"no column overlap\.exposd before or after"):
        assert_pass(BEFORE, AFTER, "overlap", ("overlap.exposd",))
