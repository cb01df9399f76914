"""`select_window`: what the words of a window name, and what it says where they name nothing or too much."""

from __future__ import annotations

import re

import attrs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import traceir as tir
from tests.build import Ev, module
from tests.windows.made import decode, ids_of, modules, with_tree
from traceir.registry import Registry
from traceir.text.words import quote
from traceir.windows import select_window

_ANOTHER = re.compile(r": write '(.*)' for another\.", re.S)


def ids(item: tir.Module, text: str) -> list[int]:
    """The ids that a window chooses."""
    return ids_of(item, select_window(item, text).rows)


class TestWords:
    """What each form chooses of `decode`."""

    @pytest.mark.parametrize(
        ("text", "found"),
        [
            ("step.0", [2, 3, 4, 5]),
            ("@step.1", [8, 9, 10, 11]),
            ('"step.1"', [8, 9, 10, 11]),
            ('@"step.1"', [8, 9, 10, 11]),
            ("stack.1", [8, 9, 10, 11]),
            ("stack.0.layer.1", [4, 5]),
            ("layer.1 in step.1", [10, 11]),
            ("layer.1 in step.1 in 1150..1210", [10]),
            ("%7", [7]),
            ("%4..%8", [4, 5, 6, 7, 8]),
            ("%4 .. %8", [4, 5, 6, 7, 8]),
            ("@gpu0.s9", [12]),
            ("gpu0.s9", [12]),
            ("@cpu in %0..%1", [0, 1]),
            ("%0..%8 in step.0", [2, 3, 4, 5]),
            ("100ns..150", [0, 2]),
            ("100..151", [0, 2, 3]),
            ("140..140", [0]),
            ("3us..", [12]),
            ("..10ns", [0]),
            ("..0.011us", [0, 1]),
            ("@gpu0.s7 in 1.15us..1.2us", [9]),
            ("-5..1", [0]),
        ],
    )
    def test_forms(self, text: str, found: list[int]) -> None:
        chosen = select_window(decode(), text)
        assert ids_of(decode(), chosen.rows) == found
        assert chosen.note is None
        assert chosen.rows.dtype == np.int32

    def test_the_first_of_several_is_taken_and_said(self) -> None:
        """The note counts them, names the one taken, and says how to take another; following it takes another."""
        chosen = select_window(decode(), "layer.1")
        assert ids_of(decode(), chosen.rows) == [4, 5]
        assert chosen.note == (
            "2 regions fit layer.1; stack.0.layer.1, the first in time, is taken: write 'stack.1.layer.1' for another."
        )
        inside = select_window(decode(), "layer.1 in @gpu0.s7").note
        assert inside is not None
        assert inside.endswith("write 'stack.1.layer.1 in @gpu0.s7' for another.")

    def test_the_first_in_time_need_not_be_the_first_in_the_table(self) -> None:
        item = module([Ev("dev.kernel", "a", 10, 5), Ev("dev.kernel", "b", 0, 5)])
        item = with_tree(item, "t", [tir.Region("layer", "s.0.x"), tir.Region("layer", "s.1.x")], [0, 1])
        assert ids(item, "x") == [1]

    def test_a_full_name_goes_before_ends_of_names_and_regions_without_events_do_not_count(self) -> None:
        item = module([Ev("dev.kernel", "a", 10, 5), Ev("dev.kernel", "b", 0, 5)])
        regions = [tir.Region("layer", name) for name in ("x", "s.x", "s.x", "y")]
        item = with_tree(item, "t", regions, [0, 1])
        assert (ids(item, "x"), select_window(item, "x").note) == ([0], None)
        assert (ids(item, "s.x"), select_window(item, "s.x").note) == ([1], None)
        with pytest.raises(tir.UsageError, match=r"^The region y has no events\.$"):
            select_window(item, "y")

    def test_regions_of_one_name_are_told_apart_by_time(self) -> None:
        """Where names cannot tell regions apart, the note names a time range that does."""
        item = module([Ev("dev.kernel", "a", 0, 5), Ev("dev.kernel", "b", 10, 0), Ev("dev.kernel", "c", 9, 1)])
        item = with_tree(item, "t", [tir.Region("layer", "x"), tir.Region("layer", "x")], [0, 1, 1])
        chosen = select_window(item, "x")
        assert chosen.note == "2 regions fit x; x, the first in time, is taken: write 'x in 9ns..11ns' for another."
        assert ids(item, "x in 9ns..11ns") == [1, 2]

    def test_a_lane_and_a_region_of_one_name(self) -> None:
        """With `@` the lane goes first, without it the region."""
        item = module([Ev("dev.kernel", "a", 0, 5, "gpu0.s7"), Ev("dev.kernel", "b", 0, 5, "gpu0.s8")])
        item = with_tree(item, "t", [tir.Region("layer", "gpu0.s7")], [-1, 0])
        assert (ids(item, "@gpu0.s7"), ids(item, "gpu0.s7"), ids(item, '"gpu0.s7"')) == ([0], [1], [1])

    @pytest.mark.parametrize("name", ["all in one", "a..b", "%12", "1ms..2ms", "@x", 'say "no"', " in ", "a\nb", "×"])
    def test_names_that_look_like_words_stand_in_quotes(self, name: str) -> None:
        item = with_tree(decode(), "odd", [tir.Region("layer", name)], [0, -1, 0] + [-1] * 10)
        assert ids(item, quote(name)) == [0, 2]
        assert ids(item, f"{quote(name)} in @cpu") == [0]
        assert ids(item, f"step.0 in {quote(name)}") == [2]

    def test_a_bare_name_with_in_is_a_name_if_there_is_one(self) -> None:
        item = with_tree(decode(), "odd", [tir.Region("layer", "step.0 in stack.0")], [0] + [-1] * 12)
        assert ids(item, "step.0 in stack.0") == [0]
        assert ids(decode(), "step.0 in stack.0") == [2, 3, 4, 5]

    def test_removed_events_count_as_any_other(self) -> None:
        """Leaving them out is the caller's choice."""
        item = decode().with_columns({"live": decode()["id"] != 2})
        assert ids(item, "step.0") == [2, 3, 4, 5]


