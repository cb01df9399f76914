"""The head of the page: what the trace is, in the words of its own lanes, and the findings that results rest on."""

from __future__ import annotations

import pytest

import traceir as tir
from traceir.printers.base import InputInfo, Result
from traceir.printers.folded.head import head, health
from traceir.printers.folded.room import ROOMS
from traceir.text import parse


def trace(*lanes: str, vendor: str = "ascend") -> tir.Module:
    """A module with one kernel on each lane; a lane is its name and the number of its device, if it has one."""
    lines = [f'#[traceir "1"]\nmodule @m {{clock="ns", vendor="{vendor}"}} {{']
    for text in lanes:
        name, _, device = text.partition(" ")
        lines.append(f"  lane @{name} : dev.stream {{{f'device={device}' if device else 'stream=1'}}};")
    lines += [f'  %{at} = dev.kernel("k") @{text.partition(" ")[0]} [{at} +1];' for at, text in enumerate(lanes)]
    return parse("\n".join([*lines, "}\n"]))


def title(item: tir.Module, frontend: str = "ascend") -> str:
    """The first line of the page."""
    return next(iter(head(Result(item, {}, (InputInfo("m", frontend, len(item)),)), 100))).text


@pytest.mark.parametrize(
    ("lanes", "spelled"),
    [
        (("npu0.s4 0", "npu0.g1.p2 0", "npu1.s4 1"), "@npu0, @npu1"),
        (("npu.s4",), "@npu"),
        (("gpu0.s7 0", "gpu0.s7.2 0"), "@gpu0"),
        (("gpu3.s7 3", "other.s8 3"), "@gpu3"),
        (("stream_7 2",), "@gpu2"),
        (("gpu0.s7 0", "npu.s1"), "@gpu0"),
    ],
    ids=["numbered", "one without number", "one device", "lanes disagree", "no device in it", "some without number"],
)
def test_devices_are_spelled_as_their_lanes_are(lanes: tuple[str, ...], spelled: str) -> None:
    """What the head says can be found in the lanes below."""
    assert title(trace(*lanes)) == f"ascend · {len(lanes)} events · {spelled}"


def test_a_vendor_called_as_its_profiler_is_said_once() -> None:
    """And one that is not, beside it."""
    assert title(trace("npu0.s4 0", vendor="huawei")).startswith("ascend · huawei · ")
    assert title(trace("gpu0.s4 0", vendor="ascend"), "kineto").startswith("kineto · ascend · ")


def test_a_note_that_makes_a_result_unreliable_is_shown() -> None:
    """The head says to see below."""
    item = trace("npu0.s4 0").with_health(
        tir.Finding("sampled", "info", 1, "A tool has filtered it.", None, ("gaps",)),
        tir.Finding("integer_us", "info", 1, "All times are whole.", None, ("sync",)),
    )
    manager = tir.PassManager.parse("gaps")
    after = manager.run(item)
    result = Result(after, manager.reports(after), ())
    assert [(line.label, line.text) for line in health(result, ROOMS[0])] == [
        ("info sampled ×1", "A tool has filtered it. Unreliable: gaps.")
    ]
