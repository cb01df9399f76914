"""`traceir why`: value, meaning, pass with its options, and what it was made from."""

from __future__ import annotations

from pathlib import Path

import pytest

from traceir.cli.main import main

EXAMPLE = str(Path(__file__).parents[2] / "examples" / "decoder_tp8_graph.json.gz")


def asked(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> list[str]:
    assert main(["why", "-q", *words, EXAMPLE]) == code
    said = capsys.readouterr()
    return (said.err if code else said.out).splitlines()


def test_a_value_is_traced_to_its_pass_and_what_that_read(capsys: pytest.CaptureFixture[str]) -> None:
    """With the options, those that are not at their defaults marked."""
    lines = asked(capsys, "--passes", "overlap{versus=any}", "%5196", "overlap.exposed")
    assert lines[0].startswith("%5196 = dev.kernel('ncclDevKernel_AllReduce_Sum_bf16_RING_LL(")
    assert lines[1] == "  overlap.exposed = 687402 ns"
    assert lines[3:5] == ["    It is derived.", "  by overlap{versus=any} (pass 3 of 3)"]
    assert lines[5].startswith("    versus=any, not the default: What hides communication")
    assert lines[6].startswith("    fused=third: ")
    assert lines[8].startswith("    compat=")
    assert lines[9] == "  from id, ts, dur, kind, lane, live of the events, and:"
    assert '    infer.role = "all-reduce" (by infer)' in lines
    assert '    coll.library = "nccl" (of row 1 of table:collectives, by collectives)' in lines
    assert "    tree.steps: not there" in lines


def test_a_place_in_a_tree_is_its_region(capsys: pytest.CaptureFixture[str]) -> None:
    """By name, as windows take it."""
    assert asked(capsys, "--passes", "group", "5196", "tree.layers")[1] == "  tree.layers = @stack.0.layer.0.attention"


def test_an_event_stands_for_the_regions_and_the_lane_around_it(capsys: pytest.CaptureFixture[str]) -> None:
    """The innermost region that has a value; and regions are called by their names as well."""
    around = asked(capsys, "--passes", "group", "%5196", "group.confidence")
    assert around[:2] == ["@stack.0 : stack of the tree layers, 540 events", "  group.confidence = 0.9867"]
    named = asked(capsys, "--passes", "group", "@layer.3", "group.confidence")
    assert named[0] == "@stack.0.layer.3 : layer of the tree layers, 15 events"
    assert named[3] == "    Here it is null: not a stack"


def test_what_a_pass_read_of_regions_and_tables_is_that_of_the_event(capsys: pytest.CaptureFixture[str]) -> None:
    """By the regions that it lies in and the rows that it is linked to; where it is in none, that is said."""
    inside = asked(capsys, "--passes", "group,overlap", "%5196", "overlap.exposed")
    assert '    group.mark_text = "ProfilerStep#0" (of @step.0, by group)' in inside
    outside = asked(capsys, "--passes", "group,overlap", "%5172", "overlap.exposed")
    assert (
        "    coll.library: a column of table:collectives, no row of which refers to the event (by collectives)"
        in outside
    )
    read = asked(capsys, "--passes", "group,collectives", "%5196", "coll.kind")
    assert "    group.partial = false (of @stack.0.layer.0.attention, by group)" in read
    assert '    group.direction = "forward" (of @stack.0, by group)' in read
    nowhere = asked(capsys, "--passes", "group,collectives", "%5172", "coll.kind")
    assert "    group.direction: the event lies in no region of the tree layers (by group)" in nowhere


def test_arguments_are_among_what_was_read(capsys: pytest.CaptureFixture[str]) -> None:
    """They are no column, and where they stand in the source goes without saying."""
    lines = asked(capsys, "%5196", "coll.kind")
    [read] = [line for line in lines if line.startswith("  from ")]
    assert read.endswith(" of the events, the source's arguments, and:")
    assert "offset" not in read
    assert not any("args" in line for line in lines)


def test_a_column_of_a_table_is_explained_by_the_rows_that_refer_to_the_event(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """With what else is in the row; gaps on both sides, on the device and on the lane."""
    lines = asked(capsys, "%5196", "gaps.class")
    assert lines[0].startswith("%5196 = dev.kernel(")
    values = [line for line in lines if line.startswith("  gaps.class = ")]
    assert values[0] == '  gaps.class = "queue_latency" (row 11 of table:gaps, by gaps.next)'
    assert [line.rpartition(" ")[2] for line in values] == ["gaps.next)", "gaps.prev)", "gaps.next)", "gaps.prev)"]
    assert lines[2].startswith('    beside gaps.level = "device", gaps.device = 0, gaps.start = 1948037 ns, ')
    assert "    Cause of the gap." in lines
    assert "  by gaps (pass 5 of 5)" in lines
    assert "    tree.steps = @step.0 (of %5196, by group)" in lines
    null = asked(capsys, "%5196", "gaps.blame")
    assert "    Where it is null: none is known or looked for, or the gap is not above min_gap" in null


def test_a_row_that_the_event_refers_to_is_its_row(capsys: pytest.CaptureFixture[str]) -> None:
    """A collective has its first event, and each of its events the collective; it is one row."""
    lines = asked(capsys, "%5196", "coll.algorithm")
    assert lines[1] == '  coll.algorithm = "ring" (row 1 of table:collectives, by coll.instance)'
    assert lines[2].startswith('    beside coll.event = %5196, coll.library = "nccl", ')
    assert not any(line.startswith("  coll.algorithm") for line in lines[2:])


def test_of_very_many_rows_the_first_are_explained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And the rest counted."""
    path = tmp_path / "a.tir"
    rows = "".join(f"    %7 {number}\n" for number in range(8))
    path.write_text(
        '#[traceir "1"]\nmodule @m {\n  lane @g : dev.stream;\n  column pair.of : table:pair<id>;\n'
        '  column pair.cost : table:pair<i64, ns>;\n  %7 = dev.kernel("k") @g [0 +5];\n'
        f"  table pair [pair.of pair.cost] {{\n{rows}  }}\n}}\n"
    )
    assert main(["why", "%7", "pair.cost", str(path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == "  pair.cost = 0 ns (row 0 of table:pair, by pair.of)"
    assert sum(line.startswith("  pair.cost = ") for line in lines) == 5
    assert "  and so on in 3 further rows" in lines


def test_a_value_of_the_module_has_no_other_place(capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever the place."""
    lines = asked(capsys, "--passes", "group", "@", "group.reason")
    assert lines[:2] == ["@decoder_tp8_graph.json.gz : the module, 6\u00a0578 events", "  group.reason = null"]


def test_what_removed_an_event_is_known(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By the pass with its options; what the file holds as removed has no pass, and what is left none either."""
    plugin = tmp_path / "dropping.py"
    plugin.write_text(DROPPING)
    path = tmp_path / "a.tir"
    path.write_text(
        '#[traceir "1"]\nmodule @m {\n  lane @g : dev.stream;\n  %0 = dev.kernel("k") @g [0 +5] dead;\n'
        '  %1 = dev.kernel("k") @g [10 +5];\n  %2 = dev.kernel("k") @g [20 +7];\n}\n'
    )
    said = []
    for place in ("%0", "%1", "%2"):
        words = ["--plugin", str(plugin), "--passes", "dropping{longer=6}", place, "live", str(path)]
        assert main(["why", "-q", *words]) == 0
        said.append(capsys.readouterr().out.splitlines()[1:])
    assert said == [
        ["  live = false", "    Which pass removed the event is not recorded."],
        ["  live = true", "    No pass has removed the event."],
        ["  live = false", "  by dropping{longer=6}"],
    ]


DROPPING = """
import attrs
import traceir as tir

@attrs.frozen
class Dropping(tir.Pass):
    annotates = False
    longer: int = tir.option(0, help="drop what is longer")

    def run(self, module, context):
        return module.with_columns({"live": module["live"] & (module["dur"] <= self.longer)})
"""


def test_columns_of_a_plug_in_in_a_text_are_computed_anew(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The text's frontend knows the passes of --plugin files, and so what their columns were computed from."""
    plugin, path = tmp_path / "doubling.py", tmp_path / "a.tir"
    plugin.write_text(DOUBLING)
    path.write_text(
        '#[traceir "1"]\nmodule @m {\n  lane @g : dev.stream;\n  pass p1 = doubling;\n'
        "  column doubling.dur : event<i64, ns> by p1;\n"
        '  %7 = dev.kernel("k") @g [0 +50] {doubling.dur=100};\n}\n'
    )
    words = ["why", "--plugin", str(plugin), "%7", "doubling.dur", str(path)]
    assert main(words) == 0
    assert capsys.readouterr().out.splitlines()[1] == "  doubling.dur = 100 ns"
    assert main([*words, "--passes", "cutting"]) == 0
    assert capsys.readouterr().out.splitlines()[:2] == ["%7 = dev.kernel('k') @g [0 +10]", "  doubling.dur = 20 ns"]


def test_columns_of_a_pass_that_is_not_installed_are_left_out_when_stale(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nobody can compute them again, and nobody shows what was true of other durations."""
    path, plugin = tmp_path / "a.tir", tmp_path / "doubling.py"
    plugin.write_text(DOUBLING)
    path.write_text(
        '#[traceir "1"]\nmodule @m {\n  lane @g : dev.stream;\n  pass p1 = theirs;\n'
        "  column theirs.cost : event<i64, ns> by p1;\n"
        '  %7 = dev.kernel("k") @g [0 +50] {theirs.cost=100};\n}\n'
    )
    words = ["run", "-q", "--plugin", str(plugin), "--passes", "cutting", "--emit", "tir"]
    assert main([*words, str(path)]) == 0
    said = capsys.readouterr().out
    assert "// The column theirs.cost is stale and left out." in said
    assert "100" not in said


DOUBLING = """
import attrs
import numpy as np
import traceir as tir

@attrs.frozen
class Doubling(tir.Pass):
    reads = ("dur",)
    writes = (tir.Annotation("doubling.dur", dtype="i64", unit="ns", doc="Twice the duration."),)

    def run(self, module, context):
        return module.with_columns({"doubling.dur": 2 * module["dur"]})

@attrs.frozen
class Cutting(tir.Pass):
    annotates = False

    def run(self, module, context):
        return module.with_columns({"dur": np.minimum(module["dur"], 10)})
"""


def test_null_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    """In the words of the declaration."""
    lines = asked(capsys, "%5174", "overlap.exposed")
    assert lines[1] == "  overlap.exposed = null"
    assert lines[3].startswith("    Here it is null: ")


def test_a_text_that_records_its_passes_is_explained_as_it_stands(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing runs again; a pass that is not installed is named, and what it reads is unknown."""
    path = tmp_path / "a.tir"
    path.write_text(
        '#[traceir "1"]\nmodule @m {\n  lane @g : dev.stream;\n  pass p1 = theirs{a=2};\n'
        '  column theirs.cost : event<i64, ns> by p1 {doc="What it cost."};\n'
        '  %7 = dev.kernel("k") @g [0 +5] {theirs.cost=3};\n}\n'
    )
    assert main(["why", "%7", "theirs.cost", str(path)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "%7 = dev.kernel('k') @g [0 +5]",
        "  theirs.cost = 3 ns",
        "    What it cost.",
        "    It is derived.",
        "  by theirs{a=2} (pass 1 of 1)",
        "    The pass is not installed, so what it reads is unknown.",
    ]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["%9999999", "overlap.exposed"], "There is no event %9999999 in this trace."),
        (["x", "overlap.exposed"], "The event 'x' is no id; write it as %8812."),
        (["%5196", "ts"], "The column ts is what the source recorded; no pass wrote it."),
        (
            ["@step.0", "gaps.class"],
            "The column gaps.class is one of table:gaps, not of events, regions, lanes or the module; "
            "name an event that it speaks of, as %8812, or print the table with --emit tir.",
        ),
        (
            ["%5196", "overlap.busy_ns"],
            "The column overlap.busy_ns is one of table:overlap, not of events, regions, lanes or the module; "
            "print the table with --emit tir.",
        ),
        (
            ["%5172", "coll.library"],
            "No row of table:collectives refers to the event %5172 (by coll.instance or coll.event).",
        ),
        (
            ["@step.0", "overlap.exposed"],
            "The column overlap.exposed is one of events, and @step.0 is none; name an event, as %8812.",
        ),
        (["@step.0", "live"], "The column live is one of events, and @step.0 is none; name an event, as %8812."),
        (
            ["@layer.99", "group.confidence"],
            "The tree layers has no region layer.99; did you mean layer.9, layer.29, layer.19, layer.8 or layer.7.",
        ),
        (["@", "overlap.exposed"], "The event '@' is no id; write it as %8812."),
        (["%1", "group.confidence"], "There is no event %1 in this trace."),
        (["%5172", "group.confidence"], "The event %5172 lies in no region of the tree layers."),
    ],
)
def test_what_cannot_be_explained_is_said(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    """In a sentence, and nothing is printed before."""
    assert asked(capsys, *words, code=2) == [f"traceir: {message}"]
    assert capsys.readouterr().out == ""


def test_a_column_that_nobody_wrote_is_offered_its_neighbours(capsys: pytest.CaptureFixture[str]) -> None:
    """The names that are there."""
    (line,) = asked(capsys, "%5196", "overlap.exposd", code=2)
    assert line.startswith("traceir: No pass that ran wrote a column overlap.exposd; did you mean overlap.exposed")


def test_times_that_a_pass_changed_are_not_the_source_s(capsys: pytest.CaptureFixture[str]) -> None:
    """After `dead-gaps` the originals stand in columns of their own."""
    said = asked(capsys, "--passes", "gaps,dead-gaps", "%5196", "ts", code=2)
    assert said == ["traceir: The column ts was changed by dead-gaps; what the source recorded is in src.ts."]
