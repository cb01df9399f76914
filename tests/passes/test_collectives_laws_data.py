"""Count laws of data parallelism and of several ranks in one trace."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from tests.passes.collectives_made import GEMM, Made, laws

# --- data parallelism ------------------------------------------------------------------------------------------------


def sharded(gathers: str, scatters: Sequence[int], units: int = 4) -> Made:
    """Steps of `units` layers: a gather in each forward, `gathers` per backward layer, and so many scatters."""
    made = Made()
    for step, count in enumerate(scatters):
        for layer in range(units):
            made.play("Gng", layer, step=step)
        for layer in range(units):
            made.play(gathers if layer else gathers.replace("-", ""), step=step, back=True)
            made.play("S" if layer < count else "", step=step, back=True)
    return made


LABEL = "2 all-gathers per reduce-scatter"


@pytest.mark.parametrize(
    ("gathers", "found", "note"),
    [("Gg", 8, "4 units"), ("g", 4, "4 units, all units stay gathered between the passes")],
)
def test_sharded_law_holds(gathers: str, found: int, note: str) -> None:
    """Gathered for either pass, or kept between them."""
    told = laws(sharded(gathers, [4, 4]), LABEL)
    assert [(law.found, law.holds, law.note) for law in told] == [(found, True, note)] * 2


def test_last_unit_may_stay_gathered() -> None:
    """One gather fewer is the unit that is used last in the forward pass and first in the backward one."""
    made = Made()
    for layer in range(4):
        made.play("Gng", layer)
    for layer in range(4):
        made.play("Gg" if layer else "g", back=True).play("S", back=True)
    law = laws(made, LABEL)[0]
    assert (law.expected, law.found, law.holds, law.note) == (7, 7, True, "4 units, one unit stays gathered")


def test_sharded_law_breaks() -> None:
    """Two hidden gathers are more than one that stays; a dropped scatter shows against the other steps."""
    made = Made()
    for layer in range(4):
        made.play("Gng" if layer else "?ng", layer)
    for layer in range(4):
        made.play("Gg" if layer > 1 else "?g" if layer else "g", back=True).play("S", back=True)
    law = laws(made, LABEL)[0]
    assert (law.expected, law.found, law.holds) == (8, 5, False)
    told = laws(sharded("Gg", [4, 4, 3]), "")
    assert [law.holds for law in told if law.law == LABEL] == [True, True]
    law = next(law for law in told if law.law == "1 reduce-scatter per unit")
    assert (law.step, law.expected, law.found, law.holds) == ("step.2", 4, 3, False)


def test_sequence_parallel_gathers_are_not_held_to_the_sharded_law() -> None:
    """Where forward passes scatter too it is no sharding of parameters, as long as groups are unknown."""
    made = Made()
    for layer in range(4):
        made.play("nGgnSnGgnS", layer)
    made.play("SGSG", back=True)
    assert laws(made, LABEL) == []


def test_gradient_buckets_name_the_steps() -> None:
    """The step that lacks a bucket is named."""
    made = Made()
    for step in range(4):
        made.play("ng", step=step).play("RR" if step != 2 else "R", step=step, back=True)
    law = laws(made, "equal gradient buckets")[0]
    assert (law.expected, law.found, law.holds, law.where) == (4, 3, False, ("step.2",))


# --- ranks -----------------------------------------------------------------------------------------------------------


def of_ranks(change: Callable[[int, int], str | None]) -> Made:
    """Three devices of one group that all-reduce twice a step, for two steps."""
    made, names = Made(), ["allReduce", "allGather"]
    for device in range(3):
        for at in range(4):
            name = change(device, at) or names[at % 2]
            made.play([f"hcom_{name}__7_{at}_1" if name != "-" else GEMM], step=at // 2, lane=f"gpu{device}.s7")
    return made


def test_equal_devices() -> None:
    """All devices of a group do the same."""
    law = laws(of_ranks(lambda *_: None), "equal collectives")[0]
    assert (law.expected, law.found, law.holds, law.where, law.note) == (3, 3, True, (), "group 7")


@pytest.mark.parametrize(("word", "note"), [("-", "0 all_reduce, not 1"), ("reduceScatter", "1 reduce_scatter, not 0")])
def test_unequal_devices(word: str, note: str) -> None:
    """A collective that one device lacks, or that is another there, names the device and the step."""
    law = laws(of_ranks(lambda device, at: word if (device, at) == (1, 2) else None), "equal collectives")[0]
    assert (law.expected, law.found, law.holds, law.where) == (3, 2, False, ("step.1",))
    assert "gpu1: " in law.note


def test_devices_that_the_window_cuts() -> None:
    """A device that lacks the first or the last of all may have been cut off there."""
    for made in (
        of_ranks(lambda device, at: "-" if (device, at) == (1, 0) else None),
        of_ranks(lambda device, at: "-" if (device, at) == (1, 3) else None),
    ):
        law = laws(made, "equal collectives")[0]
        assert (law.holds, law.found, law.note.endswith("the window may cut it")) == (None, 2, True)


def test_devices_without_a_group_are_not_compared() -> None:
    """Without a group's name nothing says that two devices belong together; one device shares with nobody."""
    made = Made().play("RR", lane="gpu0.s7").play("R", lane="gpu1.s7")
    assert laws(made, "equal collectives") == []
    alone = Made().play(["hcom_allReduce__7_0_1", "hcom_allReduce__7_1_1"])
    assert laws(alone, "equal collectives") == []
