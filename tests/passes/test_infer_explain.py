"""`traceir roles`: which rule gives a name its role, what was tried before, and the table of rules."""

from __future__ import annotations

from pathlib import Path

import pytest

from traceir.cli.main import main
from traceir_passes.infer import Infer, RoleTable
from traceir_passes.infer.rules import built_in

NORM = "_ZN5aiter24add_rmsnorm_quant_kernelIDF16bDF16bLi256ELi16ELb1ELb0ELb1ELi1EEEvPT0_PT_"
TABLE = """
[[rule]]
role = "sort"
pattern = "nothing_like_it"

[[rule]]
role = "attention"
pattern = "nvjet"
vendor = "nvidia"
library = "mine"
"""


@pytest.fixture
def table(tmp_path: Path) -> str:
    """The path of a user's table."""
    path = tmp_path / "mine.toml"
    path.write_text(TABLE, encoding="utf-8")
    return str(path)


def lines(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> list[str]:
    """What a command line prints."""
    assert main(["roles", *words]) == code
    return capsys.readouterr().out.splitlines()


def test_a_rule_in_the_path(capsys: pytest.CaptureFixture[str]) -> None:
    """The page has role, class, op kind, what the name states, the rule with its examples, and what came before."""
    page = lines(capsys, "explain", NORM)
    rule = next(rule for rule in built_in().rules if rule.role == "norm" and not rule.wrapper)
    assert page[1] == "path      aiter::add_rmsnorm_quant_kernel"
    assert "role      norm  (measured: by its name)" in page
    assert "op kind   comm_reduce" in page
    assert "states    library aiter   dtype bf16" in page
    assert f"because   rule {rule.number} of the built-in table matches" in page
    assert f"  pattern   {rule.pattern.pattern}" in page
    assert f"  but not   {rule.no}" in page
    later = page[page.index("matches too, and comes later") + 1 :]
    assert [line.split(",")[1].split(":")[0].strip() for line in later] == ["quant"]


def test_inside_a_wrapper(capsys: pytest.CaptureFixture[str]) -> None:
    """A wrapper's rules are asked alone; where none matches the wrapper's own role is given."""
    page = lines(capsys, "explain", "void at::native::reduce_kernel<512, 1, at::native::ReduceOp<float> >(int)")
    assert "because   a kernel of the wrapper reduce, none of whose rules matches" in page
    assert "  wrappers: it is reduce, so rules for paths are not asked" in page
    assert "  rules for reduce: sample, norm-part; none matches" in page


def test_steps_of_a_norm(capsys: pytest.CaptureFixture[str]) -> None:
    """A step of an unfused norm is what it is where it stands alone, and the page says what else it may be."""
    name = (
        "void at::native::vectorized_elementwise_kernel<4, at::native::rsqrt_kernel_cuda(at::TensorIteratorBase&)>(int)"
    )
    page = lines(capsys, "explain", name)
    assert "role      elementwise  (measured: by its name)" in page
    assert any("norm where its neighbours are the others of it" in line for line in page)


def test_unknown_names(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is made up: the page says that no rule matches, how many were tried, and what to do."""
    page = lines(capsys, "explain", "mystery")
    assert "role      unknown" in page
    assert "states    nothing of its library, types or tile" in page
    assert f"  rules for paths: {sum(not rule.wrapper for rule in built_in().rules)}, none matches" in page


def test_own_rules_come_first(capsys: pytest.CaptureFixture[str], table: str) -> None:
    """A rule of the user's decides; the page names its table, and the built-in rule that it keeps from deciding."""
    page = lines(capsys, "explain", "--roles", table, "nvjet_tst_64x64_64x16_2x1_TNT")
    assert f"because   rule 2 of the table {table} matches" in page
    assert f"  the table {table}: its rules before 2" in page
    assert any(line.endswith(": " + built_in().rules[-1].pattern.pattern) for line in page) is False
    assert any(", gemm: nvjet" in line for line in page[page.index("matches too, and comes later") :])
    other = lines(capsys, "explain", "attn_fwd", "--roles", table)
    assert f"  the table {table}: 2 rules for paths, none matches" in other


def test_several_names(capsys: pytest.CaptureFixture[str]) -> None:
    """Each name has its page."""
    page = lines(capsys, "explain", "nvjet_a", "attn_fwd")
    assert [line for line in page if line.startswith("role")] == [
        "role      gemm  (measured: by its name)", "role      attention  (measured: by its name)",
    ]  # fmt: skip


def test_the_list(capsys: pytest.CaptureFixture[str], table: str) -> None:
    """Every rule in order, the user's first, each with its number in its table."""
    page = lines(capsys, "list", "--roles", table)
    assert page[0] == f"the table {table}"
    assert page[1].split() == ["1", "sort", "path", "nothing_like_it"]
    rest = page[page.index("the built-in table") + 1 :]
    assert [line.split()[1] for line in rest] == [rule.role for rule in built_in().rules]
    assert [int(line.split()[0]) for line in rest] == list(range(1, len(rest) + 1))
    verbose = lines(capsys, "list", "-v")
    assert any(line.strip() == f"such as    {built_in().rules[0].yes}" for line in verbose)


@pytest.mark.parametrize("words", [("explain",), ("list", "x"), (), ("explain", "x", "--roles", "none.toml")])
def test_wrong_words(capsys: pytest.CaptureFixture[str], words: tuple[str, ...]) -> None:
    """What the command line cannot do is a usage error."""
    assert lines(capsys, *words, code=2) == []


TRACE = """#[traceir "1"]
module @one {
  lane @gpu0.s7 : dev.stream {device=0, stream=7};
  %1 = dev.kernel("nvjet_tst_64x64_64x16_2x1_TNT") @gpu0.s7 [0 +10];
}
"""


def test_a_run_with_own_rules(capsys: pytest.CaptureFixture[str], table: str, tmp_path: Path) -> None:
    """`--roles` is the option of the pass that gives roles, put before all others; two tables are refused."""
    path = tmp_path / "one.tir"
    path.write_text(TRACE, encoding="utf-8")
    assert main(["run", "--roles", table, "--passes", "overlap", "--emit", "tir", str(path)]) == 0
    assert 'infer.role="attention"' in capsys.readouterr().out
    assert main(["run", "--roles", table, "--dump-pipeline", str(path)]) == 0
    assert capsys.readouterr().out.startswith("infer{roles=")
    assert main(["print", "--roles", table, "--emit", "tir", str(path)]) == 0
    assert 'infer.role="attention"' in capsys.readouterr().out
    assert (
        main(["run", "--roles", table, "--passes", "infer{norm_window=5},overlap", "--dump-pipeline", str(path)]) == 0
    )
    dumped = capsys.readouterr().out
    assert dumped.count("infer{") == 1
    assert "norm_window=5" in dumped
    assert main(["run", "--roles", table, "--passes", "infer{roles=other.toml}", str(path)]) == 2
    assert "name one table" in capsys.readouterr().err


def test_explanations_and_classification_agree() -> None:
    """The page's role is the pass's, and the rule that it names is the first that matches."""
    item = Infer()
    for rule in built_in().rules:
        told = item.explain(rule.yes)
        assert told.rule == rule
        assert all(later.number > rule.number for later in told.later)


def test_matching_rules_of_two_tables() -> None:
    """All rules that match are told in order, those of wrappers only where the wrapper is recognised."""
    mine = RoleTable.of({"rule": [{"role": "sort", "pattern": "nvjet"}]}, "mine.toml").before(built_in())
    assert [rule.source for rule in mine.matching("nvjet_x")] == ["mine.toml", "built-in"]
    assert mine.matching("nvjet_x")[0].number == 1
    assert not any(rule.wrapper for rule in mine.matching("nvjet_x"))
