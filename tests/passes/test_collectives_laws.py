"""Count laws of layers: traces where each holds, where it breaks and where, and where it is not asked."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

import traceir as tir
from tests.build import module
from tests.passes.collectives_made import Made, analyse, finding, laws
from traceir import synth
from traceir.ir import Region
from traceir_passes.collectives import Collectives

# --- tensor parallelism ----------------------------------------------------------------------------------------------


def tensor_parallel(layers: int, change: Mapping[int, str], *, steps: int = 1, first: str = "R") -> Made:
    """A step: an all-reduce outside, then layers of two; `change` gives other kernels for layers of the last step."""
    made = Made()
    for step in range(steps):
        made.play(first, step=step)
        for layer in range(layers):
            body = change.get(layer, "ngRngR") if step == steps - 1 else "ngRngR"
            made.play(body, layer, step=step)
    return made


BREAKS = [
    ({3: "ng?ngR"}, 13, 12, ("zorp",)),
    ({3: "ngngR"}, 13, 12, None),
    ({2: "ngngR", 3: "ng?ngR"}, 13, 11, None),
    ({3: "ngRngRR"}, 13, 14, None),
]


@pytest.mark.parametrize(("change", "expected", "found", "suspects"), BREAKS)
def test_hidden_and_dropped_reductions(
    change: Mapping[int, str], expected: int, found: int, suspects: tuple[str, ...] | None
) -> None:
    """A reduction that its name hides, that is missing or is too much breaks the law, in the layer where it does."""
    item, report = analyse(tensor_parallel(6, change).module())
    law = next(law for law in report.laws if law.law == "2 all-reduces per layer")
    assert (law.expected, law.found, law.holds) == (expected, found, False)
    assert law.where == tuple(f"stack.0.layer.{layer}" for layer in change)
    if suspects:
        assert law.suspects[0] == suspects[0]
        assert suspects[0] in finding(item)
    assert "stack.0.layer.3" in finding(item)
    block = next(block for block in report.blocks() if block.title == "count laws")
    assert "stack.0.layer.3" in block.rows[0][4]
    assert "stack.0.layer.3" in report.headline()[1].note


def test_planted_names_are_ranked_by_what_surrounds_them() -> None:
    """Of names that occur as often as is missing the one that stands where reductions do comes first."""
    made = Made()
    for layer in range(6):
        made.play(["n", "g", "R", "n", "cutlass_gemm_a", "vllm::silu_kernel", "g", "at::reduce_kernel", "n"], layer)
    law = laws(made, "2 all-reduces")[0]
    assert (law.expected, law.found, law.holds, law.note) == (12, 6, False, "1 in every layer")
    assert law.suspects[0] == "at::reduce_kernel"
    assert {"cutlass_gemm_a", "vllm::silu_kernel"} < set(law.suspects)


@pytest.mark.parametrize("body", ["ngR", "ngnGMS"])
def test_one_in_every_layer_may_be_right(body: str) -> None:
    """Blocks side by side reduce as one, and attention may be parallel over data: no name is suspect."""
    made = Made()
    for layer in range(6):
        made.play(body, layer)
    item, report = analyse(made.module())
    assert {law.holds for law in report.laws} == {None}
    assert all("one that is not split" in law.note for law in report.laws)
    assert not finding(item)


@pytest.mark.parametrize(
    ("change", "first", "found", "note"),
    [
        ({}, "R", 13, "one of them for a split vocabulary"),
        ({}, "", 12, ""),
        ({5: "ngRngRR"}, "", 13, "one of them for a split vocabulary"),
        ({2: "ngRngRR", 3: "ngngR"}, "", 12, ""),
        (dict.fromkeys(range(6), "ngFgF"), "R", 13, "one of them for a split vocabulary"),
    ],
)
def test_tensor_parallel_law_holds(change: Mapping[int, str], first: str, found: int, note: str) -> None:
    """With and without one for the vocabulary, wherever borders fall, and where they are fused with the norm."""
    law = laws(tensor_parallel(6, change, first=first), "2 all-reduces")[0]
    assert (law.expected, law.found, law.holds, law.note, law.where) == (found, found, True, note, ())


def test_steps_are_held_to_what_most_have() -> None:
    """One that is missing in a first layer may be the vocabulary's, unless other steps have that too."""
    assert laws(tensor_parallel(6, {0: "ng?ngR"}), "2 all-reduces")[0].holds
    told = laws(tensor_parallel(6, {0: "ng?ngR"}, steps=4), "2 all-reduces")
    assert [law.holds for law in told] == [True, True, True, False]
    assert (told[3].step, told[3].expected, told[3].found, told[3].where, told[3].suspects[0]) == (
        "step.3", 13, 12, ("stack.3.layer.0",), "zorp",
    )  # fmt: skip


def test_layers_that_dispatch_reduce_once() -> None:
    """Where experts are on other ranks their sum is combined, and the attention's reduction is left."""
    made = Made()
    for layer in range(6):
        made.play("ngRDMC" if layer >= 2 else "ngRngR", layer)
    law = laws(made, "2 all-reduces")[0]
    assert (law.expected, law.found, law.holds, law.note) == (8, 8, True, "1 in the 4 layers that dispatch")


