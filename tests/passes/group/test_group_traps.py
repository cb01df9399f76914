"""Traps of grouping by the device's own work: for each rule a module that comes out wrong if it is broken."""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
import pytest

import traceir as tir
from tests.build import Ev
from tests.passes.group.program import DENSE, TP, Program, once, only, report
from tests.passes.group.synthetic import Tape, found, grouped, truth
from traceir_passes.group.attentions import leaf_is_backward, segments
from traceir_passes.group.repeats import tandem_repeats
from traceir_passes.group.similarity import Likeness, clusters
from traceir_passes.group.tokens import lane_works

Load = Callable[[str], tir.Module]

# --- 3.5: device structure --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
def test_copies_fills_and_elementwise_kernels_are_no_letters_of_the_search(seed: int) -> None:
    """Each inner layer has one more of them at another place, and both methods still find the same layers."""
    chance = random.Random(seed)
    bodies = [DENSE]
    for _ in range(20):
        at = chance.randrange(1, len(DENSE))
        bodies.append(DENSE[:at] + chance.choice("yfe10id") + DENSE[at:])
    tape = once([*bodies, DENSE])
    item = grouped(tape.module())
    assert found(item) == [truth(tape)]
    assert "like_bodies" not in only(item).checks, "that is asked only where the repeats do not agree"


@pytest.mark.parametrize("separator", ["E", "Z"])
def test_no_layer_crosses_an_embedding_or_a_sample(separator: str) -> None:
    """One such kernel is enough to part two passes that would repeat across it."""
    tape = Tape()
    tape.layers([DENSE] * 6)
    tape.add(separator)
    tape.layers([DENSE] * 6, 6)
    assert found(grouped(tape.module())) == [truth(tape)[:6], truth(tape)[6:]]


@pytest.mark.parametrize(
    ("step", "count"),
    [("gagagSSggaggagO", 6), ("gaSggaO", 8), ("vbavbagSSgvvbavO", 8)],
    ids=["classifier", "small", "convnet"],
)
def test_the_softmax_of_a_loss_is_no_anchor(step: str, count: int) -> None:
    """Training of what has no attention repeats, products and all, and has no layers."""
    tape = Tape()
    for _ in range(count):
        tape.add(step)
    assert report(grouped(tape.module())).reason == "no_repetition"


def test_a_softmax_counts_by_its_core_neighbours() -> None:
    """Scaling, masking and copies between the products and the softmax do not matter."""
    tape = once(["ngggeyfSyweggngag"] * 6)
    assert found(grouped(tape.module())) == [truth(tape)]


def test_backward_is_read_in_the_leaf_only() -> None:
    """A template argument or a parameter may say it of a forward kernel."""
    assert leaf_is_backward("void flash_bwd_dq_dk_dv_kernel<Traits, false>(P)")
    assert leaf_is_backward("FusedAttentionBackward")
    assert leaf_is_backward("aclnnFlashAttentionScoreGrad_FlashAttentionScoreGrad_FlashAttentionScoreGrad")
    assert not leaf_is_backward("Gradual_attention")
    assert not leaf_is_backward("softgrad_attention")
    assert not leaf_is_backward("void flash_fwd_kernel<Traits<bwd_too, backward>>(Backward_params)")


def test_anchors_of_different_role_never_share_a_cluster() -> None:
    """However alike what follows them is."""
    bodies = {b"Agngagngpk": 9, b"Lgngagngpk": 8, b"Sgngagngpk": 7}
    leader = clusters(bodies, Likeness(), 0.5)
    assert {leader[body] for body in bodies} == set(bodies)


ODD = ["ngpkAbbbbbbbbbb", "ngpkAcccccccccc", "ngpkAaaaaaaaaaaaaa"]


