"""The verifier: each rule is broken by exactly one hand-made fault, and real traces are sound."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import numpy as np
import pytest

import traceir as tir
from tests.build import Ev, annotate, module
from traceir.ir import Annotation, Column, PassRecord, Table, Written
from traceir.ir.verify import RULES, Cache, Violation, verify

Load = Callable[[str], tir.Module]


def sound() -> tir.Module:
    """Two nested host events, a launch, its kernel, another kernel; a tree, a table, annotations of each dtype."""
    item = module(
        [
            Ev("host.op", "outer", 0, 100, "cpu"),
            Ev("host.op", "inner", 10, 50, "cpu"),
            Ev("rt.launch", "launch", 20, 5, "cpu"),
            Ev("dev.kernel", "a", 30, 10, launch=2),
            Ev("dev.kernel", "b", 40, 10),
        ]
    )
    item = item.with_tree("t", [tir.Region("step", "s"), tir.Region("layer", "l", 0, 0)], [-1, -1, -1, 0, 1])
    item = item.with_table("gaps", {"gaps.next": np.array([4], np.int32), "gaps.dur": np.array([3])})
    item = item.with_columns({"x.class": np.array([0, 1, -1, -1, -1], np.int16)})
    item = annotate(item, Annotation("x.text", dtype="str"), {3: "text"})
    written = {
        "x.class": Written(Annotation("x.class", dtype="enum", values=("p", "q")), 0),
        "gaps.next": Written(Annotation("gaps.next", "table:gaps", "id"), 0, (("ts", item.token("ts")),)),
        "gaps.dur": Written(Annotation("gaps.dur", "table:gaps", unit="ns"), 0),
        "tree.t": Written(Annotation("tree.t", dtype="id"), 0),
    }
    return attrs.evolve(item, annotations={**item.annotations, **written}, passes=(PassRecord("x", "x"),))


def put(item: tir.Module, table: str, **columns: Any) -> tir.Module:
    """The module with columns replaced behind its back, as a careless frontend or parser would."""
    old = item.tables[table]
    new = {name: Column.own(values) for name, values in columns.items()}
    broken = Table(table, old.length, {**old.columns, **new})
    return attrs.evolve(item, tables={**item.tables, table: broken}, derived={})


def cell(item: tir.Module, name: str, row: int, value: int, table: str = "event") -> tir.Module:
    """The module with one cell replaced behind its back."""
    values = item.tables[table][name].copy()
    values[row] = value
    return put(item, table, **{name: values})


def declare(item: tir.Module, name: str, **changes: Any) -> tir.Module:
    written = item.annotations[name]
    changed = attrs.evolve(written, annotation=attrs.evolve(written.annotation, **changes))
    return attrs.evolve(item, annotations={**item.annotations, name: changed})


def without_column(item: tir.Module, name: str) -> tir.Module:
    event = item.tables["event"]
    columns = {key: column for key, column in event.columns.items() if key != name}
    return attrs.evolve(item, tables={**item.tables, "event": Table("event", event.length, columns)}, derived={})


def writable(item: tir.Module) -> tir.Module:
    values = item["dur"].copy()
    columns = {**item.tables["event"].columns, "dur": Column(values, 10**12)}
    return attrs.evolve(item, tables={**item.tables, "event": Table("event", 5, columns)}, derived={})


def by_nobody(item: tir.Module) -> tir.Module:
    return attrs.evolve(item, annotations={**item.annotations, "x.text": Written(Annotation("x.text", dtype="str"), 7)})


BREAKS: dict[str, tuple[Callable[[tir.Module], tir.Module], str]] = {
    "missing core column": (lambda m: without_column(m, "dur"), "V01 column-length: The table event lacks dur."),
    "column too short": (
        lambda m: put(m, "event", dur=np.zeros(3, np.int64)),
        "V01 column-length: The column dur has 3 values, and the table event has 5 rows.",
    ),
    "float times": (
        lambda m: put(m, "event", ts=m["ts"].astype(float)),
        "V02 column-dtype: The column ts of event is float64, and it has to be int64.",
    ),
    "writable array": (writable, "V02 column-dtype: The column dur of event can be written to."),
    "rows out of order": (
        lambda m: cell(cell(m, "ts", 4, 20), "dur", 4, 0),
        "V03 rows-sorted: 1 events start before the one in the row before, by up to 10 ns.",
    ),
    "one id twice": (lambda m: cell(m, "id", 4, 3), "V04 id-unique: 1 events have the id of an earlier one."),
    "negative id": (lambda m: cell(m, "id", 4, -3), "V04 id-unique: 1 events have a negative id."),
    "unknown kind": (
        lambda m: cell(m, "kind", 4, 9),
        "V05 code-known: 1 events have a kind that the module does not know.",
    ),
    "unknown lane": (
        lambda m: cell(m, "lane", 4, 2),
        "V05 code-known: 1 events have a lane that the module does not know.",
    ),
    "no name": (
        lambda m: cell(m, "name", 4, -1),
        "V05 code-known: 1 events have a name that the module does not know.",
    ),
    "parent that is no row": (
        lambda m: cell(m, "parent", 1, 5),
        "V06 parent-known: 1 events have a parent that is no row.",
    ),
    "own parent": (lambda m: cell(m, "parent", 1, 1), "V06 parent-known: 1 events are their own parents."),
    "child sticks out": (
        lambda m: cell(m, "dur", 1, 93),
        "V07 nest-contains: 1 events end after their parent, by up to 3 ns.",
    ),
    "parent on another lane": (
        lambda m: cell(m, "parent", 4, 0),
        "V08 parent-lane: 1 events lie on another lane than their parent.",
    ),
    "circle of parents": (
        lambda m: put(
            m,
            "event",
            parent=np.array([-1, 0, 1, 4, 3], np.int32),
            ts=np.array([0, 10, 20, 30, 30]),
            dur=np.array([100, 50, 5, 0, 0]),
        ),
        "V09 parent-acyclic: 2 events have a circle of parents above them.",
    ),
    "child starts early": (
        lambda m: cell(cell(cell(m, "parent", 0, 1), "parent", 1, -1), "dur", 0, 5),
        "V10 parent-earlier: 1 events start before their parent, by up to 10 ns.",
    ),
    "negative duration": (
        lambda m: cell(m, "dur", 4, -2),
        "V11 dur-negative: 1 events end before they start, by up to 2 ns.",
    ),
    "kernel on a thread": (
        lambda m: cell(m, "lane", 4, 0),
        "V12 lane-allowed: 1 events lie on a lane that is not for them, such as dev.kernel on a host.thread lane.",
    ),
    "edge to nowhere": (
        lambda m: cell(m, "dst", 0, -1, "edge"),
        "V13 edge-known: 1 edges: the first has a dst that is no row.",
    ),
    "edge of no kind": (
        lambda m: cell(m, "kind", 0, 5, "edge"),
        "V13 edge-known: 1 edges: the first is of an unknown kind.",
    ),
    "launch by a kernel": (
        lambda m: cell(m, "src", 0, int(m.tables["edge"]["dst"][0]), "edge"),
        "V14 edge-kinds: 1 launch edges end at an event that cannot have one, such as dev.kernel.",
    ),
    "work before its launch": (
        lambda _: module([Ev("dev.kernel", "a", 30, 10, launch=1), Ev("rt.launch", "launch", 33, 5, "cpu")]),
        "V15 launch-order: 1 events start on the device before their launch, by up to 3 ns.",
    ),
    "launched twice": (
        lambda m: attrs.evolve(
            m,
            tables={
                **m.tables,
                "edge": Table.of("edge", {k: np.repeat(m.tables["edge"][k], 2) for k in m.tables["edge"]}),
            },
        ),
        "V16 launch-once: 1 events have several launches.",
    ),
    "child region first": (
        lambda m: cell(m, "parent", 0, 1, "region:t"),
        "V17 tree-order: 1 regions of the tree t do not stand after their parent.",
    ),
    "leaf that is no region": (
        lambda m: cell(m, "tree.t", 4, 2),
        "V17 tree-order: 1 events have a leaf in t that is no region.",
    ),
    "undeclared column": (
        lambda m: m.with_columns({"y.new": np.zeros(5)}),
        "V18 annotation-schema: The column y.new is not declared.",
    ),
    "column without a word": (
        lambda m: m.with_columns({"new": np.zeros(5)}),
        "V18 annotation-schema: The column new is not declared.",
    ),
    "declared elsewhere": (
        lambda m: declare(m, "gaps.dur", domain="event"),
        "V18 annotation-schema: The annotation gaps.dur is declared on event, and there is no such column there.",
    ),
    "other dtype": (
        lambda m: declare(m, "gaps.dur", dtype="u32"),
        "V18 annotation-schema: The annotation gaps.dur is int64, and u32 is uint32.",
    ),
    "enum without the value": (
        lambda m: declare(m, "x.class", values=("p",)),
        "V18 annotation-schema: The annotation x.class holds 1 values that are no enum.",
    ),
    "text that is not in the pool": (
        lambda m: cell(m, "x.text", 0, 10_000),
        "V18 annotation-schema: The annotation x.text holds 1 values that are no str.",
    ),
    "id that is no row": (
        lambda m: cell(m, "gaps.next", 0, 5, "table:gaps"),
        "V18 annotation-schema: The annotation gaps.next holds 1 values that are no id.",
    ),
    "unknown writer": (by_nobody, "V19 provenance-known: x.text: written by a pass that the module does not record."),
    "reference to a removed event": (
        lambda m: m.with_columns({"live": np.array([1, 1, 1, 1, 0], bool)}),
        "V20 dead-referenced: The annotation gaps.next refers 1 times to an event that was removed.",
    ),
    "work overlaps on its stream": (
        lambda m: cell(m, "dur", 3, 14),
        "V21 stream-overlap: 1 events overlap an earlier one on their stream, by up to 4 ns.",
    ),
    "kind without a dialect": (
        lambda m: attrs.evolve(m, kinds=(*m.kinds[:-1], "acme.dma"), derived={}),
        "V22 dialect-known: 2 events are of kinds that no dialect registers: acme.dma.",
    ),
    "two lanes of one name": (
        lambda m: attrs.evolve(m, lanes=(m.lanes[0], attrs.evolve(m.lanes[1], name="cpu"))),
        "V23 names-distinct: 1 lanes have the text of an earlier one.",
    ),
    "a string twice": (
        lambda m: attrs.evolve(m, strings=tir.Strings((*m.strings.texts, "outer"))),
        "V23 names-distinct: 1 strings of the pool have the text of an earlier one.",
    ),
}


def test_a_sound_module_keeps_every_rule() -> None:
    """Nothing is reported, not even as info, where nothing is wrong."""
    assert verify(sound()) == ()


@pytest.mark.parametrize("fault", BREAKS)
def test_each_fault_breaks_exactly_its_rule(fault: str) -> None:
    """A fault is reported by its rule, in this sentence, and by no other rule."""
    spoil, message = BREAKS[fault]
    assert [str(found) for found in verify(spoil(sound()))] == [message]


def test_every_rule_is_broken_by_a_test() -> None:
    """No rule is without a fault that breaks it, and ids are stable: V01 to V23."""
    verify(sound())
    assert {message.partition(" ")[0] for _, message in BREAKS.values()} == set(RULES)
    assert sorted(RULES) == [f"V{number:02}" for number in range(1, 24)]
    assert all(rule.doc.endswith(".") or rule.doc.endswith(").") for rule in RULES.values())


def test_a_violation_says_where_and_by_how_much() -> None:
    """First event, count and excess are measured; nothing is clamped or changed."""
    broken = cell(sound(), "dur", 1, 93)
    assert verify(broken) == (
        Violation("V07", "nest-contains", "warning", 1, "1 events end after their parent, by up to 3 ns.", 1, 3),
    )
    assert broken["dur"][1] == 93
    assert verify(broken, slack_ns=3) == ()


def test_rules_can_be_chosen() -> None:
    """By id or by name; others are not reported."""
    broken = cell(cell(sound(), "dur", 1, 93), "dur", 3, 14)
    assert [found.rule for found in verify(broken)] == ["V07", "V21"]
    assert [found.rule for found in verify(broken, ["V21"])] == ["V21"]
    assert [found.rule for found in verify(broken, ["nest-contains"])] == ["V07"]


def test_a_cache_pays_only_for_new_columns() -> None:
    """With a cache, a second call adds an entry for what changed and gives what a call without it gives."""
    item = sound()
    cache: Cache = {}
    verify(item, cache=cache)
    known = set(cache)
    broken = item.with_columns({"dur": np.array([100, 93, 5, 10, 10])})
    assert verify(broken, cache=cache) == verify(broken) != ()
    assert {key[0] for key in set(cache) - known} == {"V01", "V02", "V07", "V11", "V21"}
    assert verify(item, cache=cache) == ()


def test_a_rule_cannot_be_defined_twice() -> None:
    """A plug-in that takes an id gets an error with both names."""
    from traceir.ir.verify import rule

    verify(sound())
    with pytest.raises(ValueError, match="V07 is defined twice: as nest-contains and as mine"):
        rule("V07", "mine", "info")(RULES["V07"].check)


@pytest.mark.parametrize("name", ["sgl_dec", "b200", "nccl", "event_sync_multi", "mi250", "cpu_only", "mtia"])
def test_real_traces_break_no_rule_of_level_error(load_shared: Load, name: str) -> None:
    """Frontends make sound modules; what real clocks do is reported as measured excess."""
    found = verify(load_shared(name))
    assert [str(item) for item in found if item.level == "error"] == []
    assert all(item.excess_ns is not None and item.excess_ns > 0 for item in found if item.level == "warning")


def test_programmatic_launches_overlap_in_the_b200_trace(load_shared: Load) -> None:
    """The 74 pairs of kernels that overlap on one stream are found, as info."""
    overlaps = [item for item in verify(load_shared("b200")) if item.rule == "V21"]
    assert [(item.count, item.level) for item in overlaps] == [(74, "info")]


@pytest.mark.parametrize("asked", [["V07"], ["nest-contains"], ["V07", "V06"], None])
def test_a_rule_that_cannot_be_checked_is_not_kept(asked: list[str] | None) -> None:
    """The basic rule that stands in its way is reported instead, once."""
    broken = cell(sound(), "parent", 1, 99)
    assert [found.rule for found in verify(broken, asked)] == ["V06"]
    assert verify(broken, ["V05"]) == ()


@pytest.mark.parametrize("values", [np.full(5, np.nan), np.array(["a"] * 5), np.zeros(5)])
def test_a_column_of_another_type_is_a_finding(values: Any) -> None:
    """Whatever is in it; what else the module breaks cannot be looked at."""
    broken = put(sound(), "event", kind=values)
    for asked in (None, ["V05"]):
        (found,) = verify(broken, asked)
        assert (found.rule, found.message) == (
            "V02",
            f"The column kind of event is {values.dtype}, and it has to be uint16.",
        )
