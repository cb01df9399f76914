"""What is left behind when a pass fails: a small text that fails the same way, and the event in context."""

from __future__ import annotations

import io
from pathlib import Path

import attrs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import traceir as tir
from tests.build import Ev, module
from traceir.errors import PassError, UsageError
from traceir.passing import PassContext, PassManager
from traceir.passing.instruments import Culprit, Reproducer, Verify
from traceir.passing.instruments.reproducer import recorded
from traceir.registry import Registry
from traceir.text import parse


def host(number: int) -> tir.Module:
    """Launches on the host, each with a kernel 10 ns later; kernel i takes i ns."""
    calls = [Ev("rt.launch", "cudaLaunchKernel", 20 * i, 5, "cpu") for i in range(number)]
    kernels = [Ev("dev.kernel", f"k{i}", 20 * i + 10, i % 10, launch=i) for i in range(number)]
    return module([*calls, *kernels])


@attrs.frozen
class Unlucky(tir.Pass):
    """Fail at a kernel that takes 7 ns and has a launch."""

    told: bool = tir.option(True, help="Whether the error carries the event.")
    apart: int = tir.option(0, help="How many kernels of 7 ns there have to be.")
    reads = ("dur", "kind", "edges")

    def run(self, module: tir.Module, context: tir.PassContext) -> tir.Module:
        rows = np.flatnonzero((module["dur"] == 7) & (module.launch >= 0))
        if len(rows) > self.apart:
            event = int(module["id"][rows[-1]])
            raise PassError("The pass unlucky has seen a 7." if not self.told else f"Seven at %{event}.", event=event)
        return module


def failing(item: tir.Pass, whole: tir.Module, path: Path, **options: object) -> tuple[Reproducer, str]:
    """The reproducer of a failing run, and what was printed."""
    out = io.StringIO()
    instrument = Reproducer(path=str(path), stream=out, **options)  # type: ignore[arg-type]
    with pytest.raises(PassError):
        PassManager([item], instruments=[instrument]).run(whole)
    return instrument, out.getvalue()


@pytest.mark.parametrize("told", [True, False])
@pytest.mark.parametrize("number", [9, 400])
def test_the_text_is_small_and_fails_the_same_way(told: bool, number: int, tmp_path: Path) -> None:
    """One kernel and its launch are left of hundreds, whether or not the error says where it happened."""
    path = tmp_path / "repro.tir"
    item = Unlucky(told=told)
    instrument, said = failing(item, host(number), path)
    assert instrument.written == (str(path), 2)
    assert said == f"traceir: A text of 2 events that fails the same way is in {path}.\n"
    small = parse(path.read_text("utf-8"))
    assert sorted(map(str, small.kinds)) == ["dev.kernel", "rt.launch"]
    with pytest.raises(PassError, match="Seven at %" if told else "has seen a 7"):
        PassManager([item]).run(small)


def test_several_events_that_fail_only_together_are_kept(tmp_path: Path) -> None:
    """Halves do not fail, so parts are taken away instead."""
    path = tmp_path / "repro.tir"
    item = Unlucky(told=False, apart=2)
    instrument, _ = failing(item, host(200), path)
    assert instrument.written == (str(path), 6)


def test_without_time_the_whole_is_written(tmp_path: Path) -> None:
    """The budget bounds the tries, not the text."""
    instrument, _ = failing(Unlucky(), host(30), tmp_path / "r.tir", budget_s=0.0)
    assert instrument.written == (str(tmp_path / "r.tir"), 60)


def test_the_rest_of_the_pipeline_and_versions_are_recorded(tmp_path: Path) -> None:
    """From the failing pass on, with options; what ran before is in the module itself."""
    path = tmp_path / "repro.tir"
    manager = PassManager.parse("infer,collectives,overlap{versus=any}", registry=Registry.installed())
    passes = (*manager.passes[:1], Unlucky(told=False), *manager.passes[1:])
    with pytest.raises(PassError):
        PassManager(passes, manager.registry, instruments=[Reproducer(path=str(path))]).run(host(20))
    small = parse(path.read_text("utf-8"))
    found = recorded(small)
    assert found is not None
    assert found["pipeline"] == "unlucky{told=false},collectives,overlap{versus=any}"
    assert found["error"] == "The pass unlucky has seen a 7."
    assert {"traceir", "python", "numpy"} < found.keys()
    assert [record.name for record in small.passes] == ["infer"]


