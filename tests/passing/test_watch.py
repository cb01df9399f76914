"""Instruments: whatever one of them does, the others are told, and the first error is the one that is raised."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

import traceir as tir
from tests.build import Ev, module
from tests.passing.toys import ALL, Alpha, doing
from traceir.errors import PassError
from traceir.passing import Instrument, PassManager

HOOKS = ("joined", "planned", "skipped", "begin", "before", "check", "after", "end", "closed")


@attrs.define(eq=False)
class Book(Instrument):
    """Write down what is called."""

    called: list[str] = attrs.field(factory=list, init=False)

    def __getattribute__(self, name: str) -> Any:
        if name in (*HOOKS, "failed", "analysis"):
            self.called.append(name)
        return super().__getattribute__(name)


def raising(hook: str, error: BaseException) -> Instrument:
    """An instrument that raises in a hook."""

    @attrs.define(eq=False)
    class Bad(Instrument):
        """Raise."""

    def raises(self: Instrument, *_: object) -> None:
        raise error

    setattr(Bad, hook, raises)
    return Bad()


def small() -> tir.Module:
    return module([Ev("dev.kernel", "k", 0, 9)])


def fails(item: tir.Module) -> tir.Module:
    raise ValueError("It broke.")


@pytest.mark.parametrize("hook", HOOKS)
@pytest.mark.parametrize("error", [ZeroDivisionError("too small"), SystemExit(0)])
def test_an_instrument_that_raises_is_named_and_the_others_are_told(hook: str, error: BaseException) -> None:
    """In every hook; and whatever is raised, `closed` is the last."""
    before, after = Book(), Book()
    manager = PassManager.parse(
        "alpha,beta,delta", registry=ALL, instruments=[before, raising(hook, error), after], disabled=["delta"]
    )
    with pytest.raises(PassError) as caught:
        manager.run(small())
    text = f"{type(error).__name__}: {error}"
    assert str(caught.value) == f"The instrument bad failed in {hook}: {text}."
    assert before.called == after.called
    assert after.called[-1] == "closed"
    assert hook in after.called


def test_the_order_of_calls() -> None:
    """What does not run is told before the first pass runs."""
    book = Book()
    PassManager.parse("alpha,delta", registry=ALL, instruments=[book], disabled=["delta"]).run(small())
    assert book.called == ["joined", "planned", "skipped", "begin", "before", "check", "after", "end", "closed"]


def test_an_error_in_failed_does_not_hide_the_passs() -> None:
    """It is a note of it, and the others are told of the failure too."""
    book = Book()
    instruments = [raising("failed", KeyError("x")), raising("closed", OSError("full")), book]
    with pytest.raises(PassError, match="The pass broken failed: ValueError: It broke") as caught:
        PassManager((Alpha(), doing(fails)), ALL, instruments=instruments).run(small())
    assert "The instrument bad failed in failed: KeyError: 'x'." in caught.value.__notes__
    assert "The instrument bad failed in closed: OSError: full." in caught.value.__notes__
    assert book.called[-3:] == ["before", "failed", "closed"]


def test_a_pass_that_a_check_refuses_has_failed_and_is_not_done() -> None:
    """No instrument is told that it ran."""
    book = Book()
    with pytest.raises(PassError, match="no good"):
        PassManager((Alpha(),), ALL, instruments=[book, raising("check", PassError("It is no good."))]).run(small())
    assert book.called == ["joined", "planned", "begin", "before", "check", "failed", "closed"]


def test_an_interrupted_run_is_closed() -> None:
    """As by ^C."""

    def interrupted(item: tir.Module) -> tir.Module:
        raise KeyboardInterrupt

    book = Book()
    with pytest.raises(KeyboardInterrupt):
        PassManager((doing(interrupted),), ALL, instruments=[book]).run(small())
    assert book.called[-1] == "closed"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("group", r"takes passes, and 'group' is none; write PassManager\.parse\('group'\)\."),
        (["group"], r"takes passes, and 'group' is none; write PassManager\.parse\('group'\)\."),
        ([Alpha], r"takes passes, and <class .*> is none; write PassManager\(\[MyPass\(\)\]\)\."),
        (Alpha(), r"takes passes, and Alpha\(scale=1\) is none; write PassManager\(\[MyPass\(\)\]\)\."),
    ],
)
def test_what_is_no_pass_is_refused(given: Any, message: str) -> None:
    """With what to write instead."""
    with pytest.raises(tir.UsageError, match=message):
        PassManager(given)


def test_names_to_disable_are_a_list() -> None:
    """A text would be taken for its letters."""
    with pytest.raises(tir.UsageError, match=r"The passes to disable are a list of names, as \['gaps'\]\."):
        PassManager((), disabled="gaps")
