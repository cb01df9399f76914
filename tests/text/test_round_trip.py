"""The law of the text form: both spellings parse to the module that was printed, and print again as they stand."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any, Final

import attrs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import ROOT
from traceir.errors import UsageError
from traceir.ir import Annotation, Finding, Lane, Module, ModuleBuilder, PassRecord, Region, Strings, Written
from traceir.ir.view import arguments
from traceir.ir.window import without_dead
from traceir.registry import Registry
from traceir.testing import HOSTILE, assert_equal, json_values, modules, texts
from traceir.text import Spelling, parse, spell
from traceir.text.source import TextSource
from traceir.text.spelling import Form

FORMS: Final[tuple[Form, ...]] = ("statements", "table")
REGISTRY: Final = Registry.installed()

Law = Callable[[Module], None]


def text_of(module: Module, form: Form = "statements", **more: Any) -> str:
    """The text of a module, dead rows and all unless `more` says otherwise."""
    return "".join(spell(module, Spelling(form, **{"dead": True, **more}), registry=REGISTRY))


def read(text: str) -> Module:
    """The module of a text; rules of the IR are the verifier's business, and not asked here."""
    return parse(text, registry=REGISTRY, check=False)


# --- the laws ----------------------------------------------------------------------------------------------


def both_forms_give_the_module_back(module: Module) -> None:
    """parse ∘ print is the identity, and print ∘ parse a fixed point, byte by byte."""
    for form in FORMS:
        text = text_of(module, form)
        again = parse(text, registry=REGISTRY)
        assert_equal(module, again)
        assert text_of(again, form) == text


def the_forms_say_the_same(module: Module) -> None:
    """What was read from blocks prints the statements that the module itself prints, and the other way round.

    Blocks keep the order of the module's pool, and statements, which have none, do not: that way modules are compared.
    """
    assert text_of(read(text_of(module, "table"))) == text_of(module)
    blocks = text_of(read(text_of(module)), "table")
    assert_equal(module, read(blocks))
    assert text_of(read(blocks), "table") == blocks


def without_dead_rows_the_live_module_is_printed(module: Module) -> None:
    """Removed events go by default, as `without_dead` says."""
    for form in FORMS:
        assert_equal(without_dead(module), read(text_of(module, form, dead=False)))


def fewer_columns_print_just_these(module: Module) -> None:
    """Each chosen column alone is as it was, and no other is left; the events stay."""
    for name, item in module.annotations.items():
        if name.startswith("extern.") or item.annotation.domain.startswith("region:"):
            continue  # what lies outside is always said, and columns of regions need their tree
        for form in FORMS:
            again = read(text_of(module, form, columns=(name,)))
            assert {other for other in again.annotations if not other.startswith("extern.")} == {name}
            assert again["id"].tolist() == module["id"].tolist()
            if item.annotation.dtype == "str":
                assert again.text(name) == module.text(name)
            elif "edge" not in (item.annotation.domain, item.annotation.target):
                np.testing.assert_array_equal(again[name], module[name])


def any_tree_may_hold_its_events(module: Module) -> None:
    """Whichever tree is chosen to hold the events, the text says the same."""
    for domain in module.tables:
        if domain.startswith("region:"):
            text = text_of(module, tree=domain.partition(":")[2])
            assert_equal(module, read(text))
            assert text_of(read(text), tree=domain.partition(":")[2]) == text


LAWS: Final[tuple[Law, ...]] = (
    both_forms_give_the_module_back,
    the_forms_say_the_same,
    without_dead_rows_the_live_module_is_printed,
    fewer_columns_print_just_these,
    any_tree_may_hold_its_events,
)

each_law = pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)


@each_law
@given(modules())
def test_the_law_holds_for_any_module(law: Law, module: Module) -> None:
    """Whatever the IR can hold survives the text."""
    law(module)


@pytest.mark.slow
@each_law
@settings(max_examples=2000, derandomize=False)
@given(modules(max_events=14))
def test_the_law_holds_for_very_many_modules(law: Law, module: Module) -> None:
    """The same with other modules each time."""
    law(module)


@each_law
@pytest.mark.parametrize("name", HOSTILE)
def test_the_law_holds_for_each_hostile_name(law: Law, name: str) -> None:
    """Names that end strings, lines, blocks and encodings stand wherever a name may."""
    law(named(name))