def test_a_broken_rule_is_reproduced_with_the_verifier(tmp_path: Path) -> None:
    """If the verifier failed the pass, it does so for each try."""

    @attrs.frozen
    class Shrink(tir.Pass):
        """Make one duration negative."""

        annotates = False

        def run(self, module: tir.Module, context: PassContext) -> tir.Module:
            return module.with_columns({"dur": np.where(module["dur"] == 7, -1, module["dur"])})

    path = tmp_path / "repro.tir"
    instrument = Reproducer(path=str(path), verify=True)
    with pytest.raises(PassError, match="breaks the rule V11"):
        PassManager([Shrink()], instruments=[Verify(), instrument]).run(host(40))
    assert instrument.written is not None
    assert instrument.written[1] <= 2


def test_a_usage_error_is_no_failure(tmp_path: Path) -> None:
    """Nothing is written where the request was wrong."""

    @attrs.frozen
    class Refuse(tir.Pass):
        """Refuse."""

        def run(self, module: tir.Module, context: PassContext) -> tir.Module:
            raise UsageError("The pass refuse needs a capture.")

    with pytest.raises(UsageError):
        PassManager([Refuse()], instruments=[Reproducer(path=str(tmp_path / "r.tir"))]).run(host(3))
    assert not (tmp_path / "r.tir").exists()


def test_a_place_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    """The pass's own error stays the one that is raised."""
    _, said = failing(Unlucky(), host(9), tmp_path / "gone" / "r.tir")
    assert said == "traceir: The reproducer cannot be written: No such file or directory.\n"


@given(st.sets(st.integers(0, 59), min_size=1, max_size=3))
def test_what_is_written_always_fails(tmp_path_factory: pytest.TempPathFactory, needed: set[int]) -> None:
    """Whichever events a failure needs, they are in the text, and few others."""

    @attrs.frozen
    class Needs(tir.Pass):
        """Fail if all of some events are there."""

        def run(self, module: tir.Module, context: PassContext) -> tir.Module:
            if needed <= set(module["id"].tolist()):
                raise ValueError("all there")
            return module

    path = tmp_path_factory.mktemp("r") / "r.tir"
    instrument, _ = failing(Needs(), module([Ev("host.op", "x", i, 1, "cpu") for i in range(60)]), path)
    left = set(parse(path.read_text("utf-8"))["id"].tolist())
    assert needed <= left
    assert instrument.written is not None
    assert instrument.written[1] == len(left) <= 2 * len(needed)


class TestCulprit:
    """`Culprit`."""

    @pytest.mark.parametrize("told", [True, False])
    def test_the_event_is_shown_among_its_neighbours(self, told: bool) -> None:
        """Its launch and the kernels before and after; the event is marked."""
        out = io.StringIO()
        with pytest.raises(PassError):
            PassManager([Unlucky(told=told)], instruments=[Culprit(stream=out)]).run(host(9))
        assert out.getvalue().splitlines() == [
            "what unlucky was given around %16:",
            "    %15 = dev.kernel('k6') @gpu0.s7 [130 +6]",
            "    %7 = rt.launch('cudaLaunchKernel') @cpu [140 +5]",
            "  > %16 = dev.kernel('k7') @gpu0.s7 [150 +7]",
            "    %17 = dev.kernel('k8') @gpu0.s7 [170 +8]",
        ]

    def test_an_event_that_is_not_there_is_not_shown(self) -> None:
        """Nor is anything if the error names none."""

        @attrs.frozen
        class Odd(tir.Pass):
            """Fail."""

            def run(self, module: tir.Module, context: PassContext) -> tir.Module:
                raise ValueError("at %4711, or 50 % of it")

        out = io.StringIO()
        with pytest.raises(PassError):
            PassManager([Odd()], instruments=[Culprit(stream=out)]).run(host(3))
        assert out.getvalue() == ""
