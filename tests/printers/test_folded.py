"""The folded page: goldens of the example, and what holds for every real trace."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

import traceir as tir
from traceir.cli.main import main
from traceir.printers import InputInfo, Result, Style
from traceir.printers.folded import Folded
from traceir.printers.folded.page import By

from ..conftest import ROOT, SHORT

EXAMPLE = ROOT / "examples" / "decoder_tp8_graph.json.gz"


PIPELINE = "group,overlap,gaps"
BY: tuple[By, ...] = ("step", "lane", "role")
CASES: dict[str, Folded] = {
    "step": Folded(),
    "lane": Folded(by="lane"),
    "role": Folded(by="role"),
    "layer": Folded(expand=("layer.3",)),
    "op": Folded(by="role", expand=("step.2.layer.7.all_reduce",)),
}


def run(module: tir.Module, pipeline: str = PIPELINE) -> Result:
    """What a pipeline makes of a module."""
    manager = tir.PassManager.parse(pipeline)
    after = manager.run(module)
    return Result(after, manager.reports(after), (InputInfo(module.name, "kineto", len(module)),))


def text(result: Result, style: Style, printer: Folded = CASES["step"]) -> str:
    """The page of a result."""
    out = io.StringIO()
    printer.write(result, out, style)
    return out.getvalue()


@pytest.fixture(scope="module")
def example() -> tir.Module:
    """The generated example: prefill and decode of 36 layers on 8 ranks."""
    return tir.load(EXAMPLE)


@pytest.fixture(scope="module")
def result(example: tir.Module) -> Result:
    """The example after the pipeline of the README."""
    return run(example)


@pytest.mark.parametrize("width", [80, 120, 200])
@pytest.mark.parametrize("case", CASES)
def test_the_page_of_the_example(case: str, width: int, result: Result, golden: Callable[[str, str], None]) -> None:
    """Each view at three widths is what the golden files show; colour and ASCII change no word of it."""
    plain = text(result, Style(width), CASES[case])
    golden(f"folded/decoder_tp8_graph.{case}.{width}.txt", plain)
    coloured = text(result, Style(width, color=True), CASES[case])
    assert coloured != plain
    assert _ESCAPES.sub("", coloured) == plain
    ascii_only = text(result, Style(width, unicode=False), CASES[case])
    assert ascii_only.isascii()
    assert _WORDS.findall(ascii_only) == _WORDS.findall(plain.replace("µ", "u").replace("×", "x"))
    assert _ESCAPES.sub("", text(result, Style(width, color=True, unicode=False), CASES[case])) == ascii_only


_ESCAPES = re.compile(r"\x1b\[[0-9;]*m")
_WORDS = re.compile(r"[A-Za-z0-9_]+")


@pytest.mark.parametrize(
    ("name", "case", "style"),
    [
        ("color", "step", Style(100, color=True)),
        ("ascii", "step", Style(100, unicode=False)),
        ("lane.ascii", "lane", Style(100, unicode=False)),
        ("layer.color", "layer", Style(100, color=True)),
        ("narrow", "step", Style(40)),
        ("layer.narrow", "layer", Style(40)),
    ],
)
def test_the_look_of_the_page(
    name: str, case: str, style: Style, result: Result, golden: Callable[[str, str], None]
) -> None:
    """Colours, the spelling of signs, and what a narrow page leaves out."""
    golden(f"folded/decoder_tp8_graph.{name}.txt", text(result, style, CASES[case]))


@given(
    width=st.integers(40, 200),
    by=st.sampled_from(BY),
    expand=st.sampled_from([(), ("layer.3",), ("step.1.attention", "lm_head")]),
    unicode=st.booleans(),
    verbose=st.booleans(),
)
def test_no_line_is_wider_than_the_page(
    result: Result, width: int, by: By, expand: tuple[str, ...], unicode: bool, verbose: bool
) -> None:
    """At any width that the command line takes, in every view."""
    page = text(result, Style(width, unicode=unicode, verbose=verbose), Folded(by=by, expand=expand))
    assert max(map(cell_len, page.splitlines())) <= width


@pytest.mark.parametrize("by", BY)
@pytest.mark.parametrize("name", SHORT)
def test_a_real_trace_fits_a_screen(name: str, by: By, load_shared: Callable[[str], tir.Module]) -> None:
    """At most 60 lines at the usual widths, none wider than asked, for every real trace and view."""
    after = run(load_shared(name))
    for width in (80, 120, 200):
        lines = text(after, Style(width), Folded(by=by)).splitlines()
        assert len(lines) <= 60, "\n".join(lines)
        assert max(map(cell_len, lines)) <= width


def test_the_figures_of_a_fold_are_of_one_instance(result: Result) -> None:
    """A layer's exposed time is that of its all-reduces: medians beside medians, never a sum beside a median."""
    lines = text(result, Style(120)).splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith("  layer ×36 (×3)"))
    layer = re.findall(r"([\d.]+) µs", lines[at])
    parts = [re.findall(r"([\d.]+) µs", line) for line in lines[at : at + 14] if line.startswith("  │ all_reduce")]
    assert len(parts) == 2
    assert abs(float(layer[1]) - sum(float(part[1]) for part in parts)) < 0.05 * float(layer[1])
    assert all(float(part[1]) <= float(part[0]) for part in (layer, *parts))


def test_an_opened_step_may_exceed_the_screen_but_the_rest_does_not(result: Result) -> None:
    """What was asked for is shown whole beside a page that keeps to its screen."""
    plain, opened = (
        text(result, Style(120), printer).splitlines() for printer in (Folded(), Folded(expand=("step.1",)))
    )
    assert len(plain) <= 60
    assert sum("@gpu0" in line and "%" in line for line in opened) >= 548
    section = next(i for i, line in enumerate(opened) if line.startswith("step.1  548 device events"))
    end = section + opened[section:].index("")
    assert opened[:section] + opened[end + 1 :] == plain


def test_flags_set_the_options_of_the_page(capsys: pytest.CaptureFixture[str]) -> None:
    """`--by` and `--expand` are the options of the printer, and each is refused in one sentence where it has none."""
    argv = ["run", "-q", "--width", "100", str(EXAMPLE)]
    assert main([*argv, "--by", "role"]) == 0
    by_flag = capsys.readouterr().out
    assert main([*argv, "--emit", "folded{by=role}"]) == 0
    assert capsys.readouterr().out == by_flag
    assert main([*argv, "--expand", "layer.3", "--emit", "folded{expand=lm_head}"]) == 0
    both = capsys.readouterr().out
    assert both.index("\nstep.0.lm_head  ") < both.index("\nstack.0.layer.3  ")
    for flags in (["--by", "role"], ["--expand", "layer.3"]):
        assert main([*argv, "--emit", "json", *flags]) == 2
        said = capsys.readouterr().err
        assert said == f"traceir: The flag {flags[0]} sets an option that the printer json does not have.\n"
    assert main([*argv, "--by", "stream"]) == 2
    assert "it has to be step | lane | role." in capsys.readouterr().err
    assert main([*argv, "--expand", "layr.3"]) == 2
    assert (
        "no step, layer or op named 'layr.3' with device work; the nearest names are layer.3" in capsys.readouterr().err
    )


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
