"""The pass manager: what runs, in which order, and what a pass may do."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import attrs
import numpy as np
import pytest

import traceir as tir
from tests.build import Ev, module
from tests.passing.toys import ALL, Alpha, Beta, Delta, Gamma, Shift, Toy, column, doing, registry, zeros
from traceir.errors import PassError, SchemaError, UsageError
from traceir.ir import PassRecord
from traceir.passing import Instrument, PassContext, PassManager
from traceir.passing.instrument import Timing
from traceir.registry import Entry


def small() -> tir.Module:
    return module([Ev("host.op", "a", 0, 9, "cpu"), Ev("dev.kernel", "k", 5, 3)])


def ran(item: tir.Module) -> str:
    return ",".join(record.text for record in item.passes)


def planned(text: str, item: tir.Module | None = None, **more: Any) -> str:
    manager = PassManager.parse(text, registry=ALL, **more)
    return ",".join(one.text() for one in manager.resolve(item or small()))


class TestOrder:
    """Insertion and order."""

    @pytest.mark.parametrize(
        ("written", "runs"),
        [
            ("alpha", "alpha"),
            ("beta", "alpha,beta"),
            ("gamma", "alpha,beta,gamma"),
            ("alpha{scale=3},gamma", "alpha{scale=3},beta,gamma"),
            ("delta,beta", "delta,alpha,beta"),
            ("beta,beta", "alpha,beta,beta"),
        ],
    )
    def test_what_is_missing_is_inserted_once_before_its_first_reader(self, written: str, runs: str) -> None:
        """The user's order is kept; what a pass merely uses is not inserted."""
        assert planned(written) == runs

    def test_what_the_module_has_is_not_made_again(self) -> None:
        """Columns that an earlier run wrote are taken as they are."""
        item = PassManager.parse("alpha{scale=2}", registry=ALL).run(small())
        assert planned("beta", item) == "beta"

    @pytest.mark.parametrize(
        ("written", "message"),
        [
            (
                "beta,alpha",
                "The pass beta reads alpha.a, which alpha writes, but alpha stands after it; write alpha,beta.",
            ),
            (
                "gamma,beta,alpha{scale=2}",
                "The pass gamma reads alpha.a, which alpha writes, but alpha stands after it; "
                "write alpha{scale=2},beta,gamma.",
            ),
            (
                "delta,gamma,alpha",
                "The pass gamma reads alpha.a, which alpha writes, but alpha stands after it; write delta,alpha,gamma.",
            ),
        ],
    )
    def test_a_contradictory_order_proposes_the_right_one(self, written: str, message: str) -> None:
        """The proposal is a pipeline that is accepted, with the user's options."""
        with pytest.raises(UsageError) as error:
            planned(written)
        assert str(error.value) == message
        planned(str(error.value).rpartition("write ")[2][:-1])

    def test_an_inserted_pass_can_contradict_too(self) -> None:
        """That the reader was inserted does not hide that its writer stands too late."""

        @attrs.frozen
        class Omega(Toy):
            """Read c."""

            reads = ("gamma.c",)
            writes = (column("omega.o"),)

        known = registry(Alpha, Beta, Gamma, Omega)
        with pytest.raises(UsageError, match=r"write alpha,omega\.$"):
            PassManager.parse("omega,alpha", registry=known).resolve(small())

    def test_without_insertion_the_writer_is_named(self) -> None:
        """`insert=False` makes a missing producer an error."""
        with pytest.raises(UsageError) as error:
            planned("delta,beta", insert=False)
        assert str(error.value) == "The pass beta reads alpha.a, which nothing before it writes; the pass alpha would."

    def test_a_column_that_nobody_writes_fails_before_anything_runs(self) -> None:
        """No pass has run when the missing writer is found, though it is the last that needs it."""
        calls: list[str] = []

        class Spy(Instrument):
            def before(self, item: tir.Pass, module: tir.Module) -> None:
                calls.append(item.name())

        manager = PassManager((Alpha(), Beta()), registry(Alpha, Beta), instruments=[Spy()])
        manager.run(small())
        assert calls == ["alpha", "beta"]
        calls.clear()
        lone = PassManager((Delta(), Gamma()), registry(Beta, Gamma, Delta), instruments=[Spy()])
        with pytest.raises(
            UsageError, match=r"The pass gamma reads alpha\.a, and no pass that is installed writes it\."
        ):
            lone.run(small())
        assert calls == []

    def test_passes_that_need_each_other(self) -> None:
        """A circle is reported as its path, whether inserted or written out."""

        @attrs.frozen
        class One(Alpha):
            """Need two."""

            reads = ("two.x",)
            writes = (column("one.x"),)

        @attrs.frozen
        class Two(Alpha):
            """Need one."""

            reads = ("one.x",)
            writes = (column("two.x"),)

        known = registry(One, Two)
        with pytest.raises(UsageError, match=r"The passes one -> two -> one need each other's columns, so"):
            PassManager.parse("one", registry=known).resolve(small())
        with pytest.raises(
            UsageError, match=r"The passes (one -> two -> one|two -> one -> two) need each other's columns, so"
        ):
            PassManager.parse("one,two", registry=known).resolve(small())

    def test_a_broken_plug_in_hides_nobody_else(self) -> None:
        """An entry that cannot be loaded does not stop the search for a writer."""
        bad = Entry("aaa", "no.such.module:Thing", "A pass.", "somebody")
        manager = PassManager((Beta(),), registry(Alpha, Beta, aaa=bad))
        assert [item.name() for item in manager.resolve(small())] == ["alpha", "beta"]


