"""Patterns: against a matcher that tries everything, and each condition and message."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from typing import Any

import attrs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import traceir as tir
from tests.build import Ev, annotate, module
from traceir import pattern
from traceir.errors import UsageError
from traceir.ir import Annotation, Written
from traceir.pattern.sequence import Either, Named, Pattern, Repeat, Then

A, B, C = (pattern.event("name", letter) for letter in "abc")
ROLE = Annotation("my.role", doc="A role.", dtype="str", null="no work")
GROUP = Annotation("my.group", doc="A group.", dtype="str", null="not known")


def row_of(letters: str, lane: str = "gpu0.s7", at: int = 0) -> list[Ev]:
    """Kernels of one letter each, 10 ns every 20 ns."""
    return [Ev("dev.kernel", letter, at + 20 * place, 10, lane) for place, letter in enumerate(letters)]


def found(item: Pattern, letters: str) -> list[str]:
    """What a pattern matches in one lane, as letters."""
    trace = module(row_of(letters))
    return ["".join(trace.event(int(row)).name for row in match.rows) for match in item.find(trace)]


# --- the language ----------------------------------------------------------------------------------------------------


CASES = [
    (A >> B, "abcab", ["ab", "ab"]),
    (A >> C.repeat(0) >> B, "abaccb", ["ab", "accb"]),
    (A.repeat(2), "abaaaab", ["aaaa"]),
    (A.repeat(2, 3), "aaaaaaa", ["aaa", "aaa"]),
    (A >> B.optional() >> C, "acabcabbc", ["ac", "abc"]),
    ((A >> B).repeat(2) >> A, "ababa", ["ababa"]),
    ((A | B).repeat(2), "abcba", ["ab", "ba"]),
    ((A >> B) | C, "abcba", ["ab", "c"]),
    (A >> ~B >> A, "abaaca", ["aca"]),
    (A >> pattern.anything >> A, "abaaca", ["aba", "aca"]),
    (A >> pattern.anything.repeat(0) >> B, "cabcba", ["abcb"]),
    (B >> (A | B) >> A, "cbba", ["bba"]),
    (A >> A >> B, "aaab", ["aab"]),
    (C, "ab", []),
    (A.repeat(0) >> B >> A, "abaaba", ["aba", "aba"]),
    (A.repeat(2) >> B >> A, "aabaab", ["aaba"]),
    (A.repeat(2).named("run") >> C, "aaabaac", ["aac"]),
    (A.repeat(0), "bb", []),
    (A.repeat(0, None) >> A >> B, "caabaab", ["aab", "aab"]),
    ((A | B).repeat(0) >> C.optional() >> B >> A, "cabba", ["abba"]),
]


@pytest.mark.parametrize(("item", "letters", "wanted"), CASES)
def test_the_operators(item: Pattern, letters: str, wanted: list[str]) -> None:
    """Each operator takes what its docstring says."""
    assert found(item, letters) == wanted


def ends(item: Pattern, letters: str, at: int) -> Iterator[int]:
    """Where a pattern that begins at a place may end, in order of preference: everything is tried."""
    if isinstance(item, Then):
        if not item.parts:
            yield at
            return
        for middle in ends(item.parts[0], letters, at):
            yield from ends(Then(item.parts[1:]), letters, middle)
    elif isinstance(item, Either):
        for part in item.parts:
            yield from ends(part, letters, at)
    elif isinstance(item, Named):
        yield from ends(item.part, letters, at)
    elif isinstance(item, Repeat):
        yield from rounds(item, letters, at)
    elif at < len(letters) and _passes(item, letters[at]):
        yield at + 1


def rounds(item: Repeat, letters: str, at: int) -> Iterator[int]:
    """As often as possible; rounds of one place may be given back, longer ones not."""
    places = [at]
    while item.most is None or len(places) <= item.most:
        after = next(ends(item.part, letters, places[-1]), None)
        if after is None or after == places[-1]:
            break
        places.append(after)
    fitting = places[item.least :]
    yield from reversed(fitting) if isinstance(item.part, pattern.Events) else fitting[-1:]


def _passes(item: Pattern, letter: str) -> bool:
    assert isinstance(item, pattern.Events)
    return bool(item.mask(module(row_of(letter)))[0])


def naive(item: Pattern, letters: str) -> list[str]:
    """All matches from the left, found by trying."""
    out, at = [], 0
    while at <= len(letters):
        end = next(ends(item, letters, at), at)
        if end > at:
            out.append(letters[at:end])
        at = max(end, at + 1)
    return out


events = st.sampled_from([A, B, C, A | B, ~A, pattern.anything])
patterns = st.recursive(
    events,
    lambda part: st.one_of(
        st.builds(lambda x, y: x >> y, part, part),
        st.builds(lambda x, y: x | y, part, part),
        st.builds(lambda x: x.repeat(1), part),
        st.builds(lambda x, y: x.repeat(0) >> y, events, part),
        st.builds(lambda x: x.repeat(1, 2), part),
        st.builds(lambda x: x.repeat(2, 3), part),
    ),
    max_leaves=6,
)


@settings(max_examples=300)
@given(patterns, st.text("abc", max_size=12))
def test_a_pattern_finds_what_trying_finds(item: Any, letters: str) -> None:
    """The search agrees with a matcher that tries all ways in order."""
    assert found(item, letters) == naive(item, letters)


def long_lane(count: int) -> tir.Module:
    """A lane of so many kernels, all `a` but for the first."""
    trace = module(row_of("ab"))
    code = np.zeros(count, np.int32)
    code[0] = 1
    return tir.ModuleBuilder(
        name="long",
        strings=trace.strings,
        lanes=list(trace.lanes),
        kinds=list(trace.kinds),
        id=np.arange(count),
        kind=np.zeros(count, np.uint16),
        name_code=code,
        ts=np.arange(count) * 20,
        dur=np.full(count, 10),
        lane=np.zeros(count, np.int32),
        edges=[],
        meta={"origin_ns": None},
    ).build()


def test_a_run_that_leads_nowhere_is_walked_once() -> None:
    """A run as long as the trace does not take time by its square: this would take hours."""
    long = long_lane(1_000_000)
    assert len((A.repeat(0) >> B).find(long)) == 1
    assert len(A.repeat(2).find(long)) == 1
    # what each start would walk to the end of the lane for, as it may be anything between
    assert not len((A >> pattern.anything.repeat(0) >> B).find(long))
    assert not len((pattern.anything.repeat(0) >> C >> A).find(long))
    assert not len((pattern.anything.repeat(0) >> B >> (A & B)).find(long))
    assert len((pattern.anything.repeat(0) >> B >> B.repeat(0) >> A >> A).find(long)) == 1
    assert not len((A.named("x") >> (A | B).repeat(0) >> (B >> A).repeat(1, 2)).find(long))


def test_no_condition_is_asked_of_nothing() -> None:
    """A pattern that may be empty is no match where it is, and conditions see at least one event."""
    item = A.repeat(0).named("run").where(lambda match: match.row("run") >= 0 and bool(match.rows[0] >= 0))
    assert [match.ids for match in item.find(module(row_of("bab")))] == [(1,)]


def test_absent_parts_are_not_asked() -> None:
    """A condition on an optional part holds where it is absent, and that is no guess."""
    item = (A.named("x") >> B.optional().named("y") >> C.named("z")).same("my.group")
    trace = annotate(
        module(row_of("acabcabc")), GROUP, {0: "g", 1: "g", 2: "g", 3: "h", 4: "g", 5: "h", 6: "h", 7: "h"}
    )
    assert [(match.ids, match.guessed) for match in item.find(trace)] == [((0, 1), False), ((5, 6, 7), False)]


def test_a_pattern_is_used_again() -> None:
    """Patterns keep nothing of a search: one of them serves many modules and larger patterns."""
    part = (A >> B).named("pair")
    larger = part >> C
    assert (found(part, "abab"), found(larger, "ababc"), found(part, "ab")) == (["ab", "ab"], ["abc"], ["ab"])


def test_precedence_is_that_of_python() -> None:
    """`>>` binds tighter than `|`."""
    assert A >> B | C == (A >> B) | C
    assert found(A | B >> C, "abca") == ["a", "bc", "a"]


# --- sequences -------------------------------------------------------------------------------------------------------


def test_a_sequence_is_a_lane_or_a_device() -> None:
    """What lies on another lane stands between only where the sequence is the device."""
    trace = module([*row_of("ab"), Ev("dev.kernel", "c", 15, 2, "gpu0.s8"), Ev("dev.kernel", "b", 30, 2, "gpu1.s7")])
    assert [match.ids for match in (A >> B).find(trace)] == [(0, 1)]
    assert [match.ids for match in (A >> C >> B).find(trace, per="device")] == [(0, 2, 1)]
    assert not len((A >> B).find(trace, per="device"))


def test_a_sequence_is_parted_by_columns() -> None:
    """Matches do not cross the border of a region, and what is in none is left out."""
    trace = annotate(module(row_of("aabb")), GROUP, {0: "x", 1: "y", 2: "x"})
    assert [match.ids for match in (A >> B).find(trace, within=("my.group",))] == [(0, 2)]
    assert not len((A >> B).find(annotate(module(row_of("ab")), GROUP, {}), within=("my.group",)))


def test_other_events_than_device_work() -> None:
    """A pattern can be held against host events."""
    trace = module([Ev("host.op", "a", 0, 5, "main"), Ev("host.op", "b", 6, 5, "main"), *row_of("b", at=100)])
    assert not len((A >> B).find(trace))
    assert [match.ids for match in (A >> B).find(trace, among=trace.is_kind("host"))] == [(0, 1)]


def test_removed_work_is_not_seen() -> None:
    """What a pass removed does not stand between."""
    trace = module(row_of("acb"))
    gone = trace.with_columns({"live": np.array([True, False, True])})
    assert not len((A >> B).find(trace))
    assert len((A >> B).find(gone)) == 1


def test_named_parts() -> None:
    """A name gives the rows of its part, all rounds of a repetition, and none of an absent part."""
    item = A.named("one") >> B.repeat(0).named("many") >> C.optional().named("maybe")
    first, second = item.find(module(row_of("abbca")))
    assert (first.row("one"), first["many"].tolist(), first.row("maybe")) == (0, [1, 2], 3)
    assert (second.row("one"), second["many"].tolist(), second.row("maybe")) == (4, [], -1)
    assert (first.time_ns, first.ids) == (40, (0, 1, 2, 3))


def test_equal_columns() -> None:
    """Parts that differ are no match, and the search goes on behind its first event; null is a guess."""
    item = (A.named("x") >> B.named("y")).same("my.group", "x", "y")
    trace = annotate(module(row_of("ababab")), GROUP, {0: "g", 1: "g", 2: "g", 3: "h", 4: "g"})
    assert [(match.ids, match.guessed) for match in item.find(trace)] == [((0, 1), False), ((4, 5), True)]
    assert item.columns == ("name", "my.group")


def test_a_refused_match_does_not_hide_the_next() -> None:
    """A match that a condition refuses leaves its later events free."""
    item = (A >> A).where(lambda match: match.ids != (0, 1))
    assert [match.ids for match in item.find(module(row_of("aaa")))] == [(1, 2)]


def test_columns_of_a_table() -> None:
    """A column of a table is looked up through the event column that leads there."""
    leads = Annotation("my.item", dtype="id", unit="table:items", doc="Its item.", null="none")
    kind = Annotation("my.kind", domain="table:items", dtype="enum", values=("x", "y"), doc="Kind.", null="unknown")
    trace = annotate(module(row_of("aaaa")), attrs.evolve(leads, dtype="i64"), {})
    trace = trace.with_table("items", {"my.kind": np.array([0, 1, -1], np.int16)})
    trace = trace.with_columns({"my.item": np.array([0, 1, 2, -1], np.int32)})
    written = {item.name: Written(item, None) for item in (leads, kind)}
    trace = attrs.evolve(trace, annotations={**trace.annotations, **written})
    assert pattern.event("my.kind", "y").mask(trace).tolist() == [False, True, False, False]
    item = (A.named("l") >> A.named("r")).same("my.kind")
    assert [(match.ids, match.guessed) for match in item.find(trace)] == [((1, 2), True)]


def test_what_encloses_a_launch() -> None:
    """`under` asks the host events around the launch, but not those around a graph's."""
    trace = module(
        [
            Ev("host.op", "nccl:all_gather", 0, 50, "main"),
            Ev("rt.launch", "cudaLaunchKernel", 10, 5, "main"),
            Ev("host.op", "nccl:replay", 60, 50, "main"),
            Ev("rt.graph_launch", "cudaGraphLaunch", 70, 5, "main"),
            Ev("dev.kernel", "a", 100, 5, launch=1),
            Ev("dev.kernel", "a", 110, 5, launch=3),
        ]
    )
    assert pattern.under(r"nccl:\w+").mask(trace).nonzero()[0].tolist() == [4]


