"""The folded page: goldens of the example, and what holds for every real trace."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.cells import cell_len

import traceir as tir
from traceir.printers import InputInfo, Result, Style
from traceir.printers.folded import Folded

from ..conftest import ROOT, SHORT

EXAMPLE = ROOT / "examples" / "decoder_tp8_graph.json.gz"


def page(module: tir.Module, pipeline: str, style: Style) -> str:
    """The folded page of a module after a pipeline."""
    manager = tir.PassManager.parse(pipeline)
    after = manager.run(module)
    out = io.StringIO()
    source = InputInfo(module.name, "kineto", len(module))
    Folded().write(Result(after, manager.reports(after), (source,)), out, style)
    return out.getvalue()


@pytest.fixture(scope="module")
def example() -> tir.Module:
    """The generated example: prefill and decode of 36 layers on 8 ranks."""
    return tir.load(EXAMPLE)


@pytest.mark.parametrize("width", [80, 120, 200])
def test_the_page_of_the_example(width: int, example: tir.Module, golden: Callable[[str, str], None]) -> None:
    """The page at three widths is what the golden files show."""
    golden(f"folded/decoder_tp8_graph.{width}.txt", page(example, "group,overlap,gaps", Style(width)))


def test_the_page_in_ascii_and_in_colour(example: tir.Module, golden: Callable[[str, str], None]) -> None:
    """Without Unicode every sign has a spelling; with colour the text is the same."""
    golden("folded/decoder_tp8_graph.ascii.txt", page(example, "group,overlap", Style(100, unicode=False)))
    coloured = page(example, "group,overlap", Style(100, color=True))
    golden("folded/decoder_tp8_graph.color.txt", coloured)
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == page(example, "group,overlap", Style(100))


@pytest.mark.parametrize("name", SHORT)
def test_a_real_trace_fits_a_screen(name: str, load_shared: Callable[[str], tir.Module]) -> None:
    """At most 60 lines, none wider than asked, for every real trace."""
    lines = page(load_shared(name), "group,overlap,gaps", Style(100)).splitlines()
    assert len(lines) <= 60, "\n".join(lines)
    assert max(map(cell_len, lines)) <= 100


def test_a_report_of_a_plugin_is_shown_without_further_code(tmp_path: Path, example: tir.Module) -> None:
    """Scalars of an unknown report become a table of facts, lists of objects tables."""
    from traceir.registry import Registry

    plugin = ROOT / "tests" / "plugin" / "single_file.py"
    registry = Registry.installed()
    [word] = registry.add_file(plugin)
    manager = tir.PassManager.parse(word, registry=registry)
    after = manager.run(example)
    out = io.StringIO()
    Folded().write(Result(after, manager.reports(after), ()), out, Style(100))
    assert word in out.getvalue().split()