class TestPromises:
    """A pass is held to what it declares."""

    @pytest.mark.parametrize(
        ("run", "message"),
        [
            (
                lambda m: m.with_columns({"broken.x": zeros(m), "other.y": zeros(m)}),
                "The pass broken wrote the column other.y, which it does not declare.",
            ),
            (
                lambda m: m.with_columns({"broken.x": zeros(m).astype(np.int32)}),
                "The pass broken wrote broken.x as int32, and i64 is int64.",
            ),
            (
                lambda m: m.with_columns({"broken.x": np.zeros(2, np.int64)}, "lane"),
                "The pass broken wrote broken.x on lane, and declares it on event.",
            ),
            (lambda m: m.with_columns({"ts": m["ts"] + 1}), "The pass broken changed ts, though it only annotates."),
            (lambda m: m.with_columns({"dur": m["dur"] + 1}), "The pass broken changed dur, though it only annotates."),
            (lambda m: m.with_columns({"live": ~m.live}), "The pass broken changed live, though it only annotates."),
            (
                lambda m: m.window(np.arange(1)),
                "The pass broken changed the number of rows; removal is done by the column live.",
            ),
            (
                lambda m: attrs.evolve(
                    m, tables={**m.tables, "event": m.tables["event"].with_columns({"name": m["name"][::-1]})}
                ),
                "The pass broken changed name, which is what the source recorded.",
            ),
            (
                lambda m: m.with_columns({"edge.x": np.zeros(0)}, "edge"),
                "The pass broken wrote the column edge.x, which it does not declare.",
            ),
            (lambda m: None, "The pass broken returned None, and it has to return a module."),
            (
                lambda m: m.with_columns({"broken.x": np.zeros(1)}),
                "The pass broken failed: The column broken.x has 1 values, and the table event has 2 rows.",
            ),
            (lambda m: dict[str, int]()["nothing"], "The pass broken failed: KeyError: 'nothing'."),
            (
                lambda m: m["ts"].__setitem__(0, 1),
                "The pass broken failed: ValueError: assignment destination is read-only.",
            ),
        ],
    )
    def test_a_broken_promise_names_the_pass(self, run: Callable[[tir.Module], Any], message: str) -> None:
        """Exactly this sentence, as a PassError (exit code 4)."""
        with pytest.raises(PassError) as error:
            PassManager((doing(run, writes=(column("broken.x"),)),), ALL).run(small())
        assert str(error.value) == message
        assert error.value.exit_code == 4

    def test_writing_equal_bytes_is_no_change(self) -> None:
        """A pass that only annotates may write the times back as they were."""
        item = PassManager((doing(lambda m: m.with_columns({"ts": m["ts"].copy()})),), ALL).run(small())
        assert item.token("ts") != 0

    def test_a_broken_law_names_the_pass(self) -> None:
        """Laws see the finished module, the pass's annotations and their declarations included."""
        writes = (column("broken.x", dtype="enum", values=("p", "q")),)

        def law(item: tir.Module) -> list[str]:
            return [f"All are {item.text('broken.x')[0]}."]

        broken = doing(lambda m: m.with_columns({"broken.x": zeros(m).astype(np.int16)}), writes=writes, check=law)
        with pytest.raises(PassError, match=r"The pass broken breaks its own law: All are p\."):
            PassManager((broken,), ALL).run(small())

    def test_an_annotation_that_was_not_written_is_missed_by_its_reader(self) -> None:
        """A pass may leave out what it declares; who reads it fails by name and not with a KeyError."""
        manager = PassManager((doing(lambda m: m, writes=(column("alpha.a"),)), Beta()), ALL)
        with pytest.raises(
            PassError, match=r"The pass beta reads alpha\.a, and the pass that declares it wrote none\."
        ):
            manager.run(small())

    def test_other_errors_keep_their_kind(self) -> None:
        """An unreadable input found by a pass stays an InputError, with a note that names the pass."""

        def unreadable(_: tir.Module) -> tir.Module:
            raise tir.InputError("The file has changed.")

        with pytest.raises(tir.InputError) as error:
            PassManager((doing(unreadable),), ALL).run(small())
        assert error.value.__notes__ == ["This happened in the pass broken."]
        assert issubclass(SchemaError, tir.TraceirError)

    def test_the_input_is_unchanged(self) -> None:
        """The module that went in has its columns, annotations and passes as before."""
        item = small()
        tokens = {name: item.token(name) for name in item.tables["event"]}
        PassManager.parse("shift,gamma", registry=ALL).run(item)
        assert {name: item.token(name) for name in item.tables["event"]} == tokens
        assert (item.passes, dict(item.annotations)) == ((), {})

    def test_what_ran_is_recorded(self) -> None:
        """Passes with their options, and each annotation with its writer."""
        item = PassManager.parse("alpha{scale=3},beta", registry=ALL).run(small())
        assert item.passes == (PassRecord("alpha", "alpha{scale=3}"), PassRecord("beta", "beta"))
        assert [item.annotations[name].by for name in ("alpha.a", "beta.b")] == [0, 1]


