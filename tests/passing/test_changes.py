"""What a pass changed: by tokens and values, as text and as data."""

from __future__ import annotations

import io
import json

import attrs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import traceir as tir
from tests.build import Ev, module
from tests.passing.toys import ALL, column, doing
from traceir.ir import NULL_I64, Region
from traceir.passing import PassManager, to_json
from traceir.passing.changes import Changes, lines
from traceir.passing.instruments import Diff, Print
from traceir.testing import modules


def small() -> tir.Module:
    return module([Ev("host.op", "a", 0, 9, "cpu"), Ev("host.op", "b", 10, 3, "cpu"), Ev("dev.kernel", "k", 12, 4)])


def printed(*passes: tir.Pass, most: int = 3) -> list[str]:
    out = io.StringIO()
    PassManager(passes, ALL, instruments=[Diff(most, stream=out)]).run(small())
    return out.getvalue().splitlines()


def test_a_new_column_is_shown_with_its_first_values() -> None:
    """Nulls are not counted; the unit stands behind the number."""
    values = np.array([5, NULL_I64, 7])
    item = doing(lambda m: m.with_columns({"x.y": values}), writes=(column("x.y", dtype="i64", unit="ns"),))
    assert printed(item) == ["diff broken", "  + x.y : event  2 of 3 values: %0 5 ns, %2 7 ns"]
    assert printed(item, most=1) == ["diff broken", "  + x.y : event  2 of 3 values: %0 5 ns, …"]
    assert printed(item, most=0) == ["diff broken", "  + x.y : event  2 of 3 values"]


def test_changed_cells_are_shown_before_and_after() -> None:
    """Only those that differ."""
    item = doing(lambda m: m.with_columns({"dur": np.array([9, 4, 4])}), annotates=False)
    assert printed(item) == ["diff broken", "  ~ dur : event  1 of 3 changed: %1 3 -> 4"]


def test_removed_events_are_counted_by_kind() -> None:
    """And those put back."""
    item = doing(lambda m: m.with_columns({"live": np.array([True, False, False])}), annotates=False)
    back = doing(lambda m: m.with_columns({"live": np.ones(3, bool)}), annotates=False)
    lines = printed(item, back)
    assert lines[2:4] == ["  - 1 dev.kernel", "  - 1 host.op"] or sorted(lines[2:4]) == [
        "  - 1 dev.kernel",
        "  - 1 host.op",
    ]
    assert sorted(lines[-2:]) == ["  + 1 dev.kernel", "  + 1 host.op"]


def test_regions_are_counted_by_kind() -> None:
    """A tree is its regions, and the column that says where each event lies."""
    regions = [Region("step", "s.0", 0, -1), Region("step", "s.1", 1, -1), Region("layer", "l.0", 0, 0)]
    after = small().with_tree("t", regions, np.array([0, 1, 2], np.int32))
    changes = Changes.between(small(), after)
    assert [(one.what, one.tree, one.kind, one.after) for one in changes.trees] == [
        ("+", "t", "layer", 1),
        ("+", "t", "step", 2),
    ]


def tree(names: list[str], kind: str = "block", name: str = "t") -> tir.Module:
    """Three events, all in the first of some regions."""
    return small().with_tree(name, [Region(kind, one, i, -1) for i, one in enumerate(names)], np.zeros(3, np.int32))


def test_a_tree_that_is_another_one_is_a_change() -> None:
    """Renamed, of another kind, grown: each is said for what it is, and never as a new tree."""
    before = tree(["a", "b", "c"])
    cases = [
        (tree(["a", "x", "y"]), ["~ tree t: 2 of 3 block changed"]),
        (tree(["a", "b", "c"], "layer"), ["~ tree t: 3 -> 0 block", "~ tree t: 0 -> 3 layer"]),
        (tree(["a", "b"]), ["~ tree t: 3 -> 2 block"]),
        (tree(["a", "b", "c"]), ["no change"]),
    ]
    for other, said in cases:
        tables = {**before.tables, "region:t": other.tables["region:t"]}
        after = attrs.evolve(before, strings=other.strings, tables=tables)
        changes = Changes.between(before, after)
        assert list(lines(changes)) == said
        assert bool(changes) is (said != ["no change"])


def test_a_tree_that_is_gone_is_shown() -> None:
    """With its regions, and the column that said where events lie."""
    before, after = tree(["a", "b"]), small()
    after = attrs.evolve(after, tables={**after.tables, "event": after.tables["event"]})
    found = list(lines(Changes.between(before, after)))
    assert "- tree t: 2 block" in found
    assert any(line.startswith("- tree.t : event") for line in found)
    assert "+ tree t: 2 block" in list(lines(Changes.between(after, before)))


def test_a_table_of_another_length_is_changed_not_added() -> None:
    """Its rows are others, so that no value is said to have become another."""
    before = small().with_table("gaps", {"x.ns": np.arange(5)})
    found = Changes.between(before, before.with_table("gaps", {"x.ns": np.arange(3)}))
    assert list(lines(found)) == ["~ x.ns : table:gaps  3 rows, 5 before"]


@pytest.mark.parametrize("changed", [True, False])
def test_regions_that_change_are_printed_when_changed(changed: bool) -> None:
    """`print{when=changed}` looks at trees too."""
    regions = [Region("block", "a", 0, -1), Region("block", "c" if changed else "b", 1, -1)]
    before = tree(["a", "b"])
    item = doing(
        lambda m: m.with_tree("t", regions, m["tree.t"]), writes=(column("tree.t", dtype="id", domain="event"),)
    )
    out = io.StringIO()
    PassManager([item], ALL, instruments=[Print(when="changed", stream=out)]).run(before)
    assert ("region @c" in out.getvalue()) is changed


def test_no_change_is_said() -> None:
    """A pass that gives back what it was given changed nothing, though it is recorded."""
    assert printed(doing(lambda m: m)) == ["diff broken", "  no change"]


@given(modules(max_events=5), st.data())
def test_there_is_no_change_exactly_if_all_columns_are_the_same(item: tir.Module, data: st.DataObject) -> None:
    """Equal bytes are the same column, whoever wrote them."""
    assert not Changes.between(item, item)
    again = item.with_columns({"dur": item["dur"].copy()})
    assert not Changes.between(item, again)
    if len(item):
        row = data.draw(st.integers(0, len(item) - 1))
        dur = item["dur"].copy()
        dur[row] ^= 1
        (change,) = Changes.between(item, item.with_columns({"dur": dur})).columns
        assert (change.what, change.name, change.cells) == ("~", "dur", 1)
        assert change.examples == ((change.examples[0][0], str(item["dur"][row]), str(dur[row])),)


def test_the_figures_are_plain_data() -> None:
    """What `--log` writes is JSON."""
    instrument = Diff(stream=io.StringIO())
    PassManager.parse("alpha", registry=ALL, instruments=[instrument]).run(small())
    (row,) = json.loads(json.dumps(to_json(instrument.figures())))
    assert row["diff"]["columns"][0]["name"] == "alpha.a"