def named(name: str) -> Module:
    """A small module in which everything that has a name has this one."""
    lanes = [Lane(name, "host.thread", pid=name, label=name), Lane(f"{name}.", "dev.stream", device=0)]
    rows = np.arange(3)
    # Metadata is JSON, in which the two halves of a surrogate pair are the one character that they make.
    plain = name.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    builder = ModuleBuilder(
        name=name,
        strings=Strings([name]),
        lanes=lanes,
        kinds=["rt.launch", "dev.kernel", f"own.{name}"],
        id=rows[::-1] * 3,
        kind=rows,
        name_code=rows * 0,
        ts=rows,
        dur=rows,
        lane=np.array([0, 1, 1]),
        edges=[("launch", rows[:1], rows[1:2])],
        meta={plain: plain, f"{plain}{plain}_": [plain, {plain: [plain]}]},
    )
    module = attrs.evolve(builder.build(), passes=(PassRecord("x", f"x{{a={name}}}"), PassRecord("y", name)))
    module = module.with_tree(
        "t", [Region(name, name, 5, -1), Region(name, f"{name}.7", 7, 0)], rows.astype(np.int32) - 1
    )
    module = module.with_texts("x.text", [name, None, f"{name}{name}"])
    module = module.with_columns({"x.enum": np.array([0, 1, -1], np.int16)})
    module = module.with_health(Finding(name, "info", 1, name, 3, (name, "a"), name))
    enum = Annotation("x.enum", dtype="enum", values=(name, f"{name}_"), unit=name, doc=name, null=name)
    given = [enum, Annotation("x.text", dtype="str", doc=name), Annotation("tree.t", dtype="id", doc=name)]
    return attrs.evolve(
        module, annotations={item.name: Written(item, by) for by, item in zip((0, 1, 0), given, strict=True)}
    )


# --- the source's arguments --------------------------------------------------------------------------------


@given(modules(max_events=4, dead=False, annotations=False, tables=False, trees=False), st.data())
def test_arguments_of_the_source_come_back_when_they_are_asked_for(module: Module, data: st.DataObject) -> None:
    """With `args` every event keeps its arguments, whatever their keys and values; without, none."""
    args: list[Any] = data.draw(
        st.lists(st.dictionaries(texts(), json_values(), max_size=3), min_size=len(module), max_size=len(module))
    )
    events = module.tables["event"].with_columns(
        {"offset": np.arange(len(module)), "length": np.zeros(len(module), np.int32)}
    )
    source = TextSource("made", arguments=args, statements=[""] * len(module))
    module = attrs.evolve(module, tables={**module.tables, "event": events}, source=source)
    text = text_of(module, args=True)
    again = read(text)
    assert_equal(module, again)
    assert list(map(dict, arguments(again, np.arange(len(module))))) == args
    assert text_of(again, args=True) == text
    bare = read(text_of(module))
    assert list(map(dict, arguments(bare, np.arange(len(module))))) == [{}] * len(module)


# --- windows -----------------------------------------------------------------------------------------------


@given(modules(min_events=2, extern=False), st.data())
def test_a_window_says_what_lies_outside(module: Module, data: st.DataObject) -> None:
    """A window's references outside come back, and so does the window of what was read."""
    rows = np.array(data.draw(st.lists(st.booleans(), min_size=len(module), max_size=len(module))), bool)
    part = module.window(rows)
    both_forms_give_the_module_back(part)
    for form in FORMS:
        assert_equal(part, read(text_of(module, form)).window(rows))


# --- what is asked for and is not there ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (
            {"tree": "stesp"},
            "The module has no tree stesp; did you mean steps?",
        ),
        (
            {"columns": ("x.enum", "x.tekst")},
            "The module has no column x.tekst; did you mean x.text?",
        ),
    ],
)
def test_what_is_not_there_cannot_be_printed(asked: dict[str, Any], message: str) -> None:
    """The error names the nearest that there is."""
    tree = [Region("step", "s", 0, -1)]
    module = named("k").with_tree("steps", tree, np.zeros(3, np.int32))
    with pytest.raises(UsageError) as caught:
        text_of(module, **asked)
    assert str(caught.value) == message


@pytest.mark.parametrize(("events", "form"), [(20_000, "statements"), (20_001, "table")])
def test_auto_takes_blocks_for_many_events(events: int, form: Form) -> None:
    """Up to twenty thousand events are statements."""
    rows = np.arange(events)
    module = ModuleBuilder(
        name="m",
        strings=Strings(["k"]),
        lanes=[Lane("g", "dev.stream")],
        kinds=["dev.kernel"],
        id=rows,
        kind=rows * 0,
        name_code=rows * 0,
        ts=rows,
        dur=rows * 0,
        lane=rows * 0,
    ).build()
    assert text_of(module, "auto") == text_of(module, form)


# --- the same text everywhere --------------------------------------------------------------------------------


def test_the_text_does_not_depend_on_the_order_of_sets() -> None:
    """Two processes with other hashes print the same."""
    program = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from tests.text.test_round_trip import FORMS, named, text_of\n"
        "sys.stdout.buffer.write(''.join(text_of(named('k:1'), f, columns=('x', 'tree')) for f in FORMS).encode())\n"
    )
    made = [
        subprocess.run(
            [sys.executable, "-c", program, str(ROOT)],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "4242")
    ]
    assert made[0] == made[1] == "".join(text_of(named("k:1"), form, columns=("x", "tree")) for form in FORMS).encode()
