"""Flame graphs: weights add up, stacks come back as they went out, layers are drawn with the kernels inside them."""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import traceir as tir
from traceir.errors import UsageError
from traceir.printers import Result, Style
from traceir.printers.flame import Collapsed, Speedscope
from traceir.testing import modules
from traceir.text import parse

SCHEMA = "https://www.speedscope.app/file-format-schema.json"


def render(printer: Collapsed | Speedscope, module: tir.Module, style: Style | None = None) -> str:
    """What a printer writes of a module."""
    out = io.StringIO()
    printer.write(Result(module, {}, ()), out, style or Style())
    return out.getvalue()


def stacks(text: str) -> dict[str, int]:
    """The lines of collapsed stacks; each has to be one of its own."""
    rows = [line.rsplit(" ", 1) for line in text.splitlines()]
    assert len(rows) == len({stack for stack, _ in rows})
    assert [stack for stack, _ in rows] == sorted(stack for stack, _ in rows)
    return {stack: int(count) for stack, count in rows}


TEXT = """#[traceir "1"]
module @m {clock="ns"} {
  lane @cpu.t7 : host.thread {pid=1, tid=7, label="main"};
  lane @cpu.t8 : host.thread {pid=1, tid=8};
  lane @gpu0.s7 : dev.stream {device=0, stream=7};
  %0 = host.frame("run; all") @cpu.t7 [0 +100];
  %1 = host.op("add") @cpu.t7 [10 +30] in %0;
  %2 = rt.launch("launch") @cpu.t7 [20 +5] in %1;
  %3 = host.op("add") @cpu.t7 [50 +20] in %0;
  %4 = host.op("add") @cpu.t8 [50 +20];
  %5 = dev.kernel("gemm") @gpu0.s7 [60 +40];
  %6 = dev.kernel("norm") @gpu0.s7 [110 +4];
}
"""


def test_own_time_by_thread() -> None:
    """What a frame does itself, without what is inside it; semicolons would part a name in two."""
    text = render(Collapsed(of="host"), parse(TEXT))
    assert stacks(text) == {
        "thread (7): main;run: all": 50, "thread (7): main;run: all;add": 45, "thread (7): main;run: all;add;launch": 5,
        "thread (8);add": 20,
    }  # fmt: skip


def test_device_work_is_drawn_where_there_is_some() -> None:
    """Without passes there are names only; levels that nothing is known of are left out."""
    module = parse(TEXT)
    assert stacks(render(Collapsed(), module)) == {"gpu0;gemm": 40, "gpu0;norm": 4}
    assert stacks(render(Collapsed(by=("lane", "kernel")), module)) == {"gpu0.s7;gemm": 40, "gpu0.s7;norm": 4}


LAYERS = """#[traceir "1"]
module @m {clock="ns"} {
  lane @gpu0.s7 : dev.stream {device=0, stream=7};
  pass p1 = infer;
  pass p2 = group;
  column tree.layers : event<id> by p2;
  region @stack.0 : stack of layers by p2 {
    region @layer.0 : layer {
      %1 = dev.kernel("gemm") @gpu0.s7 [60 +40];
      %2 = dev.kernel("norm") @gpu0.s7 [110 +4];
    }
    region @layer.1 : layer {
      %3 = dev.kernel("gemm") @gpu0.s7 [160 +41];
    }
  }
  %4 = dev.kernel("head") @gpu0.s7 [260 +7];
}
"""


def test_like_layers_add_up_or_stand_apart() -> None:
    """One frame for all layers, or one for each; what lies outside of them says so."""
    module = parse(LAYERS)
    by: tuple[Any, ...] = ("layer", "kernel")
    assert stacks(render(Collapsed(by=by), module)) == {"layer;gemm": 81, "layer;norm": 4, "outside layers;head": 7}
    assert stacks(render(Collapsed(by=by, each=True), module)) == {
        "layer.0;gemm": 40, "layer.0;norm": 4, "layer.1;gemm": 41, "outside layers;head": 7,
    }  # fmt: skip


def test_nothing_to_draw_is_said() -> None:
    """A sentence with what to write instead."""
    module = parse(TEXT)
    empty = parse(
        '#[traceir "1"]\nmodule @m {clock="ns"} {\n  lane @c : counter;\n  %0 = ctr.sample("c") @c [0 +0];\n}\n'
    )
    with pytest.raises(UsageError) as caught:
        render(Collapsed(of="device"), empty)
    assert str(caught.value) == "The module has no device work to draw; write of=host for the frames of threads."
    with pytest.raises(UsageError) as caught:
        render(Speedscope(), empty)
    assert str(caught.value) == (
        "The module has no host frames to draw; frames, ranges and calls of threads are drawn."
    )
    assert render(Speedscope(), module)


def profiles(text: str) -> list[dict[str, Any]]:
    """The profiles of a document, checked against the format: evented ones nest, sampled ones have weights."""
    document = json.loads(text)
    assert document["$schema"] == SCHEMA
    frames = document["shared"]["frames"]
    for profile in document["profiles"]:
        if profile["type"] == "sampled":
            assert len(profile["samples"]) == len(profile["weights"])
            continue
        stack, last = [], profile["startValue"]
        for event in profile["events"]:
            assert event["at"] >= last
            last = event["at"]
            if event["type"] == "O":
                stack.append(event["frame"])
            else:
                assert stack.pop() == event["frame"]
            assert 0 <= event["frame"] < len(frames)
        assert not stack
        assert last <= profile["endValue"]
    out: list[dict[str, Any]] = document["profiles"]
    return out