def test_edges() -> None:
    """`edge` asks for an edge to, or from, an event that passes a test."""
    trace = module([Ev("rt.launch", "launch", 0, 5, "main"), Ev("dev.kernel", "a", 10, 5, launch=0)])
    assert pattern.edge("launch", to=A).mask(trace).tolist() == [True, False]
    assert pattern.edge("launch", of=pattern.event("kind", "rt")).mask(trace).tolist() == [False, True]


PARENTHESES = (
    "& joins tests of one event, and one side here is a sequence; >> binds tighter than & and |, so put the tests in "
    "parentheses: (a & b) >> c."
)
WRONG = [
    (lambda: A & B >> C, PARENTHESES),
    (lambda: A >> B & C, PARENTHESES),
    (
        lambda: ~(A >> B),
        "~ turns a test of one event round, and this is a sequence; nothing else can be absent.",
    ),
    (
        lambda: A and B,
        "A pattern is neither true nor false: join patterns with &, | and ~, not with and, or, not.",
    ),
    (
        lambda: pattern.under("nccl:("),
        "under() cannot read the regular expression 'nccl:(': missing ), unterminated subpattern at position 5.",
    ),
    (lambda: pattern.event("name"), 'event("name") needs at least one text to compare with.'),
    (pattern.under, "under() needs at least one regular expression."),
    (lambda: pattern.edge("sync"), "edge() takes either `to` or `of`: the test of the event at the other end."),
    (lambda: A.repeat(3, 2), "repeat(3, 2) is no count: give 0 <= least <= most <= 4096, most from 1."),
    (
        lambda: (A.named("x") >> B).repeat().find(module(row_of("ab"))),
        "The name 'x' stands inside a repetition; name the repetition instead.",
    ),
    (
        lambda: (A.named("x") >> B.named("x")).find(module(row_of("ab"))),
        "Two parts of a pattern have one name; give each its own.",
    ),
    (
        lambda: (A.where(lambda _: True) >> B).find(module(row_of("ab"))),
        "The conditions of a pattern (same, where) have to stand outermost.",
    ),
    (
        lambda: (A.named("x") >> B).same("name", "x", "z").find(module(row_of("ab"))),
        "The condition same('name') cannot be held to: no part is called 'z'.",
    ),
]


