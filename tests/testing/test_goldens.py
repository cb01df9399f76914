"""The golden runner, as an author of a plug-in uses it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import ROOT
from traceir.testing import GoldenCase, assert_golden, golden_cases

CASE = """\
// RUN: traceir run --passes overlap --emit 'tir{columns=overlap.exposed}' %s
// All of the all-reduce is exposed.
// CHECK: ncclDevKernel_AllReduce_Sum_bf16_RING_LL ... overlap.exposed=900
#[traceir "1"]
module @m {
  lane @g : dev.stream {device=0, stream=7};
  %1 = dev.kernel("ncclDevKernel_AllReduce_Sum_bf16_RING_LL") @g [0 +900];
}
"""


def case(folder: Path, text: str = CASE) -> Path:
    path = folder / "exposed.tir"
    path.write_text(text, "utf-8")
    return path


def test_an_output_is_written_once_and_compared_afterwards(tmp_path: Path) -> None:
    """Without it the case fails with a sentence; a later difference is named."""
    path = case(tmp_path)
    with pytest.raises(AssertionError, match=r"^The output exposed\.out\.tir is not there; write it with update=True"):
        assert_golden(path)
    written = assert_golden(path, update=True)
    assert assert_golden(path) == written == (tmp_path / "exposed.out.tir").read_text("utf-8")
    assert golden_cases(tmp_path) == [path]
    (tmp_path / "exposed.out.tir").write_text(written.replace("900}", "901}"), "utf-8")
    with pytest.raises(AssertionError, match=r"^exposed\.out\.tir differs from what exposed\.tir prints"):
        assert_golden(path)


def test_figures_worked_out_by_hand_are_never_written(tmp_path: Path) -> None:
    """A wrong one fails though the output is written anew."""
    path = case(tmp_path, CASE.replace("exposed=900", "exposed=800"))
    with pytest.raises(AssertionError, match=r"does not hold ncclDevKernel.*exposed=800"):
        assert_golden(path, update=True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("// RUN: traceir run", "// traceir run"), r"^exposed\.tir has to begin with // RUN: traceir …$"),
        (("--passes overlap", "--passes overlp"), r"^exposed\.tir exits with 2: traceir: There is no pass 'overlp'"),
    ],
)
def test_a_case_that_cannot_run_is_said(change: tuple[str, str], message: str, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=message):
        assert_golden(case(tmp_path, CASE.replace(*change)), update=True)


def test_a_plug_in_file_brings_the_pass(tmp_path: Path) -> None:
    """It need not be installed."""
    text = CASE.replace("--passes overlap", "--passes straggler").replace("{columns=overlap.exposed}", "")
    text = text.replace(
        "// CHECK: ncclDevKernel_AllReduce_Sum_bf16_RING_LL ... overlap.exposed=900", "// CHECK: straggler"
    )
    plugin = ROOT / "tests" / "plugin" / "single_file.py"
    assert "straggler" in assert_golden(case(tmp_path, text), update=True, plugins=[plugin])


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        (
            "// CHECK:overlap",
            "Line 3 of exposed.tir would check nothing, write // CHECK: or // NEXT: , a blank, and what",
        ),
        ("//CHECK overlap", "Line 3 of exposed.tir would check nothing, write"),
        ("// CHECK: ", "Line 3 of exposed.tir would check nothing, write"),
        ("// CHECK: ...", "Line 3 of exposed.tir would check nothing, write"),
        ("//  CHECK: overlap", "Line 3 of exposed.tir would check nothing, write"),
        ("// CHECKS: overlap", "Line 3 of exposed.tir would check nothing, write"),
        ("// check: overlap", "Line 3 of exposed.tir would check nothing, write"),
        ("// NEXT:overlap", "Line 3 of exposed.tir would check nothing, write"),
        ("// RUN: traceir info %s", "Line 3 of exposed.tir would check nothing, write"),
        ("// NEXT: overlap", "Line 3 of exposed.tir is a NEXT, and there is no CHECK before it: // NEXT: overlap"),
        ('#[traceir "1"]\n  // CHECK: overlap', "Line 4 of exposed.tir would check nothing, it has to stand above: //"),
    ],
)
def test_a_check_that_checks_nothing_is_refused(line: str, sentence: str, tmp_path: Path) -> None:
    """It would pass as prose, whatever the output."""
    head, prose, _, *rest = CASE.splitlines()
    path = case(tmp_path, "\n".join([head, prose, line, *(rest[1:] if line.startswith("#") else rest)]))
    with pytest.raises(AssertionError) as error:
        GoldenCase.of(path)
    assert str(error.value).startswith(sentence)


def test_words_of_prose_are_prose(tmp_path: Path) -> None:
    """What only mentions a check is none."""
    text = CASE.replace("// All of", "// Running it, the next checks: NEXT and CHECK. All of")
    assert [line.partition(",")[0] for line in GoldenCase.of(case(tmp_path, text)).prose] == ["Running it"]


@pytest.mark.parametrize(
    ("words", "output"),
    [
        ("", "exposed.out.txt"),
        ("--emit json", "exposed.out.json"),
        ("--emit=json", "exposed.out.json"),
        ("--emit='tir{form=table}'", "exposed.out.tir"),
        ("--emit tir --emit=json", "exposed.out.json"),
    ],
)
def test_the_output_is_named_by_the_printer(words: str, output: str, tmp_path: Path) -> None:
    """However the command spells its flag."""
    rest = CASE.splitlines()[1:]
    run = f"// RUN: traceir run {words} %s"
    assert GoldenCase.of(case(tmp_path, "\n".join([run, *rest]))).output.name == output


def test_a_folder_without_cases_is_refused(tmp_path: Path) -> None:
    """pytest would call a test without cases skipped."""
    with pytest.raises(AssertionError, match=r"^There is no folder .*typo with goldens\.$"):
        golden_cases(tmp_path / "typo")
    (tmp_path / "a.out.tir").write_text("")
    with pytest.raises(AssertionError, match=r"holds no case: none of its files is a <name>\.tir\.$"):
        golden_cases(tmp_path)
