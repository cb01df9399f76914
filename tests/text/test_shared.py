"""Real traces as text, with all that the passes find: whole as blocks, a part as statements."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Final

import numpy as np
import pytest

import traceir as tir
from tests.conftest import SHORT
from traceir.ir import Module
from traceir.registry import Registry
from traceir.testing import assert_equal
from traceir.text import Spelling, parse, spell
from traceir.text.spelling import Form

Load = Callable[[str], Module]
REGISTRY: Final = Registry.installed()
PIPELINE: Final = "group,overlap,gaps"
QUICK: Final = ("simple_add", "event_sync_multi", "sgl_dec", "qwen_h100")
MOST_IN_A_WINDOW: Final = 3000
"""Events of a window as statements: enough for a step, few enough to be read in a second."""

quick_or_slow = pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in SHORT]
)


@functools.cache
def found(name: str, load: Load) -> Module:
    """A shared trace with what the passes find."""
    return tir.PassManager.parse(PIPELINE, registry=REGISTRY).run(load(name))


def text_of(module: Module, form: Form, *, args: bool = False) -> str:
    """The text of a module with all that it holds."""
    return "".join(spell(module, Spelling(form, dead=True, args=args), registry=REGISTRY))


def the_text_says_it_all(module: Module, form: Form) -> str:
    """The module comes back, and is printed again as it stands."""
    text = text_of(module, form)
    again = parse(text, registry=REGISTRY, check=False)
    assert_equal(module, again)
    assert text_of(again, form) == text
    return text


def part_of(module: Module) -> Module:
    """The window of the first region that is not too large, else of the first events."""
    for tree in ("layers", "steps"):
        if module.has_tree(tree):
            for region in range(len(module.tree(tree))):
                rows = module.tree(tree).events(region)
                if 0 < len(rows) <= MOST_IN_A_WINDOW:
                    return module.window(rows)
    return module.window(np.arange(min(len(module), MOST_IN_A_WINDOW)))


@quick_or_slow
def test_a_whole_trace_comes_back_from_blocks(name: str, load_shared: Load) -> None:
    """Events, edges, trees, tables and every annotation."""
    the_text_says_it_all(found(name, load_shared), "table")


@quick_or_slow
def test_a_part_of_a_trace_comes_back_from_statements(name: str, load_shared: Load) -> None:
    """A layer or a step, with what lies outside; the same part again, of the same text."""
    part = part_of(found(name, load_shared))
    text = the_text_says_it_all(part, "statements")
    blocks = the_text_says_it_all(part, "table")
    assert text_of(parse(blocks, registry=REGISTRY, check=False), "statements") == text


@quick_or_slow
def test_the_first_events_come_back_from_statements(name: str, load_shared: Load) -> None:
    """A window that cuts steps and layers, with the source's arguments."""
    module = found(name, load_shared)
    part = module.window(np.arange(min(len(module), MOST_IN_A_WINDOW)))
    the_text_says_it_all(part, "statements")
    text = text_of(part, "statements", args=True)
    again = parse(text, registry=REGISTRY, check=False)
    assert_equal(part, again)
    assert text_of(again, "statements", args=True) == text