@pytest.mark.parametrize(("build", "message"), WRONG)
def test_messages(build: Any, message: str) -> None:
    """What cannot be meant is refused with a sentence."""
    with pytest.raises(UsageError) as caught:
        build()
    assert str(caught.value) == message


def test_other_operands_are_python_s_own_error() -> None:
    """What is no pattern at all is refused as Python does."""
    text: Any = "b"
    for join, left in ((operator.rshift, A), (operator.or_, A >> B), (operator.or_, A)):
        with pytest.raises(TypeError, match="unsupported operand"):
            join(left, text)


# --- paths -----------------------------------------------------------------------------------------------------------


def pairs(letters: str, **groups: str) -> tuple[list[tuple[int, ...]], list[tuple[int, ...]]]:
    """The ids of the clear and of the blocked paths from a to b over c."""
    trace = annotate(module(row_of(letters)), GROUP, {int(at[1:]): group for at, group in groups.items()})
    path = pattern.Path(A, B, over=C, same=("my.group",) if groups else ())
    return [m.ids for m in path.find(trace)], [m.ids for m in path.blocked(trace)]


def test_paths() -> None:
    """A path is clear over what it allows, blocked by the rest, and belongs to the nearest first event."""
    assert pairs("accb") == ([(0, 1, 2, 3)], [])
    assert pairs("acdb") == ([], [(0, 1, 2, 3)])
    assert pairs("aab") == ([(1, 2)], [])
    assert pairs("abb") == ([(0, 1)], [])
    assert pairs("ba") == ([], [])
    assert pairs("aabb", _0="g", _1="h", _2="h", _3="g") == ([(1, 2)], [(0, 1, 2, 3)])


