"""Real runs of one program at three levels, as text and as a database: counts, identities, the vendor's figures."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest

import traceir as tir
from tests.frontends.ascend.documents import Event
from traceir.registry import Registry
from traceir.testing import assert_equal
from traceir.text import Spelling, parse, spell
from traceir_passes.overlap import Overlap

TEXTS = [f"ascend/msinsight_text/level{level}/rank{rank}_ascend_pt" for level in (0, 2) for rank in (0, 1)]
DATABASES = [f"ascend/msinsight_db/level1/rank{rank}_ascend_pt" for rank in (0, 1)]
OLD = "ascend/mstt/advisor_trace_view.json.gz"


@pytest.mark.parametrize("name", [*TEXTS, *DATABASES])
def test_all_levels_hold_the_same_program(name: str, load_shared: Callable[[str], tir.Module]) -> None:
    """Kernels, copies, waits and collectives of the step, whatever was recorded around them."""
    module = load_shared(name)
    kinds = Counter(event.kind for event in module.select(where=module.work))
    assert kinds == {"dev.kernel": 191, "dev.memcpy": 24}
    assert len([event for event in module.select(kind="dev.kernel") if event.name.startswith("hcom_allReduce")]) == 4
    assert [event.name for event in module.select(kind="mark.step")] == ["ProfilerStep#50"]
    assert int((module.launch[module.work] >= 0).sum()) == 215
    assert len(module.edges("flow")[0]) == 27
    assert not [item for item in tir.verify(module) if item.level == "error"]


@pytest.mark.parametrize("name", [*TEXTS, *DATABASES])
def test_the_vendors_steps_are_ours(name: str, load_shared: Callable[[str], tir.Module]) -> None:
    """Communication is equal to the ns (the vendor rounds floats); computing differs by its memsets alone."""
    module = tir.PassManager.parse("overlap").run(load_shared(name))
    (step,) = module.meta["step_trace_time"]
    assert step["communication_ns"] == step["not_overlapped_ns"] + step["overlapped_ns"]
    assert abs(step["stage_ns"] - step["computing_ns"] - step["not_overlapped_ns"] - step["free_ns"]) < 1000
    (device,) = Overlap().report(module).devices
    assert abs(device.comm_ns - step["communication_ns"]) <= 2
    sets = module.is_in("infer.class", ["memory"]) & module.is_kind("dev.kernel")
    cleared = int(module["dur"][sets].sum())
    assert abs(device.compute_ns + cleared - step["computing_ns"]) <= 100


@pytest.mark.parametrize("name", [*TEXTS, OLD])
def test_times_are_those_of_the_file(
    name: str, shared: Callable[[str], Path], load_shared: Callable[[str], tir.Module]
) -> None:
    """Each event's start and end, read again by another reader with exact decimals."""
    path = shared(name)
    file = path / "ASCEND_PROFILER_OUTPUT" / "trace_view.json.gz" if path.is_dir() else path
    events: list[Event] = json.loads(gzip.decompress(file.read_bytes()), parse_float=Decimal)
    module = load_shared(name)
    origin = module.meta["origin_ns"]
    wanted = {at: event for at, event in enumerate(events) if event["ph"] in "XC"}
    assert sorted(module["id"].tolist()) == sorted(wanted)
    for id, ts, dur in zip(module["id"].tolist(), module["ts"].tolist(), module["dur"].tolist(), strict=True):
        assert ts + origin == Decimal(wanted[id]["ts"]) * 1000
        assert abs(Decimal(wanted[id].get("dur", 0)) * 1000 - dur) <= Decimal("0.5")


def test_the_old_file_has_its_chain(load_shared: Callable[[str], tir.Module]) -> None:
    """Calls and tasks are numbered apart there: flows tell which call of CANN launched each kernel."""
    module = load_shared(OLD)
    source, _ = module.edges("launch")
    assert len(source) == 274
    assert module.is_kind("rt.call", "rt.launch", "rt.memcpy")[source].all()


@pytest.mark.parametrize("name", [TEXTS[0], TEXTS[2], DATABASES[0], OLD])
def test_real_modules_survive_their_text(name: str, load_shared: Callable[[str], tir.Module]) -> None:
    """Printed as blocks and read again: the same."""
    registry, module = Registry.installed(), load_shared(name)
    text = "".join(spell(module, Spelling("table", dead=True), registry=registry))
    assert_equal(module, parse(text, registry=registry))


def test_shapes_come_from_the_tables(load_shared: Callable[[str], tir.Module]) -> None:
    """At level 2 each kernel that reads something has its shapes."""
    module = load_shared(TEXTS[2])
    kernels = [event for event in module.select(kind="dev.kernel") if not event.name.startswith("hcom_")]
    assert all(
        event.args.get("Input Dims") for event in kernels if not event.name.endswith(("MemSet", "DSAGenBitMask"))
    )
