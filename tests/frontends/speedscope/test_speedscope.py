"""Speedscope profiles: stacks become frames, and what contradicts the format is refused with its place."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import traceir as tir
from tests.frontends.texts import assert_round_trip, listing
from traceir.errors import InputError

FRAMES: list[dict[str, Any]] = [{"name": "main", "file": "spin.py", "line": 16}, {"name": "work"}, {"name": "leaf"}]


def profile(**fields: Any) -> dict[str, Any]:
    """A sampled profile in seconds, changed by `fields`."""
    sampled = {"samples": [[0, 1], [0, 1, 2], [0]], "weights": [0.01, 0.02, 0.01]}
    return {"type": "sampled", "name": 'Thread 7 "hasher"', "unit": "seconds", "startValue": 0.5, **sampled, **fields}


def evented(*events: tuple[str, int, float], unit: str = "milliseconds", end: float | None = 10) -> dict[str, Any]:
    """An evented profile of (type, frame, at)."""
    marks = [{"type": type, "frame": frame, "at": at} for type, frame, at in events]
    return {"type": "evented", "name": "p", "unit": unit, "startValue": 0, "endValue": end, "events": marks}


def write(path: Path, *profiles: dict[str, Any], **fields: Any) -> Path:
    """A file of these profiles."""
    file = path / "trace.json"
    schema = "https://www.speedscope.app/file-format-schema.json"
    document = {"$schema": schema, "shared": {"frames": FRAMES}, "profiles": profiles, **fields}
    file.write_text(json.dumps(document), encoding="utf-8")
    return file


def told(module: tir.Module) -> list[tuple[str, int, int, int]]:
    """Name, start, duration and parent of each frame."""
    return [
        (module.event(row).name, module.event(row).ts, module.event(row).dur, int(module["parent"][row]))
        for row in range(len(module))
    ]


def test_samples_that_share_a_stack_are_one_frame(tmp_path: Path) -> None:
    """A frame lasts as long as it stays at its place of the stack; times are exact."""
    module = tir.load(write(tmp_path, profile(), exporter="py-spy@0.4.3", name="spin"))
    assert told(module) == [
        ("spin.py(16): main", 0, 40_000_000, -1), ("work", 0, 30_000_000, 0), ("leaf", 10_000_000, 20_000_000, 1),
    ]  # fmt: skip
    (lane,) = module.lanes
    assert (lane.name, lane.kind, lane.tid, lane.label) == ("cpu.t7", "host.thread", "7", "hasher")
    assert module.event(0).args == {"name": "main", "file": "spin.py", "line": 16}
    assert (module.name, module.meta["profile"], module.meta["exporter"]) == ("trace.json", "spin", "py-spy@0.4.3")
    assert module.health == ()
    assert not tir.verify(module)


def test_recursion_nests(tmp_path: Path) -> None:
    """A function that calls itself is inside itself."""
    module = tir.load(write(tmp_path, profile(samples=[[1], [1, 1], [1]], weights=[1, 1, 1])))
    assert told(module) == [("work", 0, 3_000_000_000, -1), ("work", 1_000_000_000, 1_000_000_000, 0)]


def test_events_open_and_close(tmp_path: Path) -> None:
    """Evented profiles keep their own times."""
    module = tir.load(write(tmp_path, evented(("O", 1, 1), ("O", 2, 1.5), ("C", 2, 2), ("C", 1, 3))))
    assert told(module) == [("work", 0, 2_000_000, -1), ("leaf", 500_000, 500_000, 0)]


def test_what_stays_open_ends_with_its_profile(tmp_path: Path) -> None:
    """A file that was cut, or whose program was stopped, is read, and the finding says what was done."""
    module = tir.load(write(tmp_path, evented(("O", 1, 1), ("O", 2, 2))))
    assert told(module) == [("work", 0, 9_000_000, -1), ("leaf", 1_000_000, 8_000_000, 0)]
    assert [(item.code, item.count) for item in module.health] == [("open_events", 2)]


@pytest.mark.parametrize("unit", ["none", "bytes"])
def test_a_unit_that_is_no_time(tmp_path: Path, unit: str) -> None:
    """Lengths in other units are shown, and said to be no times."""
    module = tir.load(write(tmp_path, profile(unit=unit, weights=[3, 4, 5])))
    assert module.event(0).dur == 12
    assert [item.code for item in module.health] == ["no_clock"]


WRONG = [
    (
        [evented(("O", 1, 1), ("O", 2, 2), ("C", 1, 3))],
        "closes frames out of order: event 2 of profile 0 closes 'work' while 'leaf' is the innermost open.",
    ),
    (
        [evented(("C", 1, 3))],
        "closes frames out of order: event 0 of profile 0 closes 'work' while nothing is open.",
    ),
    (
        [evented(("O", 1, 3), ("C", 1, 2))],
        "is out of order: event 1 of profile 0 is at 2, which is before the one before it.",
    ),
    ([evented(("X", 1, 3))], "has an event that neither opens nor closes: event 0 of profile 0."),
    ([evented(("O", 7, 3))], "has 3 frames, and event 0 of profile 0 names the frame 7."),
    ([profile(samples=[[9]], weights=[1])], "has 3 frames, and sample 0 of profile 0 names the frame 9."),
    ([profile(weights=[1])], "gives its profile 0 3 samples and 1 weights; there has to be one for each."),
    ([profile(unit="fortnights")], "gives its profile 0 the unit 'fortnights', which is none."),
    ([profile(type="guessed")], "says that its profile 0 is 'guessed', which is neither sampled nor evented."),
    ([profile(startValue=1e300)], "has the time 1E+300, which no clock shows."),
    ([], "holds no stack; record it again."),
    ([{"type": 5}], "is no speedscope profile: expected `str`, got `int` - at `$.profiles[0].type`."),
]


@pytest.mark.parametrize(("profiles", "message"), WRONG)
def test_messages(tmp_path: Path, profiles: list[dict[str, Any]], message: str) -> None:
    """What contradicts the format is refused by file and place."""
    file = write(tmp_path, *profiles)
    with pytest.raises(InputError) as caught:
        tir.load(file)
    assert str(caught.value) == f"The input {file} {message}"


def test_a_cut_file_is_refused(tmp_path: Path) -> None:
    """JSON that ends early is no whole profile; so is a gzip file that does."""
    file = write(tmp_path, profile())
    whole = file.read_bytes()
    file.write_bytes(whole[:-40])
    with pytest.raises(InputError, match="is no whole speedscope profile"):
        tir.load(file)
    file.write_bytes(gzip.compress(whole)[:-20])
    with pytest.raises(InputError, match="is a gzip file that is damaged"):
        tir.load(file)
    file.write_bytes(gzip.compress(whole))
    assert len(tir.load(file)) == 3


stacks = st.lists(st.lists(st.integers(0, 2), max_size=4), min_size=1, max_size=8)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(stacks, st.data())
def test_every_sample_is_found_again(tmp_path: Path, drawn: list[list[int]], data: st.DataObject) -> None:
    """At the middle of each sample the frames that are there are its stack, root first."""
    weights = [data.draw(st.integers(1, 5)) for _ in drawn]
    if not any(drawn):
        drawn = [[0], *drawn]
        weights = [1, *weights]
    file = write(tmp_path, profile(samples=drawn, weights=weights, unit="nanoseconds", startValue=0))
    module = tir.load(file)
    names = ["spin.py(16): main", "work", "leaf"]
    origin = sum(weights[: next(at for at, stack in enumerate(drawn) if stack)])
    at = -origin
    for stack, weight in zip(drawn, weights, strict=True):
        middle = 2 * at + weight  # twice the time
        rows = [row for row in range(len(module)) if 2 * module["ts"][row] <= middle < 2 * module.end[row]]
        rows.sort(key=lambda row: len(list(module.event(row).ancestors)))
        assert [module.event(row).name for row in rows] == [names[frame] for frame in stack]
        at += weight


def test_shared_files(shared: Any) -> None:
    """Real files of py-spy and of the format's own tests are read, whole and without a doubt of the verifier."""
    folder = shared("pyspy_speedscope/local_pyspy.speedscope.json").parent
    for file in sorted(folder.glob("*.json")):
        module = tir.load(file)
        assert len(module)
        assert not [item for item in tir.verify(module) if item.level == "error"]


