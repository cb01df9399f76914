"""Laws of the IR's own functions, over any module that it can hold."""

from __future__ import annotations

from typing import Any

import attrs
import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st

from traceir.ir import Array, Column, Module, Rows, Strings, Table
from traceir.ir.equality import difference
from traceir.ir.export import to_networkx, to_numpy
from traceir.ir.verify import verify
from traceir.testing import assert_equal, assert_sound, edited, modules


def mask(data: st.DataObject, module: Module) -> Array:
    return np.array(data.draw(st.lists(st.booleans(), min_size=len(module), max_size=len(module))), bool)


def replaced(module: Module, /, **tables: dict[str, Array]) -> Module:
    """The module with columns of tables replaced as somebody who builds modules anew would."""
    new = {
        name: Table(name, len(table), {**table.columns, **{k: Column.own(v) for k, v in tables.get(name, {}).items()}})
        for name, table in module.tables.items()
    }
    return attrs.evolve(module, tables=new, derived={})


def recoded(module: Module, texts: tuple[str, ...]) -> Module:
    """The module with another pool, which holds the same strings and perhaps more."""
    strings = Strings(texts)
    codes = np.array([*(strings.code(text) for text in module.strings.texts), -1], np.int32)
    changes: dict[str, dict[str, Array]] = {name: {} for name in module.tables}
    changes["event"]["name"] = codes[module["name"]]
    for name, table in module.tables.items():
        if name.startswith("region:"):
            changes[name] |= {key: codes[table[key]] for key in ("kind", "name")}
    for name, written in module.annotations.items():
        if written.annotation.dtype == "str":
            changes[written.annotation.domain][name] = codes[module[name]]
    return attrs.evolve(replaced(module, **changes), strings=strings)


@given(modules(stale=True))
def test_equality_is_reflexive_and_needs_no_tokens(module: Module) -> None:
    """A module equals itself, and a copy of it that shares no column."""
    copy = replaced(module, **{name: {k: table[k].copy() for k in table} for name, table in module.tables.items()})
    assert_equal(module, module)
    assert_equal(module, copy)


@given(modules(), st.randoms(use_true_random=False), st.lists(st.text("xyz", min_size=8), max_size=2, unique=True))
def test_the_order_of_the_pool_does_not_count(module: Module, random: Any, more: list[str]) -> None:
    """Nor does that of the kinds, nor what nothing uses."""
    texts = list(dict.fromkeys([*module.strings.texts, *more]))
    random.shuffle(texts)
    kinds = [*module.kinds, "nobody.has.this"]
    random.shuffle(kinds)
    code = np.array([kinds.index(kind) for kind in module.kinds] + [0], np.uint16)
    other = recoded(module, tuple(texts))
    other = attrs.evolve(replaced(other, event={"kind": code[module["kind"]]}), kinds=tuple(kinds))
    assert_sound(other)
    assert_equal(module, other)
    assert_equal(other, module)


@given(modules(), st.randoms(use_true_random=False))
def test_the_order_of_the_edges_does_not_count(module: Module, random: Any) -> None:
    """What is said of edges, and what refers to them, goes with them."""
    edge = module.tables["edge"]
    ends = list(zip(edge["src"].tolist(), edge["dst"].tolist(), edge["kind"].tolist(), strict=True))
    assume(len(set(ends)) == len(ends))  # of one edge twice, the first stays the first
    order = np.array(random.sample(range(len(edge)), len(edge)), np.int32)
    place: Rows = np.full(len(edge) + 1, -1, np.int32)
    place[order] = np.arange(len(edge), dtype=np.int32)
    changes: dict[str, dict[str, Array]] = {name: {} for name in module.tables}
    for name, written in module.annotations.items():
        if written.annotation.target == "edge":
            changes[written.annotation.domain][name] = place[module[name]]
    other = replaced(module, **changes)
    turned = other.tables["edge"]
    other = replaced(other, edge={name: turned[name][order] for name in turned})
    assert_sound(other)
    assert_equal(module, other)
    assert_equal(other, module)


@given(modules(min_events=1, extern=False), st.data())
def test_a_changed_cell_is_a_difference(module: Module, data: st.DataObject) -> None:
    """In whatever column it lies, of whatever table."""
    tables = {name: table for name, table in module.tables.items() if len(table) and list(table)}
    domain = data.draw(st.sampled_from(sorted(tables)))
    name = data.draw(st.sampled_from(sorted(set(tables[domain]) - {"offset", "length"})))
    values = tables[domain][name].copy()
    row = data.draw(st.integers(0, len(values) - 1))
    old = values[row].item()
    values[row] = not old if values.dtype == bool else 1.5 if old != 1.5 and values.dtype == float else 0 if old else 1
    texts = [*module.strings.texts, "a", "b", "c"]
    wider = attrs.evolve(module, strings=module.strings.extend(texts), kinds=(*module.kinds, "more.kinds"))
    changed = replaced(wider, **{domain: {name: values}})
    # Another edge may stand elsewhere among the edges, and then what refers to edges is told first.
    for found in (difference(wider, changed), difference(changed, wider)):
        assert found is not None
        assert " differs, first in row " in found


@given(modules(), st.data())
def test_windows_are_sound_and_compose(module: Module, data: st.DataObject) -> None:
    """All rows are the same module; a window of a window is the window of both; what was fresh stays fresh."""
    assert_equal(module.window(np.ones(len(module), bool)), module)
    outer = mask(data, module)
    inner = outer & mask(data, module)
    first, once = module.window(outer), module.window(inner)
    both = first.window(np.isin(first["id"], module["id"][inner]))
    for item in (first, once, both):
        assert_sound(item)
        assert not any(map(item.stale, item.annotations))
    assert_equal(both, once)


@given(modules(extern=False), st.data())
def test_moving_all_times_is_undone_by_moving_them_back(module: Module, data: st.DataObject) -> None:
    """Between the two nothing but times has changed: neither structure nor lengths.

    What stands on times is stale meanwhile, and the verifier does not ask stale annotations for removed events (V20).
    """
    other = data.draw(edited(module, remove=False))
    assert_sound(other)
    assert other.span_ns == module.span_ns
    assert np.array_equal(other.launch, module.launch)
    broken, before = ({found.rule for found in verify(item)} - {"V20"} for item in (other, module))
    assert broken == before
    assert_equal(other.with_columns({"ts": module["ts"]}), module)


@given(modules(), st.data())
def test_removing_rows_never_brings_one_back(module: Module, data: st.DataObject) -> None:
    """Parents and launches are live or none, whichever rows are removed."""
    other = data.draw(edited(module, shift=False))
    assert_sound(other)
    assert not (other.live & ~module.live).any()
    for rows in (other.parent, other.launch):
        assert other.live[rows[rows >= 0]].all()


@given(modules())
def test_ids_find_their_rows_and_exports_speak_of_them(module: Module) -> None:
    """Whatever ids there are, every event is found by its own, and the exports have all live ones."""
    assert [module.row_of(id) for id in module["id"].tolist()] == list(range(len(module)))
    live = module["id"][module.live].tolist()
    assert sorted(to_networkx(module, nest=True, stream=True)) == sorted(live)
    values = to_numpy(module)
    assert values["id"].tolist() == live
    assert values["name"].tolist() == [module.event(int(row)).name for row in np.flatnonzero(module.live)]