class TestRefusals:
    """A window that chooses nothing is a sentence."""

    @pytest.mark.parametrize(
        ("text", "sentence"),
        [
            ("", "The window is empty; write a region such as layer.3, an event such as %8812, ids such as"),
            ("@", "The window '@' says nothing of which events it holds; write a region such as"),
            ("layer.7", "There is no region or lane layer.7; did you mean layer.1 or layer.0."),
            ("stack.0.layr.1", "There is no region or lane stack.0.layr.1; did you mean stack.0.layer.1"),
            ("gpu0.s8", "There is no region or lane gpu0.s8; did you mean gpu0.s9 or gpu0.s7."),
            ("quite\nelse", 'There is no region or lane "quite\\nelse"; regions are called as '),
            ("%99", "There is no event %99 here; ids run from %0 to %12, the nearest is %12."),
            ("%1:5", "There is no event %1:5 here; ids run from %0 to %12, the nearest is %12."),
            ("%20..%30", "No event has an id in %20..%30; ids run from %0 to %12."),
            ("%8..%2", "The range %8..%2 ends before it begins; write %2..%8."),
            ("%x", "The text '%x' names no event and no range of events; write %8812 or %10..%40."),
            ("%1..", "The text '%1..' names no event"),
            (f"%{1 << 70}", f"The id %{1 << 70} is out of range."),
            ("3ms..1ms", "The time range 3ms..1ms ends before it begins; write 1ms..3ms."),
            ("1mx..3ms", "The time range '1mx..3ms' has to be two times from the start of the trace"),
            ("1.5..3ms", "The time range '1.5..3ms' has to be two times"),
            ("..", "The time range '..' has to be two times"),
            ("5ms..6ms", "No event lies in 5ms..6ms; the events here lie from 0 ns to 3.0 µs."),
            ("%0 in step.0", "No event of %0 is in step.0; the two have nothing in common."),
            ("gpu0.s9 in step.0", "No event of gpu0.s9 is in step.0; the two have nothing in common."),
            ("step.1 in step.0", "The region step.1 has no events in step.0."),
            ("layer.1 in %0..%1", "The region layer.1 has no events in %0..%1."),
            ("step.0 in step.7", "There is no region or lane step.7; did you mean step.1 or step.0."),
            ('"a\\q"', 'The name "a\\q" cannot be read: There is no escape \\q in strings.'),
        ],
    )
    def test_sentences(self, text: str, sentence: str) -> None:
        with pytest.raises(tir.UsageError) as error:
            select_window(decode(), text)
        assert str(error.value).startswith(sentence)
        assert str(error.value).endswith(".")
        assert str(error.value).isprintable()

    def test_without_trees_it_says_which_passes_make_them(self) -> None:
        """The passes come from the registry: a plug-in that makes a tree is named too, other passes are not."""
        with pytest.raises(tir.UsageError, match=r"no pass that makes them has run; run (\w+ or )*group( or \w+)* be"):
            select_window(module([Ev("dev.kernel", "a", 0, 5)]), "layer.3")
        with pytest.raises(tir.UsageError, match="no pass that makes them has run, and none that is installed does"):
            select_window(module([Ev("dev.kernel", "a", 0, 5)]), "layer.3", Registry())

    def test_empty_trees_are_not_trees_that_nobody_made(self) -> None:
        item = with_tree(module([Ev("dev.kernel", "a", 0, 5)]), "t", [], [-1])
        with pytest.raises(tir.UsageError, match="and no regions at all: the passes that ran found none"):
            select_window(item, "layer.3")

    def test_an_event_outside_of_a_window_is_said_to_be_that(self) -> None:
        cut = decode().window(np.arange(3))
        with pytest.raises(tir.UsageError, match="There is no event %3 here: it lies outside the window that the mod"):
            select_window(cut, "%3")

    def test_an_empty_module(self) -> None:
        item = decode().window(np.empty(0, np.int64))
        for text in ("%1", "%1..%2", "1ms..2ms", "step.0", "@cpu"):
            with pytest.raises(tir.UsageError):
                select_window(item, text)

    def test_long_names_do_not_fill_the_screen(self) -> None:
        item = with_tree(decode(), "odd", [tir.Region("layer", "x" * 5000)], [0] + [-1] * 12)
        with pytest.raises(tir.UsageError) as error:
            select_window(item, "x" * 4999)
        assert len(str(error.value)) < 300


