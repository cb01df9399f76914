"""The law of the text form: both spellings parse to the module that was printed, and print again as they stand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from hypothesis import settings

from traceir.ir import Module
from traceir.ir.window import without_dead
from traceir.registry import Registry
from traceir.testing import assert_equal
from traceir.text import Spelling, parse, spell
from traceir.text.spelling import Form

FORMS: Final[tuple[Form, ...]] = ("statements", "table")
REGISTRY: Final = Registry.installed()
MANY: Final = settings(max_examples=2000)

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