def test_decomposed_reductions_count_as_one() -> None:
    """A scatter and a gather that are one all-reduce count as that, and hold no law of sequence parallelism."""
    made = Made()
    for layer in range(4):
        made.play("ngRngSG", layer)
    item, report = analyse(made.module())
    if not any(form.form.startswith("decomposed") for form in report.forms):
        pytest.skip("no composite of this form was found")
    told = {law.law: (law.expected, law.found, law.holds) for law in report.laws}
    assert told == {"2 all-reduces per layer": (8, 8, True)}
    assert not finding(item)


def test_micro_batches_have_a_vocabulary_each() -> None:
    """Two stacks of a step are two forward passes, and each may reduce once more for its embedding."""
    made = Made().play("RR")
    for layer in range(8):
        made.play("ngRngR", layer)
    item = made.module()
    regions = [Region("stack", "a", 0), Region("stack", "b", 1)]
    regions += [Region("layer", f"layer.{at}", at, at // 4) for at in range(8)]
    leaf = [2 + made.layer[id] if made.layer[id] >= 0 else -1 for id in item["id"].tolist()]
    law = analyse(item.with_tree("layers", regions, leaf))[1].laws[0]
    assert (law.expected, law.found, law.holds, law.note) == (18, 18, True, "2 of them for a split vocabulary")


def test_few_reductions_hold_no_law() -> None:
    """Reductions in one of six layers, or outside of all, split nothing."""
    few = Made()
    for layer in range(6):
        few.play("ngR" if layer == 2 else "ng", layer)
    assert laws(few, "2 ") == []
    assert laws(Made().play("RRng"), "2 ") == []


@given(st.integers(3, 9), st.integers(0, 8), st.booleans())
def test_where_is_where_it_was_planted(layers: int, at: int, surplus: bool) -> None:
    """Wherever inside a stack one is missing or too much, that layer is named and no other."""
    at = 1 + at % (layers - 2)
    law = laws(tensor_parallel(layers, {at: "ngRngRR" if surplus else "ngng?R"}), "2 all-reduces")[0]
    assert (law.holds, law.where) == (False, (f"stack.0.layer.{at}",))


@pytest.mark.parametrize("launch", ["graph", "eager"])
def test_hidden_reduction_of_a_decoder(launch: Literal["graph", "eager"], tmp_path: Path) -> None:
    """The same by files and the layers that `group` finds, in replays too; an operator tells what a name hides."""
    options = synth.Decoder(layers=5, steps=3, launch=launch, tensor_parallel=4, all_reduce="custom")
    text, _ = synth.render(options)
    document = json.loads(text)
    reductions = [event for event in document["traceEvents"] if "cross_device" in event["name"]]
    reductions[14]["name"] = "zorp"
    path = tmp_path / "trace.json"
    path.write_text(json.dumps(document), "utf-8")
    item = tir.PassManager.parse("group,collectives").run(tir.load(path))
    told = [law for law in Collectives().report(item).laws if law.law == "2 all-reduces per layer"]
    assert [law.holds for law in told] == [True, launch == "eager", True]
    if launch == "graph":
        assert (told[1].where, told[1].suspects[0]) == (("stack.1.layer.1",), "zorp")


# --- sequence parallelism --------------------------------------------------------------------------------------------


def sequence_parallel(layers: int, change: Mapping[int, str], ends: str = "") -> Made:
    made = Made()
    for layer in range(layers):
        made.play(change.get(layer, "nGgnSnGgnS"), layer)
    return made.play(ends)


@pytest.mark.parametrize(("ends", "gathers"), [("", 12), ("G", 13)])
def test_sequence_parallel_law_holds(ends: str, gathers: int) -> None:
    """Two scatters and two gathers a layer, one gather more for the logits."""
    told = {law.law: (law.found, law.holds) for law in laws(sequence_parallel(6, {}, ends), "2 ")}
    assert told["2 reduce-scatters per layer"] == (12, True)
    assert told["2 all-gathers per layer"] == (gathers, True)


@pytest.mark.parametrize(
    ("body", "label"), [("nGgn?nGgnS", "2 reduce-scatters per layer"), ("n?gnSnGgnS", "2 all-gathers per layer")]
)
def test_sequence_parallel_law_breaks(body: str, label: str) -> None:
    """A hidden half breaks its law, in its layer."""
    told = {law.law: law for law in laws(sequence_parallel(6, {3: body}), "2 ")}
    broken = told.pop(label)
    assert (broken.expected, broken.found, broken.holds) == (12, 11, False)
    assert (broken.where, broken.suspects[0]) == (("stack.0.layer.3",), "zorp")
    assert all(law.holds for law in told.values())


# --- experts ---------------------------------------------------------------------------------------------------------


def routed(layers: int, change: Mapping[int, str], body: str = "ngDMC") -> Made:
    made = Made().play("ng")
    for layer in range(layers):
        made.play("ngng" if layer == 0 else change.get(layer, body), layer)
    return made


def test_experts_hold() -> None:
    """A dense layer first, then a dispatch and a combine in each layer with experts."""
    told = {law.law: (law.expected, law.found, law.holds, law.note) for law in laws(routed(6, {}), "")}
    assert told["dispatch = combine"] == (5, 5, True, "")
    for role in ("dispatches", "combines"):
        assert told[f"{role} = MoE layers × micro-batches"] == (5, 5, True, "5 layers")


@pytest.mark.parametrize(("hidden", "role", "paired"), [("ng?MC", "dispatches", (4, 5)), ("ngDM?", "combines", (5, 4))])
def test_hidden_dispatch_and_combine(hidden: str, role: str, paired: tuple[int, int]) -> None:
    """Either half hidden breaks its own law and the pair's, in its layer; the other half's holds."""
    told = {law.law: law for law in laws(routed(6, {3: hidden}), "")}
    broken = told[f"{role} = MoE layers × micro-batches"]
    assert (broken.expected, broken.found, broken.where, broken.suspects[0]) == (5, 4, ("stack.0.layer.3",), "zorp")
    pair = told["dispatch = combine"]
    assert (pair.expected, pair.found, pair.where) == (*paired, ("stack.0.layer.3",))
    assert [law.holds for law in told.values()].count(False) == 2


def test_layer_that_lost_both_halves_is_found() -> None:
    """As many combines as dispatches say nothing of a layer that has neither; its experts do."""
    told = {law.law: law for law in laws(routed(6, {3: "ng?M?"}), "")}
    assert told["dispatch = combine"].holds
    assert told["dispatches = MoE layers × micro-batches"].where == ("stack.0.layer.3",)


def test_micro_batches_multiply_the_layers() -> None:
    """Two micro-batches in each layer dispatch twice; one that is missing breaks the law."""
    both = {law.law: law for law in laws(routed(6, {}, "ngDDMMCC"), "dispatches")}
    law = both["dispatches = MoE layers × micro-batches"]
    assert (law.expected, law.found, law.holds, law.note) == (10, 10, True, "5 layers, 2 in each")
    law = laws(routed(6, {2: "ngD?MMCC"}, "ngDDMMCC"), "dispatches")[0]
    assert (law.expected, law.found, law.where) == (10, 9, ("stack.0.layer.2",))


def test_experts_without_layers_hold_only_the_pair() -> None:
    """How many layers have experts cannot be said without layers."""
    assert [law.law for law in laws(Made().play("ngDMCDMC"), "")] == ["dispatch = combine"]


# --- in all ----------------------------------------------------------------------------------------------------------


def test_incomplete_traces_break_no_law() -> None:
    """A sample may lack collectives, so the law is not broken, but where it would be is told."""
    item = tensor_parallel(6, {3: "ngngR"}).module().with_health(tir.Finding("sampled", "info", 1, "It is a sample."))
    item, report = analyse(item)
    law = next(law for law in report.laws if law.law == "2 all-reduces per layer")
    assert (law.holds, law.note, law.where) == (None, "sampled", ("stack.0.layer.3",))
    assert not finding(item)


def test_many_broken_steps_are_one_line() -> None:
    """The head of the page says how many steps break a law, whatever their number."""
    made = Made()
    for step in range(30):
        for layer in range(4):
            made.play("ngRng" if layer == 1 and step >= 10 else "ngRngR", layer, step=step)
    facts = analyse(made.module())[1].headline()
    assert [fact.label for fact in facts] == ["collectives", "law broken"]
    assert "in 19 more steps" in facts[1].note


PART = st.tuples(
    st.text("gnMRFSGDC?", max_size=6), st.integers(-1, 4), st.integers(0, 2), st.booleans(), st.sampled_from((7, 8))
)


@given(st.lists(PART, min_size=1, max_size=20))
def test_verdicts_agree_with_their_numbers(parts: list[tuple[str, int, int, bool, int]]) -> None:
    """Of any trace: a law that holds found what it expected, one that is broken did not, and all can be printed."""
    made = Made()
    for names, layer, step, back, stream in parts:
        made.play(names, layer, step=step, back=back, lane=f"gpu0.s{stream}")
    _, report = analyse(made.module() if made.events else module([]))
    for law in report.laws:
        assert law.holds is None or law.holds == (law.expected == law.found), law
        assert (
            law.holds or law.step is None or set(law.where) <= {f"stack.{law.step[-1]}.layer.{at}" for at in range(5)}
        )
    assert json.dumps(attrs.asdict(report), allow_nan=False)
    assert report.blocks() is not None
    assert len({fact.value for fact in report.headline()}) == len(report.headline())


def test_report_is_json() -> None:
    """Where a law breaks stands in JSON, and no number is NaN."""
    _, report = analyse(tensor_parallel(6, {3: "ng?ngR"}).module())
    document = attrs.asdict(report)
    text = json.dumps(document, allow_nan=False)
    assert json.loads(text)["laws"][0]["where"] == ["stack.0.layer.3"]