def test_ends_of_unknown_groups_are_a_guess() -> None:
    """Where a compared column is null, the lane stands for it, and the other columns say nothing either."""
    path = pattern.Path(A, B, same=("my.group", "my.role"))
    known = annotate(annotate(module(row_of("ab")), GROUP, {0: "g", 1: "g"}), ROLE, {0: "r", 1: "r"})
    assert [match.guessed for match in path.find(known)] == [False]
    unknown = annotate(annotate(module(row_of("ab")), GROUP, {}), ROLE, {0: "r", 1: "s"})
    assert [match.guessed for match in path.find(unknown)] == [True]
    apart = module([*row_of("a"), Ev("dev.kernel", "b", 30, 5, "gpu0.s8")])
    assert not len(path.find(annotate(annotate(apart, GROUP, {}), ROLE, {})))


def test_work_beside_the_first_does_not_block() -> None:
    """What starts before the first event has ended cannot depend on it."""
    trace = module([Ev("dev.kernel", "a", 0, 50, "gpu0.s8"), *row_of("d", at=10), Ev("dev.kernel", "b", 60, 5)])
    assert [match.ids for match in pattern.Path(A, B, over=C).find(trace)] == [(0, 2)]
    beside = module([Ev("dev.kernel", "a", 0, 50, "gpu0.s8"), Ev("dev.kernel", "b", 40, 5)])
    assert not len(pattern.Path(A, B, over=C).find(beside))


