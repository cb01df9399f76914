"""What runs of a pipeline: disabled passes, the first few, the plan as text."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import ClassVar

import attrs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import traceir as tir
from tests.build import Ev, module
from tests.passing.toys import ALL, Toy, column, registry
from traceir.cli.main import main
from traceir.errors import UsageError
from traceir.passing import Analysis, Instrument, PassContext, PassManager, Timing, option, pipeline
from traceir.passing.instruments import TimingTree
from traceir.registry import Registry

EXAMPLE = str(Path(__file__).parents[2] / "examples" / "decoder_tp8_graph.json.gz")


def small() -> tir.Module:
    return module([Ev("host.op", "outer", 0, 9, "cpu"), Ev("host.op", "inner", 5, 3, "cpu")])


def ran(item: tir.Module) -> str:
    return ",".join(record.text for record in item.passes)


class TestDisabled:
    """`disabled`."""

    def test_a_disabled_pass_does_not_run(self) -> None:
        """Nor do others notice that need nothing of it."""
        manager = PassManager.parse("alpha,beta,delta", registry=ALL, disabled=["delta"])
        assert ran(manager.run(small())) == "alpha,beta"

    def test_what_another_reads_cannot_be_disabled(self) -> None:
        """Both are named, whether the disabled pass was written or would be inserted; nothing has run."""
        for text in ("alpha,beta", "beta"):
            with pytest.raises(UsageError) as error:
                PassManager.parse(text, registry=ALL, disabled=["alpha"]).run(small())
            assert str(error.value) == (
                "The pass beta reads alpha.a, which alpha writes, and alpha is disabled; disable beta too, or neither."
            )

    def test_what_the_module_has_already_may_be_disabled(self) -> None:
        """The column is there, so nobody has to write it."""
        given = PassManager.parse("alpha", registry=ALL).run(small())
        assert ran(PassManager.parse("beta", registry=ALL, disabled=["alpha"]).run(given)) == "alpha,beta"

    def test_an_unknown_name_is_refused_with_the_nearest(self) -> None:
        """Before anything runs."""
        with pytest.raises(UsageError) as error:
            PassManager.parse("alpha", registry=ALL, disabled=["alfa"])
        assert str(error.value) == "There is no pass 'alfa' to disable; did you mean alpha."

    def test_instruments_hear_of_it(self) -> None:
        """With the reason, after the plan."""
        calls: list[str] = []

        class Log(Instrument):
            def planned(self, plan: object) -> None:
                calls.append("planned")

            def skipped(self, item: tir.Pass, reason: str) -> None:
                calls.append(f"{item.name()} {reason}")

        asked = {"registry": ALL, "instruments": [Log()]}
        PassManager.parse("alpha,delta", disabled=["delta"], **asked).run(small())  # type: ignore[arg-type]
        PassManager.parse("gamma", stop_after=1, **asked).run(small())  # type: ignore[arg-type]
        assert calls == ["planned", "delta disabled", "planned", "beta stopped after 1", "gamma stopped after 1"]


@given(st.integers(0, 4))
def test_only_the_first_passes_run(most: int) -> None:
    """Inserted ones counted."""
    whole = ["alpha", "beta", "gamma"]
    assert ran(PassManager.parse("gamma", registry=ALL, stop_after=most).run(small())) == ",".join(whole[:most])


def test_a_negative_number_of_passes_is_refused() -> None:
    with pytest.raises(UsageError, match=r"^The number of passes to run is -1, and it has to be 0 or more\.$"):
        PassManager.parse("alpha", registry=ALL, stop_after=-1)


@pytest.mark.parametrize("name", ["default", "inference", "training", "comm", "gaps", "overlap{versus=any},fold"])
def test_the_plan_as_text_runs_to_the_same_bytes(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every option is spelled out, and inserted passes are there."""
    assert main(["run", "-q", "--passes", name, "--dump-pipeline", EXAMPLE]) == 0
    text = capsys.readouterr().out.strip()
    known = Registry.installed()
    for item in pipeline.parse(text, known):
        assert item.text(every=True) in text
    written = []
    for number, passes in enumerate((name, text)):
        out = tmp_path / f"{number}.json"
        assert main(["run", "-q", "--passes", passes, "--emit", "json", "-o", str(out), EXAMPLE]) == 0
        written.append(out.read_bytes())
    assert written[0] == written[1]


def test_the_command_line_disables_and_stops(capsys: pytest.CaptureFixture[str]) -> None:
    """As the manager does."""
    assert main(["run", "-q", "--disable", "gaps", "--dump-pipeline", EXAMPLE]) == 0
    assert "gaps{" not in capsys.readouterr().out
    assert main(["run", "-q", "--disable", "infer", EXAMPLE]) == 2
    assert capsys.readouterr().err == (
        "traceir: The pass group reads infer.role, which infer writes, and infer is disabled; "
        "disable group too, or neither.\n"
    )
    assert main(["run", "-q", "--stop-after", "1", "--emit", "tir", "--limit", "1", EXAMPLE]) == 0
    assert "pass p1 = infer;\n" in (out := capsys.readouterr().out)
    assert "pass p2" not in out