def test_time_does_not_run_backwards(tmp_path: Path) -> None:
    """A negative weight is refused with its place."""
    file = write(tmp_path, profile(weights=[0.01, -0.02, 0.01]))
    with pytest.raises(InputError) as caught:
        tir.load(file)
    assert str(caught.value) == (
        f"The input {file} gives sample 1 of profile 0 the weight -0.02, and time does not run backwards."
    )


def test_golden(tmp_path: Path, golden: Callable[[str, str], None]) -> None:
    """The whole module as text, with what its frames say."""
    module = tir.load(write(tmp_path, profile(), evented(("O", 1, 1), ("O", 2, 1.5), ("C", 2, 2)), exporter="me@1"))
    assert_round_trip(module)
    golden("frontends/speedscope.tir", listing(module))


@pytest.mark.parametrize(
    "name",
    ["local_pyspy.speedscope.json", "local_pyspy_threads.speedscope.json",
     "speedscope_speedscope_0.0.1_simple.speedscope.json", "speedscope_speedscope_0.6.0_two-sampled.speedscope.json",
     "speedscope_speedscope_invalid_incomplete-trace.json"],
)  # fmt: skip
def test_real_files_come_back(name: str, shared: Any) -> None:
    """Every shared file is sound, and equal after a round trip."""
    assert_round_trip(tir.load(shared(f"pyspy_speedscope/{name}")))