def test_speedscope_of_threads_and_devices(tmp_path: Path) -> None:
    """Threads as they were in time, device work one after another; our own frontend reads it."""
    module = parse(TEXT)
    threads = profiles(render(Speedscope(of="host"), module))
    assert [(item["name"], item["unit"], item["endValue"]) for item in threads] == [
        ('Thread 7 "main"', "nanoseconds", 100), ("Thread 8", "nanoseconds", 70),
    ]  # fmt: skip
    (device,) = profiles(render(Speedscope(), module))
    assert (device["name"], device["weights"], device["endValue"]) == ("gpu0", [40, 4], 44)
    file = tmp_path / "out.json"
    file.write_text(render(Speedscope(of="host"), module), encoding="utf-8")
    again = tir.load(file)
    assert [(event.name, event.ts, event.dur, event.lane.name) for event in again.select()] == [
        ("run; all", 0, 100, "cpu.t7"), ("add", 10, 30, "cpu.t7"), ("launch", 20, 5, "cpu.t7"),
        ("add", 50, 20, "cpu.t7"), ("add", 50, 20, "cpu.t8"),
    ]  # fmt: skip


def test_samples_keep_their_unit(tmp_path: Path) -> None:
    """Counts are no times: neither printer makes them such."""
    file = tmp_path / "stacks.txt"
    file.write_text("a;b 3\na;c 4\n", encoding="utf-8")
    module = tir.load(file)
    assert render(Collapsed(), module) == "a;b 3\na;c 4\n"
    assert [item["unit"] for item in profiles(render(Speedscope(), module))] == ["none"]


_NAMES = (
    st.text("abc <>()[]:.é", min_size=1, max_size=6).map(str.strip).filter(lambda name: name and not name[0].isdigit())
)
_STACKS = st.lists(st.tuples(st.lists(_NAMES, min_size=1, max_size=5), st.integers(1, 9)), min_size=1, max_size=20)


@given(_STACKS)
def test_collapsed_stacks_come_back(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[list[str], int]]
) -> None:
    """Read, written, read: the same counts for the same stacks."""
    file = tmp_path_factory.mktemp("stacks") / "stacks.txt"
    file.write_text("".join(f"{';'.join(names)} {count}\n" for names, count in rows), encoding="utf-8")
    wanted: Counter[str] = Counter()
    for names, count in rows:
        wanted[";".join(names)] += count
    assert stacks(render(Collapsed(), tir.load(file, frontend="collapsed"))) == dict(wanted)


@given(modules())
def test_any_module_is_drawn_soundly(module: tir.Module) -> None:
    """Either there is nothing to draw, or weights are those of the events and speedscope's rules hold."""
    for of in ("host", "device"):
        try:
            text = render(Collapsed(of=of), module)
        except UsageError:
            continue
        found = profiles(render(Speedscope(of=of), module, Style(unicode=False)))
        total = sum(int(line.rsplit(" ", 1)[1]) for line in text.splitlines())
        if of == "device":
            assert total == int(module["dur"][module.work].sum())
            assert total == sum(sum(item["weights"]) for item in found)
        assert render(Collapsed(of=of), module, Style(unicode=False)).isascii()


def test_goldens(golden: Callable[[str, str], None]) -> None:
    """The two texts of a module with layers."""
    module = parse(LAYERS)
    golden("flame/layers.collapsed", render(Collapsed(), module))
    golden("flame/layers.speedscope.json", render(Speedscope(), module).replace(tir.__version__, "VERSION"))


def test_kernels_by_layer_of_a_real_trace(load_shared: Callable[[str], tir.Module]) -> None:
    """The weight of all stacks is the device work; the 36 layers take most of it."""
    module = tir.PassManager.parse("group").run(load_shared("sgl_dec"))
    found = stacks(render(Collapsed(), module))
    assert sum(found.values()) == int(module["dur"][module.work].sum())
    inside = sum(value for stack, value in found.items() if stack.startswith("gpu9;layer"))
    assert inside > 0.9 * sum(found.values())
    assert {stack.split(";")[2] for stack in found if stack.startswith("gpu9;layer")} == {"attention", "mlp"}


@pytest.mark.parametrize("name", ["asyncprofiler_sample1.collapsed", "local_pyspy_threads.raw.txt"])
def test_real_stacks_come_back(name: str, shared: Any) -> None:
    """As many samples as in the file, stack by stack where it does not name threads."""
    path = shared(f"pyspy_speedscope/{name}")
    found = stacks(render(Collapsed(), tir.load(path)))
    wanted = {
        stack: int(count) for stack, count in (line.rsplit(" ", 1) for line in path.read_text("utf-8").splitlines())
    }
    assert sum(found.values()) == sum(wanted.values())
    if "thread (" not in next(iter(wanted)):
        assert found == wanted