@pytest.mark.parametrize(("odd", "stacks"), [(1, [17]), (2, [18]), (3, [9, 8])])
def test_up_to_two_odd_bodies_are_healed(odd: int, stacks: list[int]) -> None:
    """Three in a row end a stack."""
    tape = once([*[DENSE] * 8, *ODD[:odd], *[DENSE] * 8])
    assert [stack.layers for stack in report(grouped(tape.module())).stacks] == stacks


@pytest.mark.parametrize(
    ("middle", "stacks"),
    [([DENSE + "gg"], [11, 8]), ([DENSE + "g"], [19]), ([DENSE + "gg", "ngpkAgna"], [20]), (["ngpkAgna"], [19])],
    ids=["two-more", "one-more", "moved", "lost"],
)
def test_heavy_kernels_too_many_are_the_border_of_a_pass(middle: list[str], stacks: list[int]) -> None:
    """Two more than usual that no neighbour misses; damage moves or removes, it never adds."""
    tape = once([*[DENSE] * 10, *middle, *[DENSE] * 8])
    assert [stack.layers for stack in report(grouped(tape.module())).stacks] == stacks


@pytest.mark.parametrize(
    "body",
    ["ngAgngag", "ngAAgngag", "ngAgngkAgngag", "ngAgngkAgngAgngag"],
    ids=["one", "one-of-two-kernels", "two", "three"],
)
def test_a_layer_has_one_to_three_attentions(body: str) -> None:
    """Self attention; self and cross; self, cross and temporal."""
    tape = once([body] * 6)
    assert found(grouped(tape.module())) == [truth(tape)]


def test_without_feed_forward_parts_likeness_gives_the_unit() -> None:
    """Two unlike bodies in turn are one layer, like bodies are one each."""
    tape = once(["ngpkAgR" + "nnggggAbbX"] * 6)
    assert only(grouped(tape.module())).layers == 6
    for other in ("ngpkAgR", "ngpkAgRp"):
        assert only(grouped(once(["ngpkAgR", other] * 6).module())).layers == 12


def test_sliding_and_full_attention_in_turn_are_one_layer_each() -> None:
    """Kernels of two names and one role: roles are the alphabet, so both methods give 24 layers and not 12 pairs."""
    tape = Tape()
    tape.add("iE")
    for layer in range(24):
        tape.add(DENSE[:4], layer)
        tape.add(DENSE[4], layer, tag=("sliding", "full")[layer % 2])
        tape.add(DENSE[5:], layer)
    tape.add("ngyZ")
    item = grouped(tape.module())
    assert found(item) == [truth(tape)]
    assert only(item).confidence == 0.9333
    assert only(item).checks == "autocorrelation"


def test_exact_names_that_never_recur_lower_the_confidence() -> None:
    """Both methods agree, and the independent look at names contradicts them."""
    tape = Tape()
    tape.add("iE")
    for layer in range(12):
        tape.add(DENSE, layer, tag=f"variant{layer}")
    tape.add("ngyZ")
    stack = only(grouped(tape.module()))
    assert (stack.layers, stack.checks, stack.confidence) == (12, "no autocorrelation", 0.63)


@pytest.mark.parametrize(
    ("head", "bodies", "tail"),
    [
        ("E", ["gpkAgngag", *[DENSE] * 23], "ngZ"),
        ("E", [*[DENSE] * 23, "ngpkAgnga"], "gZ"),
        ("E", ["gpkAgngag", *[DENSE] * 22, "ngpkAgnga"], "gZ"),
    ],
    ids=["first", "last", "both"],
)
def test_layers_are_counted_by_anchors(head: str, bodies: list[str], tail: str) -> None:
    """A compiler fused across the first and the last border, so the length is not 24 times the period."""
    tape = once(bodies, head, tail)
    item = grouped(tape.module())
    assert only(item).layers == 24
    anchors = [sum(tape.letters[id] == "A" for id in layer) for layer in found(item)[0]]
    assert anchors == [1] * 24


