"""Planted edits: a synthetic trace is generated as it is and as an edit would have it, and the edit is predicted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import attrs
import pytest

import traceir as tir
from traceir import synth
from traceir.synth import lowering
from traceir.synth.model import MAIN, Node, Run, decoder_plan
from traceir.synth.vocabulary import Op
from traceir_passes.what_if import WhatIf, WhatIfReport

WITHIN = 0.02
BASE = {"layers": 8, "steps": 4, "marks": "profiler"}


def trace(folder: Path, name: str, **options: Any) -> Path:
    path = folder / f"{name}.json"
    synth.write(synth.Decoder(**{**BASE, **options}), path)
    return path


def measured(path: Path) -> int:
    return tir.load(path).span_ns


def asked(path: Path, edit: str, **options: Any) -> WhatIfReport:
    manager = tir.PassManager([*tir.PassManager.parse("collectives,group").passes, WhatIf(edit=edit, **options)])
    report = manager.reports(manager.run(tir.load(path)))["what-if"]
    assert isinstance(report, WhatIfReport)
    return report


def replanned(monkeypatch: pytest.MonkeyPatch, change: Callable[[list[Node]], list[Node]]) -> None:
    """Let the generator make another plan of the model."""
    plan = decoder_plan
    monkeypatch.setattr(lowering, "decoder_plan", lambda *given: change(plan(*given)))


def ops(change: Callable[[Op], Op]) -> Callable[[list[Node]], list[Node]]:
    def changed(nodes: list[Node]) -> list[Node]:
        return [attrs.evolve(node, op=change(node.op)) if isinstance(node, Run) else node for node in nodes]

    return changed


def assert_predicts(report: WhatIfReport, before: int, after: int, *, least: float = 0.03) -> None:
    """Both bounds are within 2 % of what the generator made, and the edit was worth predicting."""
    assert report.reliable, report.reason
    assert report.span.measured_ns == before
    assert abs(before - after) > least * before, "the planted edit changes too little to tell"
    for bound in (report.span.kept_ns, report.span.dropped_ns):
        assert bound is not None
        assert abs(bound - after) <= WITHIN * after, (bound, after, before)


@pytest.mark.parametrize("launch", ["eager", "graph"])
@pytest.mark.parametrize("factor", [2.0, 0.5])
def test_a_role_made_faster_or_slower(
    launch: str, factor: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Durations of all gemms change; whether the host then is the limit is for the replay to find."""
    options: dict[str, Any] = {"launch": launch, "stack": False, "frames": 0}
    before = trace(tmp_path, "before", **options)
    faster = ops(lambda op: attrs.evolve(op, ns=round(op.ns / factor)) if op.role == "gemm" else op)
    replanned(monkeypatch, faster)
    after = trace(tmp_path, "after", **options)
    assert_predicts(asked(before, f"speed gemm {factor}"), measured(before), measured(after))