def test_what_runs_aside_is_on_no_way() -> None:
    """What is aside lies between on the lanes of the ends alone; all else lies between on any lane."""
    ends = [Ev("dev.kernel", "a", 0, 5, "gpu0.s7"), Ev("dev.kernel", "b", 60, 5, "gpu0.s8")]
    path = pattern.Path(A, B, aside=C)
    for lane, clear in (("gpu0.s7", False), ("gpu0.s8", False), ("gpu0.s9", True)):
        trace = module([ends[0], Ev("dev.kernel", "c", 10, 5, lane), ends[1]])
        assert [match.ids for match in path.find(trace)] == ([(0, 2)] if clear else [])
        assert len(path.blocked(trace)) == (not clear)
    other = module([ends[0], Ev("dev.kernel", "d", 10, 5, "gpu0.s9"), ends[1]])
    assert [match["blockers"].tolist() for match in path.blocked(other)] == [[1]]
    assert pattern.Path(A, B, aside=pattern.event("kind", "dev")).columns == ("name", "kind")


def naive_pairs(events: list[tuple[str, int, int]]) -> list[tuple[int, int, bool]]:
    """Paths from a to b over c by trying all pairs: first, last, and whether it is clear."""
    out = []
    for first, (kind, start, dur) in enumerate(events):
        after = [at for at, other in enumerate(events) if at > first and other[0] in "ab"]
        if kind != "a" or not after or events[after[0]][0] != "b" or events[after[0]][1] < start + dur:
            continue
        last = after[0]
        between = [events[at] for at in range(first + 1, last) if events[at][1] >= start + dur]
        out.append((first, last, all(other[0] == "c" for other in between)))
    return out


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 3), st.integers(0, 8)), max_size=12))
def test_paths_agree_with_trying_all_pairs(drawn: list[tuple[str, int, int]]) -> None:
    """On work that overlaps in any way, clear and blocked paths are those that trying finds."""
    starts = np.cumsum([gap for _, gap, _ in drawn]).tolist()
    listed = [(name, start, dur) for (name, _, dur), start in zip(drawn, starts, strict=True)]
    trace = module([Ev("dev.kernel", *item) for item in listed])
    path = pattern.Path(A, B, over=C)
    clear = {(match.ids[0], match.ids[-1], True) for match in path.find(trace)}
    blocked = {(match.ids[0], match.ids[-1], False) for match in path.blocked(trace)}
    assert clear | blocked == set(naive_pairs(listed))
    assert isinstance(trace, tir.Module)