class TestStaleness:
    """After a change of what it rests on, an annotation is computed again before it is read."""

    def test_a_stale_producer_runs_again_with_its_recorded_options(self) -> None:
        """Once, immediately before its reader, with the options that it had, not the defaults."""
        item = PassManager.parse("alpha{scale=3},shift,beta", registry=ALL).run(small())
        assert ran(item) == "alpha{scale=3},shift,alpha{scale=3},beta"
        assert item["alpha.a"].tolist() == [30, 45]

    def test_a_later_run_finds_the_stale_column(self) -> None:
        """The plan over a module with a stale column contains its producer, options recorded."""
        item = PassManager.parse("alpha{scale=3},shift", registry=ALL).run(small(), fresh=False)
        assert item.stale("alpha.a")
        assert planned("beta,gamma", item) == "alpha{scale=3},beta,gamma"
        with pytest.raises(UsageError, match="the pass alpha would"):
            planned("beta", item, insert=False)

    def test_without_insertion_a_stale_column_is_refused(self) -> None:
        """The sentence names the column and the pass that would compute it again."""
        manager = PassManager.parse("alpha,shift,beta", registry=ALL, insert=False)
        with pytest.raises(
            UsageError, match=r"The column alpha\.a is stale, .* the pass alpha would compute it again\."
        ):
            manager.run(small())

    def test_what_rests_on_the_stale_is_computed_again_in_order(self) -> None:
        """A chain is renewed from its root; each pass of it runs once more."""
        item = PassManager.parse("alpha{scale=2},beta,shift,gamma", registry=ALL).run(small())
        assert ran(item) == "alpha{scale=2},beta,shift,alpha{scale=2},beta,gamma"
        direct = PassManager.parse("shift,alpha{scale=2},beta,gamma", registry=ALL).run(small())
        assert [item[name].tolist() for name in ("alpha.a", "beta.b", "gamma.c")] == [
            direct[name].tolist() for name in ("alpha.a", "beta.b", "gamma.c")
        ]

    def test_a_used_column_that_is_stale_is_renewed_too(self) -> None:
        """What a pass uses if present is read, so it must not be stale either."""
        item = PassManager.parse("beta,shift,delta", registry=ALL).run(small())
        assert ran(item) == "alpha,beta,shift,alpha,beta,delta"

    def test_a_consumer_asks_for_fresh_columns(self) -> None:
        """`fresh` renews what is stale at the end and leaves a module without stale annotations as it is."""
        manager = PassManager.parse("delta,beta", registry=ALL)
        item = manager.run(small(), fresh=False)
        assert item.stale("delta.d")  # beta came after it
        renewed = manager.fresh(item)
        assert not any(renewed.stale(name) for name in renewed.annotations)
        assert ran(renewed) == "delta,alpha,beta,delta"
        assert manager.fresh(renewed) is renewed
        assert manager.fresh(item, ["beta.b"]) is item
        assert manager.run(small()).equals(renewed)

    def test_history_is_never_stale(self) -> None:
        """What a pass noted of the times that it replaced cannot be computed again, and stays."""
        item = PassManager.parse("shift,shift{by=1us},alpha", registry=ALL).run(small())
        assert ran(item) == "shift,shift{by=1us},alpha"
        assert not item.stale("shift.ts")

    def test_equal_results_leave_what_rests_on_them_fresh(self) -> None:
        """If the renewed column has the bytes it had, nothing further is stale."""
        item = PassManager.parse("delta,beta", registry=ALL).run(small())
        token = item.token("alpha.a")
        again = PassManager.parse("alpha", registry=ALL).run(item)
        assert again.token("alpha.a") == token
        assert not again.stale("beta.b")


