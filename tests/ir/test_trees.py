"""Trees: ancestors, events of a region, and kinds, against a walk through the parents."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

import traceir as tir
from tests.build import Ev, module

KINDS = ("step", "layer", "block")


@st.composite
def forests(draw: st.DrawFn) -> tuple[list[tir.Region], list[int]]:
    """Regions in any order of kinds, parents first, and a leaf per event."""
    count = draw(st.integers(0, 10))
    regions = [
        tir.Region(draw(st.sampled_from(KINDS)), f"r.{i}", i, draw(st.integers(-1, i - 1))) for i in range(count)
    ]
    return regions, draw(st.lists(st.integers(-1, count - 1), max_size=12))


def lineage(regions: list[tir.Region], region: int) -> list[int]:
    out = []
    while region >= 0:
        out.append(region)
        region = regions[region].parent
    return out


@given(forests())
def test_a_tree_agrees_with_walking_up(forest: tuple[list[tir.Region], list[int]]) -> None:
    """Ancestor of a kind, region of a kind for each event, children and events are those found by walking."""
    regions, leaf = forest
    item = module([Ev("host.op", "x", i, 1, "cpu") for i in range(len(leaf))])
    tree = item.with_tree("t", regions, leaf).tree("t")
    up = [lineage(regions, i) for i in range(len(regions))]
    for kind in KINDS:
        nearest = [next((r for r in line if regions[r].kind == kind), -1) for line in up]
        assert tree.ancestor(kind).tolist() == nearest
        assert tree.at(kind).tolist() == [-1 if k < 0 else nearest[k] for k in leaf]
        assert tree.of_kind(kind).tolist() == [i for i, region in enumerate(regions) if region.kind == kind]
    for i in range(len(regions)):
        assert tree.events(i).tolist() == [row for row, k in enumerate(leaf) if k >= 0 and i in up[k]]
        assert tree.children(i).tolist() == [k for k, region in enumerate(regions) if region.parent == i]
        assert (tree.kind(i), tree.region_name(i)) == (regions[i].kind, f"r.{i}")


@given(forests())
def test_columns_give_the_tree_that_a_list_gives(forest: tuple[list[tir.Region], list[int]]) -> None:
    """Regions as columns, kinds and names as codes of the pool, are the same tree; written again, the same columns."""
    regions, leaf = forest
    item = module([Ev("host.op", "x", i, 1, "cpu") for i in range(len(leaf))])
    listed = item.with_tree("t", regions, leaf)
    strings, kinds = item.strings.encode([region.kind for region in regions])
    strings, names = strings.encode([region.name for region in regions])
    columns: dict[str, npt.ArrayLike] = {
        "parent": [region.parent for region in regions],
        "kind": kinds,
        "name": names,
        "index": [region.index for region in regions],
    }
    given = item.with_strings(strings).with_tree("t", columns, leaf)
    assert given.equals(listed)
    assert given.with_tree("t", columns, leaf).token("tree.t") == given.token("tree.t")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"parent": [0, 0]}, "before it"),
        ({"parent": [-2, 0]}, "before it"),
        ({"name": [0, 99]}, "no code"),
        ({"kind": [-1, 0]}, "no code"),
        ({"index": [0]}, "one length"),
        ({"size": [1, 2]}, "size"),
    ],
)
def test_columns_that_are_no_tree(changes: dict[str, list[int]], says: str) -> None:
    """What a list of regions could not say either is refused with a sentence."""
    item = module([Ev("host.op", "x", 0, 1, "cpu")])
    sound = {"parent": [-1, 0], "kind": [0, 0], "name": [0, 0], "index": [0, 0]}
    assert len(item.with_tree("t", sound, [0]).tree("t")) == 2
    with pytest.raises(tir.SchemaError, match=says):
        item.with_tree("t", {**sound, **changes}, [0])


def test_a_kind_that_no_region_has() -> None:
    """Asking for it gives none, not an error."""
    item = module([Ev("host.op", "x", 0, 1, "cpu")]).with_tree("t", [tir.Region("step", "s")], [0])
    assert item.tree("t").of_kind("layer").tolist() == []
    assert item.tree("t").at("layer").tolist() == [-1]
    assert (item.has_tree("t"), item.has_tree("u")) == (True, False)


def test_region_columns_and_selection() -> None:
    """Regions carry annotations, and events are selected by region."""
    item = module([Ev("host.op", "x", i, 1, "cpu") for i in range(3)])
    item = item.with_tree("t", [tir.Region("step", "s"), tir.Region("layer", "l", 0, 0)], [0, 1, -1])
    item = item.with_columns({"group.confidence": np.array([1.0, 0.5])}, "region:t")
    assert item["group.confidence"].tolist() == [1.0, 0.5]
    assert [event.id for event in item.select(region=("t", 0))] == [0, 1]
    assert [event.id for event in item.select(region=("t", 1))] == [1]