class TestLaws:
    """`select_window` against the meaning of the words, event by event."""

    @given(modules(), st.integers(-2, 45), st.integers(0, 20))
    def test_times(self, item: tir.Module, low: int, length: int) -> None:
        """An event is in a time range if some instant of it is, an event without duration being one instant."""

        def inside(row: int) -> bool:
            event = item.event(row)
            instants = range(event.ts, event.ts + max(event.dur, 1))
            return any(low <= instant < low + max(length, 1) for instant in instants)

        expected = [item.event(row).id for row in range(len(item)) if inside(row)]
        text = f"{low}..{low + length}"
        if expected:
            assert ids(item, text) == sorted(expected)
        else:
            with pytest.raises(tir.UsageError):
                select_window(item, text)

    @given(modules(), st.sampled_from(["a", "b", "a.b", "c.a.b", "step.0", "0", "layer.1"]), st.integers(0, 40))
    def test_regions(self, item: tir.Module, name: str, low: int) -> None:
        """A region's events are those whose leaf is below it; of several regions the one that begins first counts."""
        within = {row for row in range(len(item)) if item.event(row).end > low or item.event(row).ts >= low}
        text = f"{name} in {low}.." if low else name
        within = within if low else set(range(len(item)))
        owned: list[tuple[int, set[int]]] = []
        for whole in (True, False):
            for tree in [item.tree(name) for name in ("t", "u") if item.has_tree(name)]:
                for region in range(len(tree)):
                    called = tree.region_name(region)
                    if called == name if whole else called.endswith("." + name):
                        rows = {row for row in within if region in ancestors(tree, int(tree.leaf[row]))}
                        owned += [(min(rows), rows)] if rows else []
            if owned:
                break
        if not owned:
            with pytest.raises(tir.UsageError):
                select_window(item, text)
            return
        chosen = select_window(item, text)
        first = min(at for at, _ in owned)
        assert set(chosen.rows.tolist()) in [rows for at, rows in owned if at == first]
        assert (chosen.note is None) == (len(owned) == 1)
        if chosen.note is not None:
            assert chosen.note.startswith(f"{len(owned)} regions fit {name}")

    @given(modules(st.sampled_from(["x", "a.x", "b.x", "in", "a b.x", "%1", "1..2", 'q".x'])))
    def test_notes_keep_their_word(self, item: tir.Module) -> None:
        """What a note proposes chooses another of the regions that it counts."""
        try:
            chosen = select_window(item, "x")
        except tir.UsageError:
            return
        found = _ANOTHER.search(chosen.note or "")
        if found is None:
            return
        other = select_window(item, found.group(1)).rows.tolist()
        fits = []
        for tree in [item.tree(name) for name in ("t", "u") if item.has_tree(name)]:
            regions = [at for at in range(len(tree)) if tree.region_name(at).split(".")[-1] == "x"]
            fits += [(tree.name, at, tree.events(at).tolist()) for at in regions]
        assert len([rows for _, _, rows in fits if rows in (other, chosen.rows.tolist())]) >= 2

    @given(modules(st.text(max_size=6)), st.data())
    def test_any_name_can_be_written(self, item: tir.Module, data: st.DataObject) -> None:
        """A quoted name chooses a region of just this name, whatever characters it has."""
        trees = [item.tree(name) for name in ("t", "u") if item.has_tree(name)]
        if not trees:
            return
        tree = data.draw(st.sampled_from(trees))
        region = data.draw(st.integers(0, len(tree) - 1))
        name = tree.region_name(region)
        alike = [set(t.events(r).tolist()) for t in trees for r in range(len(t)) if t.region_name(r) == name]
        if any(alike):
            assert set(select_window(item, quote(name)).rows.tolist()) in alike

    @given(modules(), st.text('ab.1 in%@"\\0ms', max_size=12))
    def test_any_text_is_a_choice_or_a_sentence(self, item: tir.Module, text: str) -> None:
        """Of any text comes a choice of some events, or a UsageError in a printable sentence."""
        rows, sentence = [0], "."
        try:
            rows = select_window(item, text).rows.tolist()
        except tir.UsageError as error:
            sentence = str(error)
        assert rows
        assert rows == sorted(set(rows))
        assert sentence.endswith(".")
        assert sentence.isprintable()


def ancestors(tree: tir.Tree, region: int) -> list[int]:
    """A region and all above it."""
    out = []
    while region >= 0:
        out.append(region)
        region = int(tree.parent[region])
    return out


def test_chosen_is_frozen() -> None:
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        select_window(decode(), "step.0").note = "x"  # type: ignore[misc]
