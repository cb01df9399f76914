"""Passes that change times: what they need of a pass that stands behind them, and what they take away again."""

from __future__ import annotations

from typing import ClassVar

import attrs
import pytest

import traceir as tir
from tests.build import Ev, module
from tests.passing.toys import Alpha, Beta, Shift, Toy, column, registry
from traceir.errors import UsageError
from traceir.ir import Module
from traceir.passing import PassContext, PassManager


@attrs.frozen
class Move(tir.Pass):
    """Move all times by what alpha says of the first event, and note the old ones."""

    reads = ("alpha.a",)
    writes = (column("move.old"), column("move.n", domain="table:moves"))
    annotates: ClassVar[bool] = False

    def run(self, module: Module, context: PassContext) -> Module:
        moved = module.with_columns({"move.old": module["ts"], "ts": module["ts"] + int(module["alpha.a"][0])})
        return moved.with_table("moves", {"move.n": module["ts"].copy()})


@attrs.frozen
class Back(tir.Pass):
    """Put the old times back, and take away what was noted."""

    uses = ("move.old",)
    drops = ("move.old", "move.n")
    annotates: ClassVar[bool] = False

    def run(self, module: Module, context: PassContext) -> Module:
        event = module.tables["event"]
        columns = {name: one for name, one in event.columns.items() if name != "move.old"}
        tables = {name: table for name, table in module.tables.items() if name != "table:moves"}
        old = attrs.evolve(event, columns={**columns, "ts": event.columns["move.old"]})
        return attrs.evolve(module, tables={**tables, "event": old})


KNOWN = registry(Alpha, Beta, Shift, Move, Back)


def small() -> Module:
    return module([Ev("host.op", "outer", 1, 9, "cpu"), Ev("host.op", "inner", 5, 3, "cpu")])


def ran(text: str, *, insert: bool = True) -> tuple[str, Module]:
    done = PassManager.parse(text, registry=KNOWN, insert=insert).run(small())
    return ",".join(record.text for record in done.passes), done


def test_a_writer_behind_a_pass_that_changes_times_runs_before_it_too() -> None:
    """With the options that it has there; behind, it runs over the new times."""
    text, done = ran("move,alpha{scale=3}")
    assert text == "alpha{scale=3},move,alpha{scale=3}"
    assert done["ts"].tolist() == [4, 8]
    assert done["alpha.a"].tolist() == [12, 24]


def test_a_writer_behind_a_pass_that_annotates_is_refused_as_ever() -> None:
    """It would only do its work twice."""
    with pytest.raises(UsageError, match="alpha stands after it; write alpha,beta"):
        ran("beta,alpha")


def test_without_insertion_the_writer_is_named() -> None:
    """Nothing is put anywhere then."""
    with pytest.raises(UsageError, match=r"reads alpha\.a, which nothing before it writes; the pass alpha would\."):
        ran("move,alpha", insert=False)


def test_what_a_pass_takes_away_of_its_own_is_not_made_again() -> None:
    """Neither the column nor the table: the pass that wrote them does not run again at the end."""
    text, done = ran("move,back")
    assert text == "alpha,move,back,alpha"  # the last since its times were made anew
    assert done["ts"].tolist() == [1, 5]
    assert "move.old" not in done
    assert "move.n" not in done.annotations
    assert "table:moves" not in done.tables


def test_who_needs_it_after_that_has_it_made_again() -> None:
    """The plan knows that the column is no more."""

    @attrs.frozen
    class Old(Toy):
        """Read the old times."""

        reads = ("move.old",)
        writes = (column("old.ts"),)

    known = registry(Alpha, Move, Back, Old)
    plan = PassManager.parse("move,back,old", registry=known).resolve(small())
    assert [item.name() for item in plan] == ["alpha", "move", "back", "move", "old"]


def test_what_it_drops_is_a_tuple_of_names() -> None:
    """As what it reads is."""

    @attrs.frozen
    class Wrong(Toy):
        """Drop a column."""

        drops = "move.old"  # type: ignore[assignment]

    with pytest.raises(UsageError, match=r"drops is 'move\.old', and it has to be a tuple of names of columns"):
        PassManager((Wrong(),))


def test_a_table_goes_only_with_all_of_its_columns() -> None:
    """What is not its to take holds the table."""

    @attrs.frozen
    class Half(tir.Pass):
        """Drop a table, and say so of one of its columns."""

        drops = ("move.old",)
        annotates: ClassVar[bool] = False

        def run(self, module: Module, context: PassContext) -> Module:
            tables = {name: table for name, table in module.tables.items() if name != "table:moves"}
            return attrs.evolve(module, tables=tables)

    with pytest.raises(tir.PassError, match=r"dropped the table table:moves, which is not its own"):
        PassManager.parse("move,half", registry=registry(Alpha, Move, Half)).run(small())


def test_another_passs_columns_are_not_its_to_take() -> None:
    """Only what it declares may go."""

    @attrs.frozen
    class Thief(Toy):
        """Drop a column of another."""

        annotates: ClassVar[bool] = False

        def run(self, module: Module, context: PassContext) -> Module:
            event = module.tables["event"]
            columns = {name: one for name, one in event.columns.items() if name != "move.old"}
            return attrs.evolve(module, tables={**module.tables, "event": attrs.evolve(event, columns=columns)})

    known = registry(Alpha, Move, Thief)
    with pytest.raises(tir.PassError, match=r"dropped the column move\.old, which is not its own"):
        PassManager.parse("move,thief", registry=known).run(small())


def test_old_columns_put_back_make_fresh_what_was_computed_from_them() -> None:
    """They are the very columns, so nothing has to run again."""
    first = PassManager.parse("beta", registry=KNOWN).run(small())
    kept = first.tables["event"].columns["ts"]
    event = attrs.evolve(first.tables["event"], columns={**first.tables["event"].columns, "move.old": kept})
    moved = attrs.evolve(first, tables={**first.tables, "event": event}).with_columns({"ts": first["ts"] + 1})
    assert moved.stale("beta.b")
    back = PassManager.parse("back", registry=KNOWN).run(moved, fresh=False)
    assert not back.stale("beta.b")