class TestRun:
    """Instruments, contexts and threads."""

    def test_instruments_are_called_around_each_pass(self) -> None:
        """Begin, before and after each pass, inserted ones too, and end; timing counts new bytes only."""
        calls: list[str] = []

        class Log(Instrument):
            def begin(self, module: tir.Module, context: PassContext) -> None:
                calls.append("begin")

            def before(self, item: tir.Pass, module: tir.Module) -> None:
                calls.append(f"before {item.name()}")

            def after(self, item: tir.Pass, before: tir.Module, after: tir.Module, timing: Timing) -> None:
                calls.append(f"after {item.name()} +{timing.new_bytes} of {timing.events}")

            def end(self, module: tir.Module) -> None:
                calls.append("end")

        PassManager.parse("beta", registry=ALL, instruments=[Log()]).run(small())
        assert calls == [
            "begin", "before alpha", "after alpha +16 of 2", "before beta", "after beta +16 of 2", "end",
        ]  # fmt: skip

    def test_a_failure_is_told_to_all_instruments(self) -> None:
        """Also when an instrument is what failed the pass."""
        calls: list[str] = []

        class Refuse(Instrument):
            def check(self, item: tir.Pass, before: tir.Module, after: tir.Module) -> None:
                raise PassError(f"The pass {item.name()} is refused.")

        class Log(Instrument):
            def failed(self, item: tir.Pass, module: tir.Module, error: Exception) -> None:
                calls.append(f"{item.name()}: {error}")

        with pytest.raises(PassError, match="alpha is refused"):
            PassManager.parse("alpha", registry=ALL, instruments=[Refuse(), Log()]).run(small())
        assert calls == ["alpha: The pass alpha is refused."]

    def test_reports_are_of_the_passes_that_ran(self) -> None:
        """Inserted ones included, one each, though a stale producer ran twice; also for classes nobody registered."""

        @attrs.frozen
        class Found(tir.Report):
            total: int

        @attrs.frozen
        class Own(Alpha):
            """Report a total."""

            def report(self, module: tir.Module) -> tir.Report:
                return Found(int(module["alpha.a"].sum()) * self.scale)

        known = registry(Beta, Shift)
        manager = PassManager((Own(2), Shift(), Beta()), known)
        item = manager.run(small())
        assert ran(item) == "own{scale=2},shift,own{scale=2},beta"
        assert manager.reports(item) == {"own": Found(100)}

    def test_two_managers_in_two_threads(self) -> None:
        """Runs over one module at the same time do not touch each other."""
        item = small()
        results: dict[int, list[int]] = {}
        barrier = threading.Barrier(2)

        def work(scale: int) -> None:
            barrier.wait()
            for _ in range(50):
                out = PassManager.parse(f"alpha{{scale={scale}}},shift,gamma", registry=ALL).run(item)
            results[scale] = out["gamma.c"].tolist()

        threads = [threading.Thread(target=work, args=(scale,)) for scale in (2, 3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for scale in (2, 3):
            alone = PassManager.parse(f"alpha{{scale={scale}}},shift,gamma", registry=ALL).run(item)
            assert results[scale] == alone["gamma.c"].tolist()
        assert results[2] != results[3]

    def test_the_library_gives_what_the_text_gives(self) -> None:
        """A manager made of passes and one made of their text do the same."""
        manager = PassManager((Alpha(4), Gamma()), ALL)
        assert manager.text == "alpha{scale=4},gamma"
        assert manager.run(small()).equals(PassManager.parse(manager.text, registry=ALL).run(small()))
