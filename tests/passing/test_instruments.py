"""The instruments: the verifier names the pass, timing and remarks are written to their stream."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any, Literal

import attrs
import numpy as np
import pytest

import traceir as tir
from tests.build import Ev, module
from tests.passing.toys import ALL, Alpha, Beta, column, doing
from traceir.cli.main import main
from traceir.errors import PassError, UsageError
from traceir.ir.verify import RULES
from traceir.passing import Fact, PassContext, PassManager
from traceir.passing.instruments import Print, Remarks, Statistics, TimingTree, Verify
from traceir.text import parse


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

    def test_warnings_of_the_input_are_kept_and_do_not_fail(self) -> None:
        """A child that sticks out by a few ns in the trace is measured, and the run goes on."""
        instrument, item = Verify(), small().with_columns({"dur": np.array([9, 6])})
        PassManager((Alpha(),), ALL, instruments=[instrument]).run(item)
        assert [(found.rule, found.excess_ns) for found in instrument.violations] == [("V07", 2)]

    @pytest.mark.parametrize("when", ["each", "end"])
    def test_a_pass_that_breaks_a_rule_in_more_places_fails(self, when: Literal["each", "end"]) -> None:
        """Though it is one that real traces break; within the slack nothing is broken."""
        longer = doing(lambda m: m.with_columns({"dur": np.array([9, 6])}), annotates=False)
        who = "The pass broken" if when == "each" else "The pipeline"
        with pytest.raises(
            PassError, match=f"{who} breaks the rule in one more place: V07 nest-contains: .* by up to 2"
        ):
            PassManager((longer,), ALL, instruments=[Verify(when)]).run(small())
        slack = Verify(when, slack_ns=2)
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


class TestPrint:
    """`Print`."""

    def printed(self, **options: object) -> str:
        out = io.StringIO()
        instrument = Print(stream=out, **options)  # type: ignore[arg-type]
        PassManager.parse("alpha,beta", registry=ALL, instruments=[instrument]).run(small())
        return out.getvalue()

    def test_the_module_is_printed_after_the_passes_named(self) -> None:
        """As text that can be read back, with a comment that says where in the run it is."""
        text = self.printed(passes=("beta",))
        assert text.startswith('// after beta\n#[traceir "1"]\nmodule @test ')
        assert text.count("module @") == 1
        assert parse(text, registry=ALL).annotations.keys() == {"alpha.a", "beta.b"}

    @pytest.mark.parametrize(
        ("when", "heads"),
        [
            ("after", ["// after alpha", "// after beta"]),
            ("before", ["// before alpha", "// before beta"]),
            ("both", ["// before alpha", "// after alpha", "// before beta", "// after beta"]),
            ("changed", ["// after alpha", "// after beta"]),
            ("failure", []),
        ],
    )
    def test_when_it_is_printed(self, when: str, heads: list[str]) -> None:
        """All passes, if none is named."""
        assert [line for line in self.printed(when=when).splitlines() if line.startswith("//")] == heads

    def test_only_what_changed_and_what_failed(self) -> None:
        """A pass that gives back what it got is passed over; one that fails shows what it was given."""
        out = io.StringIO()
        passes = (doing(lambda m: m), Alpha(), doing(negative))
        instruments = [Print(when="changed", stream=out), Print(when="failure", stream=out)]
        with pytest.raises(PassError):
            PassManager(passes, ALL, instruments=instruments).run(small())
        heads = [line for line in out.getvalue().splitlines() if line.startswith("//")]
        assert heads == ["// after alpha", "// before the failing broken"]

    def test_a_window_and_a_limit(self) -> None:
        """What is left out is said; so is a window that is not there yet."""
        text = self.printed(passes=("alpha",), limit=1)
        assert text.startswith("// after alpha: Only the first 1 of 2 events")
        assert len(parse(text, registry=ALL)) == 1
        assert len(parse(self.printed(passes=("alpha",), window="%1"), registry=ALL)) == 1
        missing = self.printed(passes=("alpha",), window="layer.3")
        assert missing.startswith("// after alpha: There is no region or lane layer.3")
        assert len(parse(missing, registry=ALL)) == 0

    def test_a_folder_gets_a_file_for_each(self, tmp_path: Path) -> None:
        """Numbered in the order of the run, so that two can be compared by any tool."""
        assert self.printed(folder=str(tmp_path / "ir"), when="both") == ""
        names = sorted(path.name for path in (tmp_path / "ir").iterdir())
        assert names == ["001_alpha.tir", "001_alpha_before.tir", "002_beta.tir", "002_beta_before.tir"]
        text = (tmp_path / "ir" / "002_beta.tir").read_text("utf-8")
        assert "beta.b" in text
        (tmp_path / "a").write_text("")
        with pytest.raises(UsageError, match=r"^The folder .*a cannot be made: File exists\.$"):
            self.printed(folder=str(tmp_path / "a"))


class TestStatistics:
    """`Statistics`."""

    def test_each_instance_has_its_figures(self) -> None:
        """The headline of its report, and what it counted in its own name and in others'."""

        @attrs.frozen
        class Found(tir.Report):
            total: int

            def headline(self) -> list[Fact]:
                share = Fact("hidden", 0.631, "share", of="communication")
                return [Fact("sum", self.total, "ns"), share, Fact("steps", None, note="no marks")]

        @attrs.frozen
        class Own(Alpha):
            """Report and count."""

            def run(self, module: tir.Module, context: PassContext) -> tir.Module:
                context.count("own", "events seen", len(module) * self.scale)
                context.count("b", "c")
                return super().run(module, context)

            def report(self, module: tir.Module) -> tir.Report:
                return Found(int(module["alpha.a"].sum()))

        out = io.StringIO()
        instrument = Statistics(stream=out)
        PassManager((Own(), Own(3), Beta()), ALL, instruments=[instrument]).run(small())
        assert out.getvalue().splitlines() == [
            "own: sum 5 ns, hidden 63.1 % of communication, steps unknown (no marks), events seen 2, b: c 1",
            "own{scale=3}: sum 15 ns, hidden 63.1 % of communication, steps unknown (no marks), events seen 6, b: c 1",
            "beta: no figures",
        ]
        first = instrument.figures()[0]
        assert first["counts"] == {"events seen": 2, "b: c": 1}
        assert first["statistics"][0] | {"label": "sum", "value": 5} == first["statistics"][0]