# --- analyses ------------------------------------------------------------------------------------------------


@attrs.frozen
class Order(Analysis[list[int]]):
    """Rows by duration."""

    scale: int = 1
    reads = ("dur",)
    computed: ClassVar[list[int]] = []

    def compute(self, module: tir.Module) -> list[int]:
        self.computed.append(self.scale)
        return [int(row) * self.scale for row in np.argsort(module["dur"])]


def asking(word: str, **more: object) -> type[tir.Pass]:
    """A pass that asks for the order, and writes a column of its own."""

    def run(self: tir.Pass, module: tir.Module, context: PassContext) -> tir.Module:
        context.analysis(Order(), module)
        made = {f"{word}.x": module["ts"].copy()}
        if "moves" in more:
            made = {more["moves"]: module[str(more["moves"])] + 1}  # type: ignore[dict-item]
        return module.with_columns(made)

    body = {
        "__doc__": "Ask.", "run": run, "reads": ("ts",), "annotates": "moves" not in more,
        "writes": () if "moves" in more else (column(f"{word}.x"),),
    }  # fmt: skip
    return attrs.frozen(type(word.capitalize(), (Toy,), body))


def test_an_analysis_is_computed_again_exactly_when_its_columns_change() -> None:
    """Passes that annotate share one, and one that moves starts; after one that changes durations it is another."""
    Order.computed.clear()
    one, two, start, length, last = (
        asking("one"), asking("two"), asking("start", moves="ts"), asking("length", moves="dur"), asking("last"),
    )  # fmt: skip
    context = PassContext()
    passes = [cls() for cls in (one, two, start, length, last)]
    out = PassManager(passes, registry(one, two, last)).run(small(), context)
    assert len(Order.computed) == context.computed == 2
    assert len(out) == 2


def test_the_timing_tree_shows_analyses() -> None:
    """Marked `(A)` below the pass that got them, with their cost or as kept."""
    import io

    Order.computed.clear()
    out = io.StringIO()
    one, two = asking("one"), asking("two")
    tree = TimingTree(stream=out)
    PassManager([one(), two()], registry(one, two), instruments=[tree]).run(small())
    lines = out.getvalue().splitlines()
    assert [line.split()[:2] for line in lines[1:]][1] == ["(A)", "order"]
    assert lines[4].split() == ["(A)", "order", "kept"]
    first, second = tree.figures()
    assert first["analyses"][0]["analysis"] == "order"
    assert first["analyses"][0]["wall_s"] <= first["wall_s"]
    assert second["analyses"][0]["wall_s"] is None


def test_threads_that_share_a_context_compute_an_analysis_once() -> None:
    """And two contexts know nothing of each other."""
    Order.computed.clear()
    item, context = small(), PassContext()
    barrier = threading.Barrier(8)

    def work() -> None:
        barrier.wait()
        for scale in range(20):
            assert context.analysis(Order(scale), item) == [scale * row for row in (1, 0)]

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(Order.computed) == list(range(20))
    PassContext().analysis(Order(3), item)
    assert sorted(Order.computed) == sorted([*range(20), 3])


# --- instruments of others -------------------------------------------------------------------------------------


def test_a_plug_in_may_bring_an_instrument(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With options, on the command line; what it prints goes to standard error."""
    (tmp_path / "mine.py").write_text(
        "import attrs\nimport traceir as tir\nfrom traceir.passing import Instrument, option\n\n"
        "@attrs.define(eq=False)\nclass Counting(Instrument):\n    'Count passes.'\n"
        "    prefix: str = option('ran', help='What to say.')\n    seen: int = attrs.field(default=0, init=False)\n"
        "    def after(self, item, before, after, timing):\n        self.seen += 1\n"
        "    def end(self, module):\n        print(f'{self.prefix} {self.seen}', file=self.out)\n"
    )
    asked = ["run", "-q", "--plugin", str(tmp_path / "mine.py"), "--instrument", "counting{prefix=passes}"]
    assert main([*asked, "-o", str(tmp_path / "out"), EXAMPLE]) == 0
    assert capsys.readouterr().err == "passes 5\n"
    assert main([*asked[:-1], "counting{prefx=x}", EXAMPLE]) == 2
    assert capsys.readouterr().err == "traceir: The instrument counting has no option 'prefx'; did you mean prefix.\n"
    assert main(["run", "-q", "--instrument", "dif", EXAMPLE]) == 2
    assert capsys.readouterr().err == "traceir: There is no instrument 'dif'; did you mean diff.\n"


def test_the_fields_of_an_instrument_that_are_no_options_stay_so() -> None:
    """The stream and the state of a run are not shown."""

    @attrs.define(eq=False)
    class Own(Instrument):
        """Own."""

        most: int = option(3, help="Most.")
        seen: list[Timing] = attrs.field(factory=list, init=False)

    assert Own().text(every=True) == "own{most=3}"
