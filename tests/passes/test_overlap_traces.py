"""Overlap on real traces: known figures to the nanosecond, and a sweep over event borders that shares no code."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest

import traceir as tir
from traceir_passes.overlap import Overlap

Load = Callable[[str], tir.Module]
US = 1_000
KEYS = ("span_ns", "busy_ns", "compute_ns", "comm_ns", "memory_ns", "overlap_ns", "exposed_ns", "exposed_any_ns")
KNOWN = {
    "b200": (84_487_178, 11_596_482, 8_652_137, 2_141_501, 802_844, 0, 2_141_501, 2_141_501),
    "nccl": (660_551_005, 157_500_014, 115_655_847, 46_876_493, 2_653_498, 7_317_025, 39_559_468, 39_190_669),
    "s0": tuple(US * us for us in (1_222_847, 547_656, 210_320, 396_199, 1_325, 59_216, 336_983, 336_033)),
    "s1": tuple(US * us for us in (1_231_186, 580_050, 271_973, 379_053, 16_504, 75_530, 303_523, 299_495)),
    "dlrm": tuple(US * us for us in (13_009, 6_590, 1_034, 5_798, 19, 261, 5_537, 5_537)),
}
SILENT = ("bert_h100", "qwen_h100", "sgl_dec", "vllm_pw", "alexnet", "triton")
_done: dict[str, tir.Module] = {}


def ran(load: Load, name: str) -> tir.Module:
    """A shared trace after the pipeline `overlap`, run once."""
    if name not in _done:
        _done[name] = tir.PassManager.parse("overlap").run(load(name))
    return _done[name]


@pytest.mark.parametrize("name", KNOWN)
def test_known_figures(load_shared: Load, name: str) -> None:
    """The accounts of the whole trace are the known ones, to the nanosecond."""
    (device,) = Overlap().report(ran(load_shared, name)).devices
    assert tuple(getattr(device, key) for key in KEYS) == KNOWN[name]
    assert device.overlap_ratio == pytest.approx(device.overlap_ns / device.comm_ns)


@pytest.mark.parametrize("name", SILENT)
def test_traces_without_communication_have_no_ratio(load_shared: Load, name: str) -> None:
    """A trace that does not communicate says so: 0 ns and a null ratio."""
    for device in Overlap().report(ran(load_shared, name)).devices:
        assert (device.comm_ns, device.overlap_ratio) == (0, None)


def test_bert_compute_is_exact(load_shared: Load) -> None:
    """Sub-microsecond times are not rounded: 307 197 ns of compute, 309 437 ns busy."""
    (device,) = Overlap().report(ran(load_shared, "bert_h100")).devices
    assert (device.compute_ns, device.busy_ns) == (307_197, 309_437)


def test_orphan_kernels_are_busy_time(load_shared: Load) -> None:
    """Kernels without a launch count: 45 647 300 ns busy, where a tool that drops them reports 31.9 ms."""
    (device,) = Overlap().report(ran(load_shared, "qwen_h100")).devices
    assert device.busy_ns == 45_647_300


def test_custom_all_reduce_is_communication_on_the_same_stream(load_shared: Load) -> None:
    """Symmetric-memory all-reduces communicate, and their missing overlap is due to the one stream."""
    report = Overlap().report(ran(load_shared, "b200"))
    assert sum(item.count for item in report.communication) == 74
    assert report.devices[0].same_stream is True


def swept(module: tir.Module, device: int) -> dict[str, int]:
    """The accounts of a device by a walk over all starts and ends, with a count of what runs."""
    classes = module.text("infer.class")
    marks: list[tuple[int, int, str]] = []
    for event in module.select(where=module.work):
        if event.lane.device == device and event.dur:
            marks += [(event.ts, 1, str(classes[event.row])), (event.end, -1, str(classes[event.row]))]
    marks.sort()
    running: Counter[str] = Counter()
    out: Counter[str] = Counter()
    last = marks[0][0]
    for at, step, kind in marks:
        on = {name for name, number in running.items() if number}
        for key, holds in (
            ("busy_ns", bool(on)),
            ("idle_ns", not on),
            ("compute_ns", "compute" in on),
            ("comm_ns", "comm" in on),
            ("memory_ns", "memory" in on),
            ("fused_ns", "fused" in on),
            ("overlap_ns", {"comm", "compute"} <= on),
            ("exposed_ns", "comm" in on and "compute" not in on),
            ("exposed_any_ns", on == {"comm"}),
        ):
            out[key] += (at - last) * holds
        running[kind] += step
        last = at
    return dict(out)


@pytest.mark.parametrize("name", [*KNOWN, *SILENT, "sgl_pd", "mi250", "hta_triton"])
def test_sweep_over_event_borders_agrees(load_shared: Load, name: str) -> None:
    """Every account is what a plain walk over the borders of the events gives."""
    module = ran(load_shared, name)
    for device in Overlap().report(module).devices:
        found = swept(module, -1 if device.device is None else device.device)
        assert {key: getattr(device, key) for key in found} == found