class TestLog:
    """`--log`: what the instruments noted, as one JSON file."""

    EXAMPLE = str(Path(__file__).parents[2] / "examples" / "decoder_tp8_graph.json.gz")

    def log(self, tmp_path: Path, *more: str, code: int = 0) -> dict[str, Any]:
        path = tmp_path / "log.json"
        assert main(["run", "-q", "--log", str(path), "-o", str(tmp_path / "out"), *more, self.EXAMPLE]) == code
        found: dict[str, Any] = json.loads(path.read_text("utf-8"))
        return found

    def test_each_pass_has_what_was_asked_for(self, tmp_path: Path) -> None:
        """Inserted ones too, with all options."""
        plain = self.log(tmp_path)
        assert plain["schema"] == "traceir.log/1"
        assert [row["pass"] for row in plain["passes"]] == ["infer", "group", "collectives", "overlap", "gaps"]
        assert plain["passes"][3].keys() == {"pass", "text", "failed"}
        whole = self.log(tmp_path, "--timing", "--diff", "--statistics", "--remarks", "--disable", "gaps")
        row = whole["passes"][3]
        assert row["text"] == 'overlap{versus=compute,fused=third,unknown_warn=0.05,compat=""}'
        assert row["events"] == 6578
        assert row["events_per_s"] > 0
        assert row["new_bytes"] > 0
        assert [change["name"] for change in row["diff"]["columns"]][:2] == ["overlap.exposed", "overlap.hidden_by"]
        assert {fact["label"] for fact in row["statistics"]} >= {"span", "exposed"}
        assert row["remarks"] == []
        assert whole["skipped"] == [{"pass": "gaps", "reason": "disabled"}]

    def test_a_failure_is_in_it(self, tmp_path: Path) -> None:
        """With the error; what ran before has its figures."""
        (tmp_path / "bad.py").write_text(
            "import attrs\nimport traceir as tir\n\n@attrs.frozen\nclass Bad(tir.Pass):\n    'Fail.'\n"
            "    reads = ('infer.role',)\n    def run(self, m, c):\n        return 1 // 0\n"
        )
        asked = ["--timing", "--plugin", str(tmp_path / "bad.py"), "--passes", "bad"]
        found = self.log(tmp_path, *asked, "--instrument", f"reproducer{{path={tmp_path / 'r.tir'}}}", code=4)
        first, second = found["passes"]
        assert first["wall_s"] > 0
        assert (second["failed"], second["wall_s"]) == (True, None)
        assert second["error"].startswith("The pass bad failed: ZeroDivisionError")
