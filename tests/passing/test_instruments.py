"""The instruments: the verifier names the pass, timing and remarks are written to their stream."""

from __future__ import annotations

import io
import re

import numpy as np
import pytest

import traceir as tir
from tests.build import Ev, module
from tests.passing.toys import ALL, Alpha, column, doing
from traceir.errors import PassError
from traceir.ir.verify import RULES
from traceir.passing import PassContext, PassManager
from traceir.passing.instruments import Remarks, TimingTree, Verify


def small() -> tir.Module:
    return module([Ev("host.op", "outer", 0, 9, "cpu"), Ev("host.op", "inner", 5, 3, "cpu")])


def negative(item: tir.Module) -> tir.Module:
    return item.with_columns({"dur": np.array([9, -1])})


class TestVerify:
    """`Verify`."""

    def test_the_pass_that_broke_a_rule_is_named(self) -> None:
        """With the rule, the sentence and the first event; passes before it are not blamed."""
        manager = PassManager((Alpha(), doing(negative, annotates=False)), ALL, instruments=[Verify()])
        with pytest.raises(PassError) as error:
            manager.run(small())
        assert str(error.value) == (
            "The pass broken breaks the rule V11 dur-negative: 1 events end before they start, by up to 1 ns. "
            "The first is %1 = host.op('inner') @cpu [5 +-1]."
        )

    def test_a_broken_input_is_no_pass_s_fault(self) -> None:
        """It is refused before any pass runs."""
        calls: list[str] = []
        spy = doing(lambda m: calls.append("ran") or m)  # type: ignore[func-returns-value]
        with pytest.raises(PassError, match=r"^The input breaks the rule V11 dur-negative"):
            PassManager((spy,), ALL, instruments=[Verify()]).run(negative(small()))
        assert calls == []

    def test_at_the_end_only(self) -> None:
        """Without `each`, the final module is judged, and the pipeline is named."""
        manager = PassManager((doing(negative, annotates=False), Alpha()), ALL, instruments=[Verify("end")])
        with pytest.raises(PassError, match=r"^The pipeline breaks the rule V11"):
            manager.run(small())

    def test_warnings_are_kept_and_do_not_fail(self) -> None:
        """A child that sticks out by a few ns is measured, and the run goes on."""
        longer = doing(lambda m: m.with_columns({"dur": np.array([9, 6])}), annotates=False)
        instrument = Verify()
        PassManager((longer,), ALL, instruments=[instrument]).run(small())
        assert [(found.rule, found.excess_ns) for found in instrument.violations] == [("V07", 2)]
        slack = Verify(slack_ns=2)
        PassManager((longer,), ALL, instruments=[slack]).run(small())
        assert slack.violations == ()

    def test_what_a_pass_did_not_touch_is_not_checked_again(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Three annotating passes cost one check of the times, not four."""
        calls: list[str] = []
        rule = RULES["V07"]
        check = rule.check

        def counted(*given: object) -> object:
            calls.append("V07")
            return check(*given)  # type: ignore[arg-type]

        object.__setattr__(rule, "check", counted)
        try:
            PassManager.parse("gamma", registry=ALL, instruments=[Verify()]).run(small())
        finally:
            object.__setattr__(rule, "check", check)
        assert calls == ["V07"]


class TestTimingTree:
    """`TimingTree`."""

    def test_a_line_per_pass_and_a_total(self) -> None:
        """Every figure has its unit; inserted passes are there with their options."""
        out = io.StringIO()
        PassManager.parse("alpha{scale=2},beta", registry=ALL, instruments=[TimingTree(stream=out)]).run(small())
        lines = out.getvalue().splitlines()
        assert lines[0].split() == ["pass", "wall", "share", "CPU", "events/s", "new"]
        assert [line.split()[0] for line in lines[1:]] == ["alpha{scale=2}", "beta", "total"]
        for line in lines[1:]:
            assert re.search(r"\d ms +\d+\.\d % +\d+\.\d ms +[\d ]+ +\d+\.\d\d MB$", line)
        assert lines[-1].split()[3] == "100.0"

    def test_a_failure_shows_what_ran_before(self) -> None:
        """The table is written once, with the failing pass named below."""
        out = io.StringIO()
        with pytest.raises(PassError):
            PassManager((Alpha(), doing(negative)), ALL, instruments=[TimingTree(stream=out)]).run(small())
        lines = out.getvalue().splitlines()
        assert [line.split()[0] for line in lines] == ["pass", "alpha", "total", "broken"]
        assert lines[-1] == "broken failed"

    def test_an_empty_pipeline(self) -> None:
        """No pass is no division by zero."""
        out = io.StringIO()
        PassManager((), ALL, instruments=[TimingTree(stream=out)]).run(small())
        assert len(out.getvalue().splitlines()) == 2


class TestRemarks:
    """`Remarks`."""

    def run(self, **options: object) -> list[str]:
        out, context = io.StringIO(), PassContext()
        context.remark("group", "no launch edge", kind="missed", event=812)
        context.remark("group", "no launch edge", kind="missed", event=813)
        context.remark("infer", "three new names")
        PassManager((), ALL, instruments=[Remarks(stream=out, **options)]).run(small(), context)  # type: ignore[arg-type]
        return out.getvalue().splitlines()

    def test_the_same_sentence_is_written_once_with_its_count(self) -> None:
        """The first event concerned stands for all."""
        assert self.run() == ["group: missed: no launch edge (%812) ×2", "infer: note: three new names"]

    def test_kinds_and_limits(self) -> None:
        """Only the kind asked for; what is left out is counted."""
        assert self.run(kind="missed") == ["group: missed: no launch edge (%812) ×2"]
        assert self.run(most=1)[-1] == "… and 1 further remarks"

    def test_remarks_survive_a_failure(self) -> None:
        """What a pass said before it failed is written."""
        out, context = io.StringIO(), PassContext()
        context.remark("x", "before")
        with pytest.raises(PassError):
            PassManager((doing(negative),), ALL, instruments=[Remarks(stream=out)]).run(small(), context)
        assert out.getvalue() == "x: note: before\n"


def test_instruments_compose() -> None:
    """Several at once do what each does alone."""
    out, checked = io.StringIO(), Verify()
    writes = doing(lambda m: m.with_columns({"x.y": m["ts"].copy()}), writes=(column("x.y"),))
    PassManager((writes,), ALL, instruments=[checked, TimingTree(stream=out), Remarks(stream=out)]).run(small())
    assert checked.violations == ()
    assert "broken" in out.getvalue()