@pytest.mark.parametrize("replays", [True, False])
def test_graph_launches_instead_of_launches(replays: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every other step is eager, or all are: what a replay costs is measured in the trace, or given as an option."""
    options: dict[str, Any] = {
        "prefill_scale": 1,
        "prefill_every": 2 if replays else 1,
        "steps": 6,
        "frames": 24,
        "layers": 16,
    }
    replanned(monkeypatch, ops(lambda op: attrs.evolve(op, ns=op.ns // 2)))
    before = trace(tmp_path, "before", launch="mixed" if replays else "eager", **options)
    after = trace(tmp_path, "after", launch="graph", **options)
    known = {} if replays else {"graph_gap": 700, "graph_launch": 120_000}
    assert_predicts(asked(before, "remove launch-gaps", **known), measured(before), measured(after))


def test_streams_keep_their_order_in_graphs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reductions on another stream, which no wait held up while the host was late, still follow what they reduce."""
    options: dict[str, Any] = {"frames": 24, "layers": 16, "tensor_parallel": 8, "comm_stream": True, "overlap": 0.5}
    replanned(monkeypatch, ops(lambda op: attrs.evolve(op, ns=op.ns // 2)))
    before = trace(tmp_path, "before", launch="eager", **options)
    after = trace(tmp_path, "after", launch="graph", **options)
    report = asked(before, "remove launch-gaps", graph_gap=700, graph_launch=150_000)
    assert_predicts(report, measured(before), measured(after))


def test_a_dropped_sync(tmp_path: Path) -> None:
    """Without the wait for the sampled tokens the host runs ahead, and the gaps between steps vanish."""
    before = trace(tmp_path, "before", launch="graph", stack=False)
    after = trace(tmp_path, "after", launch="graph", stack=False, sync=False)
    assert_predicts(asked(before, "drop sync"), measured(before), measured(after))


@pytest.mark.parametrize(
    ("stall", "edit"), [("host", "scale '<built-in function collect>' 0"), ("blocking", "scale cudaMalloc 0")]
)
def test_a_stall_of_the_host_taken_away(stall: str, edit: str, tmp_path: Path) -> None:
    """What stopped the host is named in the edit, and its time is gone.

    Half of a stall of the host lies within its frame, half before it, where nothing of the trace says so.
    """
    options: dict[str, Any] = {"launch": "graph", "stall_every": 1}
    before = trace(tmp_path, "before", stall=stall, **options)
    rest = {"stall": "host", "stall_ns": synth.Decoder().stall_ns // 2} if stall == "host" else {}
    after = trace(tmp_path, "after", **options, **rest)
    assert_predicts(asked(before, edit), measured(before), measured(after))


@pytest.mark.parametrize("edit", ["scale all_reduce 0.25", "speed all_reduce 4", "bandwidth 2 4", "bandwidth all 4"])
def test_faster_collectives(edit: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All-reduces of one size take a quarter of the time, however that is said."""
    options: dict[str, Any] = {"launch": "eager", "stack": False, "frames": 0, "tensor_parallel": 8}
    before = trace(tmp_path, "before", **options)
    replanned(monkeypatch, ops(lambda op: attrs.evolve(op, ns=op.ns // 4) if op.role == "all-reduce" else op))
    after = trace(tmp_path, "after", **options)
    assert_predicts(asked(before, edit), measured(before), measured(after))


def on_main(nodes: list[Node]) -> list[Node]:
    """The same plan with its collectives on the main stream."""
    return [attrs.evolve(node, stream=MAIN, after=()) if isinstance(node, Run) else node for node in nodes]


def test_collectives_on_a_stream_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All-reduces leave the stream of the compute and are awaited two kernels later."""
    options: dict[str, Any] = {"launch": "graph", "tensor_parallel": 8, "comm_stream": True, "overlap": 0.5}
    after = trace(tmp_path, "after", **options)
    replanned(monkeypatch, on_main)
    before = trace(tmp_path, "before", **options)
    assert_predicts(asked(before, "move all_reduce past 2"), measured(before), measured(after))


def halved(nodes: list[Node]) -> list[Node]:
    """Each all-reduce as two halves: one in its place, one on the other stream, awaited two kernels later."""
    out: list[Node] = []
    number: dict[int, int] = {}
    waiting: dict[int, int] = {}
    old = new = 0
    for node in nodes:
        if not isinstance(node, Run):
            out.append(node)
            continue
        after = tuple(number[other] for other in node.after if other in number)
        due = tuple(first for first, left in waiting.items() if left == 0)
        waiting = {first: left - 1 for first, left in waiting.items() if left > 0}
        if node.op.role == "all-reduce" and node.layer >= 0:
            half = attrs.evolve(node.op, ns=node.op.ns // 2)
            out += [
                attrs.evolve(node, op=half, stream=MAIN, after=due),
                attrs.evolve(node, op=half, stream=1, after=(new,)),
            ]
            waiting[new + 1] = 2
            new += 1
        else:
            out.append(attrs.evolve(node, stream=MAIN, after=(*due, *after)))
        number[old] = new
        old, new = old + 1, new + 1
    return out


def test_all_reduces_as_scatter_and_late_gather(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One half of each all-reduce stays, the other runs beside the two kernels that follow."""
    options: dict[str, Any] = {"launch": "graph", "tensor_parallel": 8, "comm_stream": True}
    slower = ops(lambda op: attrs.evolve(op, ns=3 * op.ns) if op.role == "all-reduce" else op)
    with monkeypatch.context() as patch:
        replanned(patch, lambda nodes: on_main(slower(nodes)))
        before = trace(tmp_path, "before", **options)
    replanned(monkeypatch, lambda nodes: halved(on_main(slower(nodes))))
    after = trace(tmp_path, "after", **options)
    assert_predicts(asked(before, "split all_reduce past 2"), measured(before), measured(after))


def merged(first: str, second: str, saving: float) -> Callable[[Sequence[Node]], list[Node]]:
    """The plan with two labels that follow each other as one op."""

    def change(nodes: Sequence[Node]) -> list[Node]:
        out: list[Node] = []
        number: dict[int, int] = {}
        old = new = 0
        last: int | None = None
        for node in nodes:
            if not isinstance(node, Run):
                out.append(node)
                continue
            if last is not None and node.op.label == second:
                before = out[last]
                assert isinstance(before, Run)
                ns = round((before.op.ns + node.op.ns) * (1 - saving))
                out[last] = attrs.evolve(before, op=attrs.evolve(before.op, ns=ns))
                number[old], last = new - 1, None
            else:
                last = len(out) if node.op.label == first else None
                out.append(attrs.evolve(node, after=tuple(number[other] for other in node.after)))
                number[old], new = new, new + 1
            old += 1
        return out

    return change


def test_a_fused_chain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Up projection and activation become one kernel that saves a third of their time."""
    options: dict[str, Any] = {"launch": "graph"}
    before = trace(tmp_path, "before", **options)
    replanned(monkeypatch, merged("gate_up_proj", "activation", 0.3))
    after = trace(tmp_path, "after", **options)
    edit = "fuse label:gate_up_proj label:activation saving 30%"
    assert_predicts(asked(before, edit), measured(before), measured(after))


def without(label: str) -> Callable[[Sequence[Node]], list[Node]]:
    """The plan without the ops of a label, which nothing on another stream waits for."""

    def change(nodes: Sequence[Node]) -> list[Node]:
        out: list[Node] = []
        number: dict[int, int] = {}
        old = 0
        for node in nodes:
            if not isinstance(node, Run):
                out.append(node)
                continue
            if node.op.label != label:
                number[old] = len(number)
                out.append(attrs.evolve(node, after=tuple(number[other] for other in node.after)))
            old += 1
        return out

    return change


@pytest.mark.parametrize("launch", ["graph", "eager"])
def test_dropped_work(launch: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The activations are gone, with their launches; the host code around these stays, which costs a little."""
    before = trace(tmp_path, "before", launch=launch, stack=False, frames=0)
    replanned(monkeypatch, without("activation"))
    after = trace(tmp_path, "after", launch=launch, stack=False, frames=0)
    assert_predicts(asked(before, "drop label:activation"), measured(before), measured(after), least=0.01)


def test_edits_together_are_replayed_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A faster role and a dropped sync at once; the savings of each alone do not add up to that."""
    options: dict[str, Any] = {"launch": "eager", "frames": 2}
    before = trace(tmp_path, "before", **options)
    replanned(monkeypatch, ops(lambda op: attrs.evolve(op, ns=op.ns // 3) if op.role == "gemm" else op))
    after = trace(tmp_path, "after", sync=False, **options)
    whole = asked(before, "speed gemm 3; drop sync")
    assert_predicts(whole, measured(before), measured(after), least=0.0)
    alone = [asked(before, edit).span for edit in ("speed gemm 3", "drop sync")]
    saved = [(item.measured_ns or 0) - (item.kept_ns or 0) for item in alone]
    assert sum(saved) != (whole.span.measured_ns or 0) - (whole.span.kept_ns or 0)