def test_an_embedding_between_a_product_and_its_softmax_separates_nothing() -> None:
    """It is a position bias; one after a product alone, or before a softmax alone, begins another pass."""
    tape = Tape()
    tape.add("gEySnEgEnES")
    (work,) = lane_works(tape.module())
    _, separator = segments(work, np.empty(0, np.int64))
    assert np.flatnonzero(separator).tolist() == [5, 7, 9]


@pytest.mark.parametrize(
    ("work", "separators"),
    [("ggEygeSgg", []), ("ggEggSgg", [2]), ("ggEgSngg", [2]), ("nEgSg", [1]), ("gEgSgEgSg", [])],
    ids=["scores-follow", "projected-first", "no-values", "after-a-norm", "two"],
)
def test_an_embedding_right_before_the_scores_separates_nothing(work: str, separators: list[int]) -> None:
    """A bias that is computed first; what a model embeds takes a projection before the product of the scores."""
    tape = Tape()
    tape.add(work)
    (lane,) = lane_works(tape.module())
    _, separator = segments(lane, np.empty(0, np.int64))
    assert np.flatnonzero(separator).tolist() == separators


@pytest.mark.parametrize(
    ("body", "repeats"),
    [("ngnagg", []), ("vbvba", [(5, 9)]), ("nggSg", [(5, 9)]), ("ngAgag", [(6, 9)])],
    ids=["no-anchor", "conv", "softmax", "attention"],
)
def test_repeats_hold_two_heavy_tokens_and_an_attention(body: str, repeats: list[tuple[int, int]]) -> None:
    """Convolutions and softmaxes count as such; bodies are primitive, the shortest first, and never overlap."""
    tokens = np.frombuffer(body.encode() * 9, np.uint8)
    found = tandem_repeats(tokens, np.zeros(len(tokens), np.int64), max_period=400)
    assert [(repeat.period, (repeat.stop - repeat.start) // repeat.period) for repeat in found] == repeats


@pytest.mark.parametrize("body", ["nAnkp", "nbSgn"])
def test_one_heavy_token_is_no_repeat(body: str) -> None:
    """Four copies of a body with a single product or attention."""
    tokens = np.frombuffer(body.encode() * 4, np.uint8)
    assert tandem_repeats(tokens, np.zeros(len(tokens), np.int64), max_period=400) == []


def test_repeats_do_not_overlap() -> None:
    """Six copies are not three of their double too, though there is room for one elsewhere."""
    rest = bytes(random.Random(1).choices(b"ngbvRXkA", k=90))
    tokens = np.frombuffer(b"ngAgag" * 6 + rest, np.uint8)
    (repeat,) = tandem_repeats(tokens, np.zeros(len(tokens), np.int64), max_period=400)
    assert (repeat.start, repeat.period, (repeat.stop - repeat.start) // 6) == (0, 6, 6)


@pytest.mark.parametrize("kinds", [2, 3])
def test_names_recur_at_the_period_or_its_double(kinds: int) -> None:
    """Every kernel has another variant in every other layer, and that holds; with three variants it does not."""
    tape = Tape()
    tape.add("iE")
    for layer in range(24):
        tape.add(DENSE, layer, tag=f"variant{layer % kinds}")
    tape.add("ngyZ")
    assert only(grouped(tape.module())).checks == {2: "autocorrelation", 3: "no autocorrelation"}[kinds]


def test_a_border_that_nothing_decides_is_marked_as_a_guess() -> None:
    """The first layer lacks its norm and the last one its end, so where the inner ones part is open; else it is not."""

    def guessed(tape: Tape) -> list[bool]:
        item = grouped(tape.module())
        regions = item.tree("layers").of_kind("stack")
        return [bool(value) for value in item["group.guessed"][regions]]

    assert guessed(once(["gpkAgngag", *[DENSE] * 22, "ngpkAgnga"], "E", "gZ")) == [True]
    assert guessed(once([DENSE] * 24)) == [False]


@pytest.mark.parametrize(
    ("head", "body", "tail"),
    [("ER", TP, "ngGZ"), ("E1R1", "ngpkAg1R1ngag1R1", "nZ"), ("EEeEend", "gggAgengagen", "gan")],
    ids=["reduction", "staged", "post-norm"],
)
def test_what_precedes_the_first_layer_is_not_in_it(head: str, body: str, tail: str) -> None:
    """The embedding's all-reduce and norm look like the end of a layer, and are none."""
    tape = once([body] * 10, head, tail)
    assert found(grouped(tape.module())) == [truth(tape)]


def test_one_method_alone_is_less_sure() -> None:
    """Where lost kernels break every repeat the anchors still count, from 0.60 on and not from 0.90."""
    lost = {1: "p", 2: "k", 5: "p", 8: "k"}
    bodies = [DENSE.replace(lost.get(layer, "."), "") for layer in range(10)]
    stack = only(grouped(once(bodies).module()))
    assert (stack.layers, stack.confidence, stack.checks) == (10, 0.7333, "like_bodies")
    assert only(grouped(once([DENSE] * 10).module())).confidence >= 0.9


def test_work_beside_that_only_time_places_is_a_guess() -> None:
    """In a replay all have one launch: reductions on a stream of their own are placed by when they run."""
    program = Program()
    for _ in range(2):
        call = program.replay([])
        for layer in range(6):
            for letter in DENSE:
                program.run(letter, layer, call, 100, "gpu0.s7")
            program.free["gpu0.s8"] = program.free["gpu0.s7"] - 450
            program.run("R", layer, call, 40, "gpu0.s8")
        program.host = program.free["gpu0.s7"] + 100
    item = grouped(program.module())
    beside = np.flatnonzero(item["lane"] == item["lane"][item.row_of(max(program.roles))])
    assert [stack.layers for stack in report(item).stacks] == [6, 6]
    assert {item.text("group.basis")[row] for row in beside.tolist()} == {"guessed"}
    tree = item.tree("layers")
    assert tree.regions["index"][tree.at("layer")[beside]].tolist() == [*range(6)] * 2


def test_members_cover_copies_and_counts_do_not() -> None:
    """Memcpy and memset rows between members belong to the layer; `kernels` and `kernels_per_layer` leave them out."""
    tape = once(["ng1pkAg1R1nga0g1R1"] * 6, "E1R1", "nZ")
    item = grouped(tape.module())
    assert found(item) == [truth(tape)]
    assert (only(item).kernels_per_layer, only(item).kernels) == (12, 72)


@pytest.mark.parametrize("other", ["gpu1.s7", "gpu0.s9"])
def test_each_lane_of_each_device_is_grouped_alone(other: str) -> None:
    """Two models at once: work of one is never joined to a layer of the other, though it lies in its extent."""
    program = Program()
    for layer in range(6):
        for lane, first in (("gpu0.s7", 0), (other, 6)):
            program.play(DENSE, first + layer, lane=lane)
    item = grouped(program.module())
    assert sorted(found(item)) == sorted([program.layers[::2], program.layers[1::2]])


def test_reductions_on_another_device_join_no_layer() -> None:
    """Their launches lie between those of a layer here, and they run elsewhere."""
    program = Program()
    for layer in range(6):
        program.play(DENSE[:6], layer)
        program.play("R", lane="gpu1.s8")
        program.play(DENSE[6:], layer)
    assert found(grouped(program.module())) == [program.layers]


def test_waits_and_ranges_on_a_stream_are_no_work() -> None:
    """They lie among the kernels and are in no layer; a kernel of length 0 is work like any other."""
    program = Program()
    for layer in range(6):
        program.play("ng", layer)
        for kind in ("event.wait", "event.record", "dev.range"):
            program.events.append(Ev(kind, "flash_fwd_kernel", program.free["gpu0.s7"] - 5, 5, "gpu0.s7"))
        program.play("p", layer, dur=0)
        program.play("kAgngag", layer)
    item = grouped(program.module())
    assert found(item) == [program.layers]
    assert only(item).kernels_per_layer == 10
