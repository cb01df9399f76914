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
    instrument, said = failing(Unlucky(), host(30), tmp_path / "r.tir", budget_s=0.0)
    assert instrument.written == (str(tmp_path / "r.tir"), 60)
    assert said == (
        f"traceir: What unlucky was given, 60 events, is in {tmp_path / 'r.tir'}; whether it fails again from there "
        "was not tried, since budget_s leaves no time for it.\n"
    )


def test_what_is_too_large_is_not_written(tmp_path: Path) -> None:
    """A text that nobody can read or send does not fill the disk."""
    path = tmp_path / "r.tir"
    instrument, said = failing(Unlucky(told=False, apart=2), host(200), path, most_events=5)
    assert instrument.written is None
    assert not path.exists()
    assert said == (
        "traceir: No text that fails the same way was written: the smallest part found has 6 events, and most_events "
        "of reproducer is 5; raise it, or budget_s.\n"
    )


@attrs.frozen
class Moody(tir.Pass):
    """Fail the first time only."""

    calls: list[int] = attrs.field(factory=list, metadata={"option": False})

    def run(self, module: tir.Module, context: tir.PassContext) -> tir.Module:
        print("NOISE")
        self.calls.append(len(module))
        if len(self.calls) == 1:
            raise PassError("The pass moody is not in the mood.")
        return module


def test_a_failure_that_does_not_come_again_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One try of the whole is enough to know that no part is worth one; the text is tried once."""
    item = Moody()
    _, said = failing(item, host(30), tmp_path / "r.tir")
    assert item.calls == [60, 60, 60]
    assert said == (
        f"traceir: What moody was given, 60 events, is in {tmp_path / 'r.tir'}. It does not fail again from this "
        "text: the passes run through.\n"
    )
    assert capsys.readouterr().out == "NOISE\n"  # once, from the run itself


def test_a_text_that_cannot_be_read_is_not_said_to_fail_the_same_way(tmp_path: Path) -> None:
    """What the pass was given breaks a rule of the IR, which no text may."""

    @attrs.frozen
    class Flip(tir.Pass):
        """Reverse the times."""

        annotates = False

        def run(self, module: tir.Module, context: PassContext) -> tir.Module:
            return module.with_columns({"ts": module["ts"][::-1]})

    @attrs.frozen
    class Picky(tir.Pass):
        """Fail where times go back."""

        def run(self, module: tir.Module, context: PassContext) -> tir.Module:
            if (np.diff(module["ts"]) < 0).any():
                raise PassError("The pass picky met a time that goes back.")
            return module

    path, out = tmp_path / "r.tir", io.StringIO()
    with pytest.raises(PassError, match="goes back"):
        PassManager([Flip(), Picky()], instruments=[Reproducer(path=str(path), stream=out)]).run(host(9))
    said = out.getvalue()
    assert said.startswith(f"traceir: What picky was given, 2 events, is in {path}. It does not fail again from this ")
    assert "breaks a rule of the IR, V03" in said
    with pytest.raises(tir.InputError, match="breaks a rule of the IR, V03"):
        parse(path.read_text("utf-8"))


class Clock:
    """A clock that stands still unless it is moved."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_try_that_would_take_too_long_is_not_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pass's own run says what a try costs; one whose cost was not to be foreseen is the last."""
    clock = Clock()
    monkeypatch.setattr("time.monotonic", clock)

    @attrs.frozen
    class Slow(tir.Pass):
        """Take some time for each event, and some for nothing."""

        each: float = tir.option(0.0, help="Seconds for each event.")
        fixed: float = tir.option(0.0, help="Seconds at least.")
        calls: list[int] = attrs.field(factory=list, metadata={"option": False})

        def run(self, module: tir.Module, context: PassContext) -> tir.Module:
            clock.now += self.each * len(module) + self.fixed
            self.calls.append(len(module))
            raise PassError("The pass slow fails.")

    linear = Slow(each=1.0)
    instrument, _ = failing(linear, host(50), tmp_path / "r.tir", budget_s=30.0)
    # A quarter fits, and an eighth into what is then left; the last is the text that was written.
    assert linear.calls[0] == 100
    assert sum(linear.calls[1:-1]) <= 30
    assert instrument.written is not None
    assert instrument.written[1] == linear.calls[-1] < 50
    constant = Slow(fixed=20.0)
    failing(constant, host(50), tmp_path / "r.tir", budget_s=30.0)
    assert len(constant.calls) - 1 <= 3


def test_an_interrupt_ends_the_search_and_hides_nothing(tmp_path: Path) -> None:
    """What was found by then is written, and the pass's own error is raised."""

    @attrs.frozen
    class Interrupted(tir.Pass):
        """Fail; be interrupted at the fourth run."""

        calls: list[int] = attrs.field(factory=list, metadata={"option": False})

        def run(self, module: tir.Module, context: PassContext) -> tir.Module:
            self.calls.append(len(module))
            if len(self.calls) == 4:
                raise KeyboardInterrupt
            raise PassError("The pass interrupted fails.")

    item = Interrupted()
    instrument, said = failing(item, host(50), tmp_path / "r.tir")
    assert instrument.written is not None
    assert instrument.written[1] == item.calls[2] < 100
    assert "fails the same way" in said


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
    instrument, verifier = Reproducer(path=str(path)), Verify(rules=("V11",), most_events=100)
    instrument.joined([verifier, instrument], None)
    with pytest.raises(PassError, match="breaks the rule V11"):
        PassManager([Shrink()], instruments=[verifier, instrument]).run(host(40))
    assert instrument.written is not None
    assert instrument.written[1] <= 2
    found = recorded(parse(path.read_text("utf-8")))
    assert found is not None
    assert found["verify"] == "verify{rules=V11}"


def test_the_name_of_the_first_event_is_not_what_two_failures_share(tmp_path: Path) -> None:
    """Each kernel has a name of its own, and the verifier names the first of those that break a rule."""

    @attrs.frozen
    class Halve(tir.Pass):
        """Make durations negative where there are several kernels."""

        annotates = False

        def run(self, module: tir.Module, context: PassContext) -> tir.Module:
            late = module["ts"] > np.median(module["ts"])
            return module.with_columns({"dur": np.where(late, -1, module["dur"])})

    instrument, verifier = Reproducer(path=str(tmp_path / "r.tir")), Verify()
    instrument.joined([verifier], None)
    kernels = module([Ev("dev.kernel", f"{name}{name}", 20 * i, 5) for i, name in enumerate("abcdefgh")])
    with pytest.raises(PassError, match="The first is "):
        PassManager([Halve()], instruments=[verifier, instrument]).run(kernels)
    assert instrument.written is not None
    assert instrument.written[1] == 2


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
