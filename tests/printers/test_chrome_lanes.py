"""Lanes that passes write as tables of spans, in the Chrome trace: those of `overlap`, and a stranger's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest

import traceir as tir
from tests.conftest import ROOT
from traceir.ir import Annotation, Written

from ..build import Ev, module
from .chrome_reading import differences, events_of, load_text, render, tracks

EXAMPLE = ROOT / "examples" / "decoder_tp8_graph.json.gz"
SPANS: tuple[tuple[str, int | None, int, int, str], ...] = (
    ("turns", None, 0, 2_000, "mine"), ("turns", None, 2_500, 1_000, "mine"), ("turns", None, 3_500, 500, "yours"),
    ("load", 0, 0, 700, "high"), ("load", 1, 9_000, 500, "low"),
)  # fmt: skip


def spanned(*further: tuple[Annotation, Any], spans: Any = SPANS, word: str = "acme") -> tir.Module:
    """A module with a table of spans that a pass `acme` wrote, and further columns of it."""
    item = module([Ev("dev.kernel", "gemm", 0, 5_000), Ev("dev.kernel", "gemm", 0, 5_000, "gpu1.s7")])
    lanes, devices, starts, durs, labels = zip(*spans, strict=True)
    domain = f"table:{word}.spans"
    given: list[tuple[Annotation, Any]] = [
        (Annotation(f"{word}.lane", domain, "str"), None),
        (Annotation(f"{word}.lane_device", domain), [tir.NULL_I64 if one is None else one for one in devices]),
        (Annotation(f"{word}.lane_start", domain, unit="ns"), starts),
        (Annotation(f"{word}.lane_dur", domain, unit="ns"), durs),
        (Annotation(f"{word}.lane_label", domain, "str"), None),
        *further,
    ]
    strings, titles = item.strings.encode(list(lanes))
    strings, names = strings.encode(list(labels))
    codes = {f"{word}.lane": titles, f"{word}.lane_label": names}
    columns = {
        one.name: codes[one.name] if values is None else np.array(values, one.numpy_type) for one, values in given
    }
    item = item.with_strings(strings).with_table(f"{word}.spans", columns)
    return attrs.evolve(item, annotations={**item.annotations, **{one.name: Written(one, None) for one, _ in given}})


def shown(item: tir.Module, **options: Any) -> dict[str, list[tuple[str, float, float]]]:
    found = tracks(events_of(render(item, **options)))
    return {name: [(e["name"], e["ts"], e["dur"]) for e in slices] for name, slices in found.items()}


def test_a_stranger_s_lanes_are_shown() -> None:
    """Named by lane and device; spans of one label that touch or nearly do are one, of another label not."""
    assert shown(spanned(), add=("lanes",)) == {
        "gpu turns": [("mine", 0, 3.5), ("yours", 3.5, 0.5)],
        "gpu0 load": [("high", 0, 0.7)],
        "gpu1 load": [("low", 9, 0.5)],
    }
    assert shown(spanned(), add=("lanes",), min_gap=0)["gpu turns"] == [
        ("mine", 0, 2), ("mine", 2.5, 1), ("yours", 3.5, 0.5),
    ]  # fmt: skip


def test_further_columns_are_arguments() -> None:
    """With something to say of each span, each is a slice of its own."""
    weight = Annotation("acme.weight", "table:acme.spans", unit="B")
    found = tracks(events_of(render(spanned((weight, [1, 2, 3, 4, tir.NULL_I64])), add=("lanes",))))
    assert [e.get("args") for e in found["gpu turns"]] == [{"weight": 1}, {"weight": 2}, {"weight": 3}]
    assert "args" not in found["gpu1 load"][0]


def test_short_gaps_are_not_shown() -> None:
    """Where a table says that nothing runs in a span, those up to `min_gap` are left out and none are joined."""
    gap = Annotation("acme.lane_gap", "table:acme.spans", "bool")
    found = shown(spanned((gap, [True, True, False, True, True])), add=("lanes",))
    assert found == {"gpu turns": [("mine", 0, 2), ("yours", 3.5, 0.5)]}


@pytest.mark.parametrize("name", ["acme.lane", "acme.lane_dur"])
def test_a_table_without_what_makes_a_span_is_not_shown(name: str) -> None:
    """Neither a missing nor a stale column is guessed."""
    item = spanned()
    stale = attrs.evolve(item.annotations[name], inputs=(("ts", -1),))
    assert shown(attrs.evolve(item, annotations={**item.annotations, name: stale}), add=("lanes",)) == {}
    gone = {key: one for key, one in item.annotations.items() if key != name}
    assert shown(attrs.evolve(item, annotations=gone), add=("lanes",)) == {}


def test_lanes_of_overlap_are_of_the_sort_overlap() -> None:
    """So that who asked for the split of device time before gets it still, and nothing twice."""
    item = tir.PassManager.parse("overlap").run(tir.load(EXAMPLE))
    names = ["gpu0 computing", "gpu0 communication", "gpu0 not overlapped", "gpu0 copies", "gpu0 free"]
    assert list(shown(item, add=("overlap",))) == names
    assert shown(item, add=("lanes",)) == {}
    assert set(names) <= set(shown(item))


def test_lanes_follow_the_options_of_the_pass() -> None:
    """A fused kernel that counts as communication is on its lane, and on one of its own otherwise."""
    item = module([Ev("dev.kernel", "allreduce_fusion_kernel_oneshot_lamport", 0, 5_000)])
    third = shown(tir.PassManager.parse("overlap").run(item), add=("overlap",))
    comm = shown(tir.PassManager.parse("overlap{fused=comm}").run(item), add=("overlap",))
    assert set(third) == {"gpu0 fused"}
    assert set(comm) == {"gpu0 communication", "gpu0 not overlapped"}


def test_original_events_come_back_as_they_were(tmp_path: Path) -> None:
    """Derived lanes are no events of the trace: it reads back equal, and its totals are the same."""
    before = tir.load(EXAMPLE)
    manager = tir.PassManager.parse("overlap")
    done = manager.run(before)
    back = load_text(tmp_path, render(done))
    assert differences(before, back) == []
    assert manager.reports(manager.run(back))["overlap"] == manager.reports(done)["overlap"]


def counted(*rows: tuple[str, int, int]) -> tir.Module:
    """A module with a table of counters that a pass `acme` wrote: name, instant, value."""
    item = module([Ev("dev.kernel", "gemm", 0, 5_000)])
    names, instants, values = zip(*rows, strict=True)
    strings, codes = item.strings.encode(list(names))
    domain = "table:acme.load"
    declared = [
        Annotation("acme.counter", domain, "str"), Annotation("acme.counter_at", domain, unit="ns"),
        Annotation("acme.counter_value", domain),
    ]  # fmt: skip
    columns = {"acme.counter": codes, "acme.counter_at": np.array(instants), "acme.counter_value": np.array(values)}
    item = item.with_strings(strings).with_table("acme.load", columns)
    return attrs.evolve(item, annotations={one.name: Written(one, None) for one in declared})


def test_a_stranger_s_counters_are_shown() -> None:
    """Each name is a counter, its values in order of time; an unknown value is no sample."""
    item = counted(("depth", 2_000, 1), ("depth", 0, 3), ("other", 500, 7), ("depth", 4_000, tir.NULL_I64))
    found = [
        (event["name"], event["ts"], event["args"]["value"]) for event in events_of(render(item)) if event["ph"] == "C"
    ]
    assert found == [("acme depth", 0, 3), ("acme depth", 2, 1), ("acme other", 0.5, 7)]
    assert not [event for event in events_of(render(item, add=("lanes",))) if event["ph"] == "C"]


def test_queue_depths_are_a_counter() -> None:
    """What `gaps` counts is drawn over the streams: as many as were launched, and none left at the end."""
    found = tir.PassManager.parse("gaps").run(tir.load(EXAMPLE))
    samples: dict[str, list[int]] = {}
    for event in events_of(render(found, add=("counters",))):
        if event["ph"] == "C" and event.get("cat") == "traceir":
            samples.setdefault(event["name"], []).append(event["args"]["value"])
    assert sorted(samples)
    assert all(name.startswith("gaps gpu0.s") for name in samples)
    assert all(min(values) >= 0 and max(values) > 0 for values in samples.values())
