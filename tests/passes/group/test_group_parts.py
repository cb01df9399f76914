"""The parts that grouping is made of, each against its definition."""

from __future__ import annotations

import random
import tomllib
from importlib import resources

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import traceir as tir
from traceir_passes.group.labels import label_layer, label_outside
from traceir_passes.group.repeats import tandem_repeats
from traceir_passes.group.similarity import (
    MAX_LEADERS,
    Likeness,
    aligned_cut,
    clusters,
    common_lengths,
    periods,
)
from traceir_passes.group.steps import marked_steps, phase_of
from traceir_passes.group.tokens import TOKENS

TEXTS = st.text("abcd", max_size=30).map(str.encode)


def slow_common(left: bytes, right: bytes) -> int:
    """The longest common subsequence by the book."""
    above = [0] * (len(right) + 1)
    for a in left:
        row = [0]
        for j, b in enumerate(right):
            row.append(above[j] + 1 if a == b else max(row[-1], above[j + 1]))
        above = row
    return above[-1]


@given(TEXTS, TEXTS)
def test_common_lengths_are_longest_common_subsequences(left: bytes, right: bytes) -> None:
    """Bit arithmetic gives what the table gives, for every beginning of the right one."""
    assert common_lengths(left, right) == [slow_common(left, right[:k]) for k in range(len(right) + 1)]


@given(TEXTS, TEXTS)
def test_likeness_is_symmetric_and_one_only_for_equals(left: bytes, right: bytes) -> None:
    """Likeness is a ratio: symmetric, 1 exactly for equal bodies; the cheap bound never hides a likeness."""
    likeness = Likeness()
    if left or right:
        assert likeness(left, right) == likeness(right, left)
        assert (likeness(left, right) == 1) == (left == right)
        for least in (0.3, 0.7):
            exact = likeness(left, right)
            assert (likeness.at_least(left, right, least) >= least) == (exact >= least)


def slow_clusters(counts: dict[bytes, int], least: float) -> dict[bytes, bytes]:
    """Clusters with every body compared with every leader that begins with the same anchor, if it begins with one."""
    likeness, leaders = Likeness(), list[bytes]()
    order = sorted(counts, key=lambda body: -counts[body])

    def home(body: bytes) -> bytes | None:
        alike = [one for one in leaders if body[:1] not in (b"A", b"L", b"S") or one[:1] == body[:1]]
        ratio = max((likeness(body, one) for one in alike), default=-1.0)
        return next(one for one in alike if likeness(body, one) == ratio) if ratio >= least else None

    for body in order:
        if home(body) is None:
            leaders.append(body)
    found = {body: home(body) or body for body in order}
    return {body: next(other for other in order if found[other] == found[body]) for body in order}


@given(st.dictionaries(TEXTS.filter(bool), st.integers(1, 3), max_size=20), st.sampled_from([0.0, 0.3, 0.7, 1.0]))
def test_bounds_leave_clusters_as_they_are(counts: dict[bytes, int], least: float) -> None:
    """Below the limit of leaders, clusters are those of comparing all with all."""
    assert clusters(counts, Likeness(), least) == slow_clusters(counts, least)


def test_bodies_without_structure_are_compared_with_few() -> None:
    """Rare bodies beyond the limit lead themselves alone; likeness is computed for far fewer than all pairs."""
    draw = random.Random(1)
    noise = [bytes([65, *draw.choices(range(97, 107), k=draw.randint(5, 30))]) for _ in range(600)]
    counts = {b"Agngag": 9, **dict.fromkeys(noise, 1), b"Agngagg": 1}
    asked = list[tuple[bytes, bytes]]()

    class Counted(Likeness):
        def __call__(self, left: bytes, right: bytes) -> float:
            asked.append((left, right))
            return super().__call__(left, right)

    leader = clusters(counts, Counted(), 0.7)
    assert leader[b"Agngagg"] == b"Agngag"
    assert len(asked) <= 2 * MAX_LEADERS * len(counts)
    chosen = sum(1 for body in counts if leader[body] != body)
    assert chosen
    assert len({right for _, right in asked}) <= MAX_LEADERS


@given(st.text("ab", max_size=12), st.integers(1, 4))
def test_periods_are_all_periods(text: str, copies: int) -> None:
    """Borders give what comparing the shifted text for every period gives."""
    whole = text * copies
    assert periods(whole) == [p for p in range(1, len(whole) + 1) if whole[p:] == whole[:-p]]


def test_a_long_sequence_has_its_periods_in_linear_time() -> None:
    """A sequence whose only period is its length costs one walk, not one comparison per period."""
    signs = ["a"] * 200_000 + ["b"]
    assert periods(signs) == [len(signs)]


@pytest.mark.parametrize(("mine", "other"), [("abcdefg", "gbcdefa"), ("²", "2"), (None, "None of these")])
def test_marks_count_in_their_own_process_only(mine: str | None, other: str) -> None:
    """Work launched by one process is in no step of another, however alike their pids; pids may be any text."""
    for apart in (False, True):
        strings, names = tir.Strings().encode(["kernel", "launch", "ProfilerStep#1"])
        module = tir.ModuleBuilder(
            name="two processes",
            strings=strings,
            lanes=[
                tir.Lane("gpu", "dev.stream", device=0, stream=0),
                tir.Lane("one", "host.thread", pid=mine, tid=1),
                tir.Lane("two", "host.thread", pid=other, tid=1),
            ],
            kinds=["dev.kernel", "rt.launch", "host.range"],
            id=np.arange(3),
            kind=np.arange(3),
            name_code=names,
            ts=np.array([1000, 10, 0]),
            dur=np.array([100, 10, 100]),
            lane=np.array([0, 1, 2 if apart else 1]),
            edges=[("launch", np.array([1]), np.array([0]))],
        ).build()
        assert marked_steps(module)[1][module.work].tolist() == [-1 if apart else 0]


@pytest.mark.parametrize("lost", range(12))
def test_a_cut_is_found_in_a_body_that_lost_a_token(lost: int) -> None:
    """Whatever token is lost, the two halves are parted where they were, up to the lost token itself."""
    template, cut = b"Agngag|ngpkR".replace(b"|", b""), 6
    if lost < len(template):
        body = template[:lost] + template[lost + 1 :]
        assert aligned_cut(body, template, cut) == (cut - 1 if lost < cut else cut)


def test_repeats_are_primitive_and_stay_in_their_stretch() -> None:
    """Four copies are a repeat of one copy's period; a border in the middle leaves too few on both sides."""
    tokens = np.frombuffer(b"vngAgng" + b"ngAgag" * 4, np.uint8)
    found = tandem_repeats(tokens, np.zeros(len(tokens), np.int64), max_period=400)
    assert [(repeat.period, (repeat.stop - repeat.start) // repeat.period) for repeat in found] == [(6, 4)]
    halves = np.repeat([0, 1], [len(tokens) - 12, 12])
    assert tandem_repeats(tokens, halves, max_period=400) == []


@pytest.mark.parametrize(
    ("tokens", "labels"),
    [
        (
            "ngpkAugngag",
            "input_norm qkv_proj rope kv_store attention attention o_proj post_norm gate_up_proj activation down_proj",
        ),
        (
            "gggAgengagen",
            "q_proj k_proj v_proj attention o_proj misc post_norm gate_up_proj activation down_proj misc output_norm",
        ),
        (
            "ngynynpkAgnggag",
            "input_norm qkv_proj qk_norm qk_norm qk_norm qk_norm rope kv_store attention o_proj post_norm "
            "gate_proj up_proj activation down_proj",
        ),
        (
            "ngAgRngrMMcR",
            "input_norm qkv_proj attention o_proj all_reduce post_norm router route gate_up_proj down_proj "
            "moe_combine all_reduce",
        ),
        ("nggggSgg", "input_norm q_proj k_proj v_proj attn_score attention attn_value o_proj"),
        (
            "nggnnpkgAggngag",
            "input_norm qkv_a_proj qkv_a_proj qkv_a_norm qkv_a_norm rope kv_store qkv_b_proj attention v_b_proj o_proj "
            "post_norm gate_up_proj activation down_proj",
        ),
        (
            "ngnggpkAggnrMMc",
            "input_norm qkv_a_proj qkv_a_norm qkv_b_proj qkv_b_proj rope kv_store attention v_b_proj o_proj "
            "post_norm route gate_up_proj down_proj moe_combine",
        ),
        (
            "nggLLngngag",
            "input_norm in_proj in_proj attention attention attn_norm o_proj "
            "post_norm gate_up_proj activation down_proj",
        ),
        (
            "negpAgenegage",
            "input_norm modulation qkv_proj rope attention o_proj misc post_norm modulation gate_up_proj activation "
            "down_proj misc",
        ),
        ("ngxAgngg", "input_norm qkv_proj qkv_proj attention o_proj post_norm gate_up_proj down_proj"),
    ],
)
def test_labels_follow_from_places(tokens: str, labels: str) -> None:
    """Each op's label follows from its place in its layer."""
    assert " ".join(label_layer(tokens.encode())[0]) == labels


@given(st.text("".join(TOKENS.values()), min_size=1, max_size=40), st.booleans())
def test_labels_are_those_of_the_list(tokens: str, backward: bool) -> None:
    """Or a role's word, of what only communicates, and in backward layers."""
    text = resources.files("traceir_passes.group").joinpath("labels.toml").read_text("utf-8")
    listed = {label for part in tomllib.loads(text).values() for label in part}
    words = {role.replace("-", "_") for role in TOKENS}
    labels = label_layer(tokens.encode(), backward=backward)[0]
    outside = [label_outside(tokens.encode(), before=before) for before in (True, False)]
    for label in (*labels, *(label for part in outside for label in part if label is not None)):
        assert label in listed or label.removesuffix("_backward") in words


def test_blocks_of_a_layer() -> None:
    """The second norm begins the feed-forward block, which is `moe` with experts and `mlp` without."""
    assert label_layer(b"ngAgngag")[1] == ["attention"] * 4 + ["mlp"] * 4
    assert label_layer(b"ngAgngrMMc")[1] == ["attention"] * 4 + ["moe"] * 6


def test_labels_outside_layers() -> None:
    """A gather is an embedding before the layers and an index after them."""
    assert label_outside(b"iEn", before=True) == [None, "embed", "embed_norm"]
    assert label_outside(b"nyEgZ", before=False) == ["final_norm", None, "index", "lm_head", "sample"]


@pytest.mark.parametrize(
    ("text", "phase"),
    [
        ("execute_context_1(888_788544)_generation_0(0)", "prefill"),
        ("execute_32_context_0(sq0)_generation_32(sq32)", "decode"),
        ("execute_8192_context_9(sq8155)_generation_37(sq37)", "mixed"),
        ("step[DECODE bs=32]", "decode"),
        ("step[EXTEND bs=15 toks=15360]", "prefill"),
        ("ProfilerStep#6", None),
    ],
)
def test_phase_is_what_the_mark_says(text: str, phase: str | None) -> None:
    """Context without generation is prefill, the reverse decode, both mixed; silence is unknown."""
    assert phase_of(text) == phase
